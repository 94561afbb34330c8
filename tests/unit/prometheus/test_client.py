"""The query client: complete answers or an error, in bounded time, against a loopback server."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remediator.errors import ConfigError
from remediator.prometheus.base import AlertingRule, BadQuery, PrometheusUnavailable, Sample
from remediator.prometheus.client import PrometheusMetrics
from tests.unit.prometheus.conftest import BEGIN, HOUR, MINUTE, Make, failure, vector
from tests.unit.scripted_server import CUT, DROP, Answer, JumpingClock, ScriptedServer

PARTIAL = vector(({}, "1"), warnings=["receive series from store-2: connection refused"])
ANNOTATED = vector(({}, "1"), warnings=['PromQL warning: bucket label "le" is missing'], infos=["PromQL info: x"])


async def test_an_instant_query_gives_samples_with_numbers(server: ScriptedServer, metrics: PrometheusMetrics) -> None:
    """Prometheus sends them as text."""
    server.answers(vector(({"pod": "a"}, "0.25"), ({"pod": "b"}, "+Inf")))

    assert await metrics.query("up") == [Sample({"pod": "a"}, 0.25), Sample({"pod": "b"}, math.inf)]


async def test_a_query_says_when_and_how_long(server: ScriptedServer, metrics: PrometheusMetrics) -> None:
    """Prometheus gives up before we do."""
    server.answers(vector())
    await metrics.query("up == 0", at=datetime(2026, 11, 23, 12, 0, 0, 500000, tzinfo=UTC))

    [asked] = server.asked
    assert (asked.method, asked.path) == ("GET", "/api/v1/query")
    assert asked.query == {"query": "up == 0", "time": "1795435200.500", "timeout": "9s"}


async def test_a_limit_that_is_no_whole_second_is_one_that_prometheus_understands(
    server: ScriptedServer, make: Make
) -> None:
    """It answers 400 to a duration with a fraction."""
    server.answers(vector())
    await make(read_seconds=7.5).query("up")

    assert server.asked[0].query["timeout"] == "6s500ms"


async def test_series_without_a_number_are_left_out_and_counted(
    server: ScriptedServer, metrics: PrometheusMetrics
) -> None:
    """NaN compares false with everything, which reads like "not above the threshold"."""
    server.answers(vector(({"pod": "a"}, "NaN"), ({"pod": "b"}, "1")))

    assert await metrics.query("up") == [Sample({"pod": "b"}, 1.0)]
    assert metrics.nan_series == 1


async def test_a_scalar_is_one_sample(server: ScriptedServer, metrics: PrometheusMetrics) -> None:
    server.answers(Answer(body={"status": "success", "data": {"resultType": "scalar", "result": [1.7e9, "3"]}}))

    assert await metrics.query("3") == [Sample({}, 3.0)]


@pytest.mark.parametrize(
    "data",
    [
        {"resultType": "matrix", "result": []},
        {"resultType": "string", "result": [1.7e9, "3"]},
        {"resultType": "vector", "result": [{"metric": {}, "histogram": [1.7e9, {}]}]},
    ],
)
async def test_what_is_no_number_per_series_is_a_bad_query(
    server: ScriptedServer, metrics: PrometheusMetrics, data: object
) -> None:
    """The library drops the type of the result; a histogram would be missing without a word."""
    server.answers(Answer(body={"status": "success", "data": data}))

    with pytest.raises(BadQuery):
        await metrics.query("up[5m]")


@pytest.mark.parametrize("answer", [failure(400, "bad_data", "parse error"), failure(422, "execution", "too many")])
async def test_a_refused_expression_is_asked_once(
    server: ScriptedServer, metrics: PrometheusMetrics, answer: Answer
) -> None:
    server.answers(answer)

    with pytest.raises(BadQuery, match=r"Prometheus query: 4\d\d \w+: (parse error|too many)"):
        await metrics.query("up{")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "broken", [failure(500, "internal"), Answer(503, b"<html>"), Answer(429, b""), DROP, CUT, PARTIAL]
)
async def test_a_query_is_repeated_after(server: ScriptedServer, metrics: PrometheusMetrics, broken: Answer) -> None:
    server.answers(broken, vector(({}, "1")))

    assert await metrics.query("up") == [Sample({}, 1.0)]


@pytest.mark.parametrize(
    "broken",
    [failure(500, "internal"), Answer(503, b""), DROP, Answer(200, b"<html>sign in"), Answer(200, {"status": "?"})],
)
async def test_without_a_usable_answer_it_is_unavailable_after_three_tries(
    server: ScriptedServer, metrics: PrometheusMetrics, clock: JumpingClock, broken: Answer
) -> None:
    """Ours alone: the library's hidden ones are off."""
    server.answers(broken)

    with pytest.raises(PrometheusUnavailable):
        await metrics.query("up")
    assert (len(server.asked), len(clock.pauses)) == (3, 2)


