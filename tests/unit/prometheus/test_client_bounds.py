"""The bounds of the query client: how long, how many at once, how much; and what is done about whoever exceeds one."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import requests

from remediator.prometheus.base import BadQuery, PrometheusUnavailable, Sample, TooManySamples
from remediator.prometheus.client import PrometheusMetrics
from tests.unit.prometheus.conftest import BEGIN, HOUR, MINUTE, Make, failure, vector
from tests.unit.scripted_server import DRIP, HANG, Answer, JumpingClock, ScriptedServer


async def test_a_hung_server_is_asked_once_per_call_and_then_left_alone(
    make: Make, server: ScriptedServer, clock: JumpingClock
) -> None:
    """Each such call holds a thread that cannot be cancelled. Later one call tries again, and one answer is enough."""
    metrics = make(read_seconds=0.05)
    server.answers(HANG)
    for _ in range(3):
        with pytest.raises(PrometheusUnavailable):
            await metrics.query("up")
    with pytest.raises(PrometheusUnavailable, match=r"not asked.*next try at 12:00:30Z"):
        await metrics.query("up")
    asked_while_hung = len(server.asked)
    server.answers(vector(({}, "1")))
    clock.at += timedelta(seconds=30)

    assert asked_while_hung == 3
    assert await metrics.query("up") == await metrics.query("up") == [Sample({}, 1.0)]


async def test_an_answer_that_comes_byte_by_byte_holds_its_thread_no_longer_than_the_call(
    make: Make, server: ScriptedServer
) -> None:
    """No read of it is ever too long. The thread gives up by itself, before nobody waits for it any more."""
    server.answers(DRIP)

    with pytest.raises(PrometheusUnavailable, match=r"query: no end of the answer within 3\.2 s"):
        await make(read_seconds=0.2).query("up")
    assert len(server.asked) == 1


async def test_a_query_that_prometheus_gave_up_is_not_repeated(
    server: ScriptedServer, metrics: PrometheusMetrics
) -> None:
    """It would only add to the load that made it slow."""
    server.answers(failure(503, "timeout", "query timed out in expression evaluation"))

    with pytest.raises(PrometheusUnavailable, match="timed out"):
        await metrics.query("up")
    assert len(server.asked) == 1


async def test_more_calls_than_threads_take_turns(make: Make, server: ScriptedServer) -> None:
    server.answers(vector(({}, "1")))
    metrics = make()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(metrics.query("up")) for _ in range(20)]

    assert [call.result() for call in calls] == [[Sample({}, 1.0)]] * 20
    assert server.max_at_once <= 4


async def test_a_cancelled_query_ends_at_once(server: ScriptedServer, metrics: PrometheusMetrics) -> None:
    """Its thread goes on until its own time limit; nobody waits for it."""
    server.answers(HANG)
    task = asyncio.ensure_future(metrics.query("up"))
    await server.was_asked()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    server.open_gate()


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (422, "execution", "query processing would load too many samples into memory in query execution"),
        (400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the step"),
    ],
)
async def test_an_answer_that_would_be_too_large_has_an_error_of_its_own(
    server: ScriptedServer, metrics: PrometheusMetrics, code: int, kind: str, text: str
) -> None:
    """Whoever asks can ask for less; any other refusal stays what it is."""
    server.answers(failure(code, kind, text))
    with pytest.raises(TooManySamples, match=text[:40]):
        await metrics.query_range("up", begin=BEGIN, end=BEGIN + HOUR, step=MINUTE)
    server.answers(failure(code, kind, "parse error"))
    with pytest.raises(BadQuery) as raised:
        await metrics.query_range("up", begin=BEGIN, end=BEGIN + HOUR, step=MINUTE)
    assert not isinstance(raised.value, TooManySamples)


@pytest.mark.parametrize("is_range", [False, True])
async def test_more_than_it_reads_is_too_many_samples_and_is_asked_for_once(
    server: ScriptedServer, make: Make, is_range: bool
) -> None:
    """As if Prometheus itself had refused it: no part of an answer is one."""
    metrics = make(max_bytes=1024 * 1024)
    server.answers(vector(*[({"pod": f"web-{n}", "uid": "x" * 100}, "1") for n in range(10_000)]))

    asking = metrics.query_range("up", begin=BEGIN, end=BEGIN + HOUR, step=MINUTE) if is_range else metrics.query("up")
    with pytest.raises(TooManySamples, match=r"query(_range)?: the answer has more than 1 MiB; aggregate"):
        await asking
    assert len(server.asked) == 1

    server.answers(vector(({}, "1")))
    assert await metrics.query("up") == [Sample({}, 1.0)]


async def test_rules_beyond_what_it_reads_are_unavailable_and_such_a_server_is_not_ready(
    server: ScriptedServer, make: Make
) -> None:
    metrics = make(max_bytes=1024 * 1024)
    server.answers(Answer(200, b" " * (1024 * 1024 + 1)))

    with pytest.raises(PrometheusUnavailable, match="rules: the answer has more than 1 MiB"):
        await metrics.alerting_rules("Down")
    assert len(server.asked) == 1
    assert not await metrics.is_ready()


async def test_a_large_answer_within_the_bound_is_decoded_once(
    server: ScriptedServer, metrics: PrometheusMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library would do so again, and let nobody else have a turn meanwhile."""
    monkeypatch.setattr(requests.Response, "json", None)
    server.answers(vector(*[({"pod": f"web-{n}", "uid": "x" * 100}, "1") for n in range(10_000)]))

    assert len(await metrics.query("up")) == 10_000
