"""A fault of ours in a duty: it ends neither the process nor the duty, and is logged, counted and shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs

from remediator.app import Service, open_service
from remediator.clock import SystemClock, rfc3339
from remediator.duties import COUNT, ESCALATE, PRUNE, RECONCILE, SCORE, WATCH
from remediator.lasting import PAUSE_SECONDS, Lasting
from remediator.settings import Settings
from tests.clocks import FakeClock
from tests.cluster.waiting import wait_for_async
from tests.unit.receive.bodies import body
from tests.unit.scripted_server import Answer, Asked, ScriptedServer
from tests.workloads import NOW, deployment, template

RULE = 'rules:\n  - {name: one, match: [\'alertname="A"\'], severity: 1, respond: [{do: escalate}]}\n'


JSON = {"Content-Type": "application/json"}


class Loop:
    """Fails as often as given, then ends."""

    def __init__(self, *faults: BaseException) -> None:
        self.faults = list(faults)
        self.begun = 0

    async def run(self) -> None:
        self.begun += 1
        if self.faults:
            raise self.faults.pop(0)


@dataclass
class Heard:
    clock: FakeClock = field(default_factory=FakeClock)
    counted: list[str] = field(default_factory=list)
    went: list[tuple[str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lasting = Lasting(
            self.clock, count=self.counted.append, went=lambda duty, well: self.went.append((duty, well))
        )


async def test_a_fault_is_logged_with_its_trace_counted_and_followed_by_the_next_round() -> None:
    heard, loop = Heard(), Loop(KeyError("template"), AttributeError())
    with capture_logs() as lines:
        await heard.lasting.run("watch", loop.run)
    assert loop.begun == 3
    assert (heard.counted, heard.went) == (["watch"] * 2, [("watch", False)] * 2)
    assert [(line["duty"], line["exc_info"]) for line in lines] == [("watch", True)] * 2
    assert (heard.clock.now() - NOW).total_seconds() == 2 * PAUSE_SECONDS


async def test_it_is_shown_by_its_kind_until_some_rounds_went_well() -> None:
    """The text of an exception may quote what was read, and anybody may ask whether we are ready."""
    heard = Heard()
    await heard.lasting.run("watch", Loop(KeyError("hunter2")).run)
    told = f"a fault of ours, KeyError at {rfc3339(NOW)}; the log has its trace"
    assert (heard.lasting.problem_of("watch"), heard.lasting.problem_of("score")) == (told, "")
    assert heard.lasting.problems() == f"watch: {told}"
    heard.clock.jump(seconds=2 * PAUSE_SECONDS)
    assert heard.lasting.problems() == ""


async def test_who_stops_it_is_obeyed() -> None:
    heard, loop = Heard(), Loop(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await heard.lasting.run("watch", loop.run)
    assert (loop.begun, heard.counted) == (1, [])


class Hurried(SystemClock):
    """Pauses are over at once, nearly."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))


@dataclass
class Others:
    """An API server and an Alertmanager, of which one answers oddly."""

    servers: ScriptedServer = field(default_factory=ScriptedServer)
    odd_path: str = ""
    odd: Any = None

    def answer(self, asked: Asked) -> Answer:
        if asked.path == self.odd_path:
            return Answer(body=self.odd)
        if asked.path == "/api/v2/alerts":
            return Answer(body=[])
        return Answer(body={"kind": "List", "metadata": {}, "items": [], "uptime": "2026-11-23T10:00:00Z"})


def without_template() -> Any:
    item = deployment(template())
    del item["spec"]["template"]
    return {"kind": "DeploymentList", "metadata": {}, "items": [item]}


LISTED = {"labels": {"alertname": "A"}, "startsAt": "2026-11-23T10:00:00Z", "fingerprint": "f", "receivers": 5}