async def test_a_partial_answer_is_unavailable(server: ScriptedServer, metrics: PrometheusMetrics) -> None:
    """Series that a store did not deliver look like an alert that is over."""
    server.answers(PARTIAL)

    with pytest.raises(PrometheusUnavailable, match="partial answer: receive series from store-2"):
        await metrics.query("up")


async def test_remarks_on_the_expression_are_no_partial_answer(
    server: ScriptedServer, metrics: PrometheusMetrics
) -> None:
    """Prometheus evaluates the alert itself in spite of them."""
    server.answers(ANNOTATED)

    assert await metrics.query("up") == [Sample({}, 1.0)]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (Answer(401, b"no"), "check the token file"),
        (Answer(403, b"no"), "check the token file"),
        (Answer(404, b"404 page not found"), "is this the address of a Prometheus"),
        (Answer(302, b"", {"Location": "/login"}), "redirected"),
    ],
)
async def test_a_wrong_address_or_token_is_asked_once_and_named(
    server: ScriptedServer, metrics: PrometheusMetrics, answer: Answer, hint: str
) -> None:
    server.answers(answer)

    with pytest.raises(PrometheusUnavailable, match=hint):
        await metrics.query("up")
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_a_redirect_makes_nothing_ready(server: ScriptedServer, metrics: PrometheusMetrics, code: int) -> None:
    """Where it leads to is often a page to log in at, which answers with 200; and nobody named it."""
    elsewhere = ScriptedServer()
    await elsewhere.start()
    server.answers(Answer(code, b"", {"Location": f"{elsewhere.url}/login"}))
    assert await metrics.is_ready() is False
    assert elsewhere.asked == []
    await elsewhere.stop()


async def test_an_error_is_cut_short(server: ScriptedServer, metrics: PrometheusMetrics) -> None:
    """The library puts the whole body into its text."""
    server.answers(Answer(500, b"x" * 100_000))

    with pytest.raises(PrometheusUnavailable) as caught:
        await metrics.query("up")
    assert len(str(caught.value)) < 300


async def test_nobody_listening_is_unavailable_without_the_query_or_the_password(
    make: Make, server: ScriptedServer
) -> None:
    metrics = make(url=server.url.replace("//", "//me:hunter2@"))
    await server.stop()

    with pytest.raises(PrometheusUnavailable, match="Connection refused") as caught:
        await metrics.query("up{a='secret'}")
    assert not any(word in str(caught.value) for word in ("hunter2", "secret"))


async def test_the_token_is_read_for_each_request(make: Make, server: ScriptedServer, tmp_path: Path) -> None:
    """So that a rotated one needs no restart."""
    token = tmp_path / "token"
    token.write_text("first\n")
    metrics = make(token_file=token)
    server.answers(vector())
    await metrics.query("up")
    token.write_text("second")
    await metrics.query("up")

    assert [asked.headers["Authorization"] for asked in server.asked] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("content", [None, b"", b"one\ntwo", b"\xff"])
async def test_an_unusable_token_file_is_named_and_nothing_is_sent(
    make: Make, server: ScriptedServer, tmp_path: Path, content: bytes | None
) -> None:
    """A request without it would be answered with a 401 that explains nothing."""
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)

    with pytest.raises(PrometheusUnavailable, match="token file") as caught:
        await make(token_file=token).query("up")
    assert server.asked == []
    assert "two" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"url": "localhost:9090"}, {"ca_file": Path("/nowhere/ca.crt")}])