@asynccontextmanager
async def serving(
    others: Others, tmp_path: Path, *, prepare: Callable[[Service], None] = lambda _: None
) -> AsyncIterator[Service]:
    (tmp_path / "rules.yaml").write_text(RULE, encoding="utf-8")
    others.servers.script(others.answer)
    await others.servers.start()
    given = {
        "web_listen_address": "127.0.0.1:0",
        "storage_url": "sqlite:///:memory:",
        "rules": (tmp_path / "rules.yaml",),
        "kube_server": others.servers.url,
        "alertmanager_urls": (others.servers.url,),
        "reconcile_seconds": 60,
        "retention_days": 30,
    }
    try:
        async with open_service(Settings.load(None, given), clock=Hurried()) as service, asyncio.TaskGroup() as group:
            prepare(service)
            group.create_task(service.run())
            yield service
            service.stop()
    finally:
        await others.servers.stop()


async def duties_of(service: Service) -> tuple[bool, str]:
    [part] = [part for part in await service.readiness() if part.name == "duties"]
    assert not part.is_required, "alerts are received all the same"
    return part.is_ready, part.detail


@pytest.mark.parametrize(
    ("path", "odd"),
    [("/apis/apps/v1/deployments", without_template()), ("/api/v2/alerts", [LISTED])],
    ids=["watch", "reconcile"],
)
async def test_one_odd_object_is_no_fault_of_a_duty(tmp_path: Path, path: str, odd: Any) -> None:
    """It is left out (`watch/`, `alertmanager/reconcile.py`): the round ends, and the next one comes."""
    others = Others(odd_path=path, odd=odd)
    async with serving(others, tmp_path) as service, ClientSession(f"http://127.0.0.1:{service.port}") as client:

        def times() -> int:
            return [one.path for one in others.servers.asked].count(path)

        await wait_for_async(lambda: times() > 0, timeout_seconds=10, what="the first round")
        # What Alertmanager cut off is fetched now: else the next round of `reconcile` comes in a minute.
        async with client.post("/api/v1/alerts", data=body(truncatedAlerts=1), headers=JSON) as answer:
            assert answer.status == 200
        await wait_for_async(lambda: times() > 1, timeout_seconds=10, what="the round after it")
        assert await duties_of(service) == (True, "")


@pytest.mark.parametrize(
    ("duty", "part", "call"),
    [
        (WATCH, "rollouts", "known"),
        (RECONCILE, "known", "of"),
        (ESCALATE, "", "end_left_gates"),
        (SCORE, "scores", "open_cases"),
        (PRUNE, "", "prune"),
        (COUNT, "", "queue_depth"),
    ],
    ids=[WATCH, RECONCILE, ESCALATE, SCORE, PRUNE, COUNT],
)
async def test_a_fault_of_ours_ends_neither_the_service_nor_the_duty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, duty: str, part: str, call: str
) -> None:
    """All but the telling, which lasts by itself (`worker.py`)."""

    rounds = 0

    async def fails(*_: Any, **__: Any) -> None:
        nonlocal rounds
        rounds += 1
        raise KeyError(call)

    def broken(service: Service) -> None:
        monkeypatch.setattr(getattr(service.database, part) if part else service.database, call, fails)

    async with serving(Others(), tmp_path, prepare=broken) as service:

        async def is_shown() -> bool:
            return (await duties_of(service))[1].startswith(f"{duty}: a fault of ours, KeyError")

        await wait_for_async(is_shown, timeout_seconds=10, what="the fault in /-/ready")
        async with ClientSession(f"http://127.0.0.1:{service.port}") as client:
            async with client.post("/api/v1/alerts", data=body(), headers=JSON) as answer:
                assert answer.status == 200
            faults = rounds
            await wait_for_async(lambda: rounds > faults, timeout_seconds=10, what="the round after it")
            monkeypatch.undo()  # /metrics counts the queue too
            async with client.get("/metrics") as answer:
                assert f'remediator_duty_faults_total{{duty="{duty}"}}' in await answer.text()