async def test_settings_that_cannot_work_are_refused_at_once(make: Make, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        make(**wrong)


@pytest.mark.parametrize(
    ("answers", "expected", "paths"),
    [
        ([Answer(body=b"Prometheus Server is Ready.")], True, ["/-/ready"]),
        ([Answer(503, b"Service Unavailable")], False, ["/-/ready"]),
        ([DROP], False, ["/-/ready"]),
        ([Answer(404, b"")], False, ["/-/ready", "/api/v1/query"]),
        ([Answer(404, b""), vector(({}, "1"))], True, ["/-/ready", "/api/v1/query"]),
    ],
)
async def test_ready_means_that_it_answers_queries(
    server: ScriptedServer, metrics: PrometheusMetrics, answers: list[Answer], expected: bool, paths: list[str]
) -> None:
    """`/-/ready`, and a query where a hosted service does not have it."""
    server.answers(*answers)

    assert await metrics.is_ready() is expected
    assert [asked.path for asked in server.asked] == paths


RULE = {
    "type": "alerting",
    "name": "KubePodCrashLooping",
    "query": "max_over_time(...) >= 1",
    "labels": {"severity": "warning"},
    "health": "ok",
    "lastEvaluation": "2026-11-23T12:00:00.123456789Z",
}


async def test_gives_the_alerting_rules_of_that_name(server: ScriptedServer, metrics: PrometheusMetrics) -> None:
    """An older server ignores `rule_name[]` and sends them all."""
    recording = {"type": "recording", "name": "KubePodCrashLooping", "query": "x"}
    rules = [RULE, {**RULE, "name": "Other"}, recording, {**RULE, "lastEvaluation": "0001-01-01T00:00:00Z"}]
    server.answers(Answer(body={"status": "success", "data": {"groups": [{"interval": 30, "rules": rules}]}}))

    found = await metrics.alerting_rules("KubePodCrashLooping")

    evaluated_at = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
    first = AlertingRule(RULE["name"], RULE["query"], {"severity": "warning"}, "ok", 30.0, evaluated_at)  # type: ignore[arg-type]
    assert found[0] == first
    assert [rule.last_evaluated_at for rule in found] == [evaluated_at, None]
    assert server.asked[0].query == {"type": "alert", "rule_name[]": "KubePodCrashLooping", "exclude_alerts": "true"}


async def test_rules_in_an_unknown_shape_are_unavailable(server: ScriptedServer, metrics: PrometheusMetrics) -> None:
    """"No such rule" would be another thing."""
    server.answers(Answer(body={"status": "success", "data": {"groups": [{"rules": [RULE]}]}}))

    with pytest.raises(PrometheusUnavailable, match="not understood"):
        await metrics.alerting_rules("KubePodCrashLooping")


def test_the_heavy_extras_of_the_library_are_not_imported() -> None:
    """pandas, numpy and matplotlib are 200 MB that nothing here needs."""
    program = (
        "import sys, remediator.prometheus.client; "
        "print([name for name in ('pandas', 'numpy', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


async def test_a_range_query_gives_each_series_its_course(server: ScriptedServer, metrics: PrometheusMetrics) -> None:
    """Samples that are NaN are no samples, and a series of nothing else is none."""
    result = [
        {"metric": {"pod": "a"}, "values": [[1.7e9, "1"], [1.7e9 + 60, "NaN"], [1.7e9 + 120, "2.5"]]},
        {"metric": {"pod": "b"}, "values": [[1.7e9, "NaN"]]},
    ]
    server.answers(Answer(body={"status": "success", "data": {"resultType": "matrix", "result": result}}))
    [course] = await metrics.query_range("up", begin=BEGIN, end=BEGIN + HOUR, step=MINUTE)
    assert (course.labels, list(course.points)) == ({"pod": "a"}, [(1.7e9, 1.0), (1.7e9 + 120, 2.5)])
    asked = server.asked[0].query
    assert (asked["start"], asked["end"], asked["step"]) == ("1795435200", "1795438800", "60")
