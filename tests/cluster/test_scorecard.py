"""The scorecard on a real API server: what a person really does with kubectl, and what happens alone.

The pipeline recommends on the rig in silent mode; then time is moved by the test, and the rest is real.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from remediator.access.credentials import Credentials
from remediator.authority import UNLIMITED
from remediator.clock import SystemClock
from remediator.journal import Journal
from remediator.kube.client import KubernetesCluster
from remediator.kube.rollout import condition, rollout_status
from remediator.model import Alert, AlertStatus, Mode, RemediationId, State
from remediator.parts import Parts
from remediator.pipeline import admit, remediate
from remediator.reasons import Reason
from remediator.rules.ruleset import rule_set
from remediator.score.observer import Observer, Pace
from remediator.store.database import Database
from remediator.store.opening import open_database
from remediator.store.scores_base import Happened, Judgement
from tests.cluster.credentials import ACTIVE
from tests.cluster.kwok import FAILURE_ANNOTATION
from tests.cluster.plans import NEXT, bad_release
from tests.cluster.steps import App, Object
from tests.cluster.waiting import wait_for
from tests.fakes import Firing
from tests.pipeline.world import rule
from tests.workloads import alert

POLL = timedelta(seconds=60)
WINDOW = timedelta(hours=1)


class ShiftedClock:
    """The machine's time, as much later as the test says."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self.shift

    async def sleep(self, seconds: float) -> None:
        await SystemClock().sleep(seconds)


@dataclass
class Recommended:
    """One recommendation to roll `shop` back, and who looks at what becomes of it."""

    app: App
    parts: Parts
    clock: ShiftedClock
    database: Database
    firing: Alert

    async def decide(self) -> None:
        await admit([self.firing], store=self.database, clock=self.clock, authority=UNLIMITED)
        [claimed] = await self.database.claim(owner="t", at=self.clock.now(), lease=timedelta(minutes=5), limit=1)
        journal = Journal(claimed, store=self.database, clock=self.clock, rules=self.parts.rules())
        await remediate(journal, self.parts)
        assert journal.state is State.RECOMMENDED
        assert journal.remediation.reason is Reason.MODE_SILENT

    async def looks(self, *, minutes: float) -> None:
        """The observer is a new one each time: nothing is remembered outside the store."""
        for _ in range(int(timedelta(minutes=minutes) / POLL)):
            self.clock.shift += POLL
            pace = Pace(POLL.total_seconds(), WINDOW)
            await Observer(
                self.database.scores, cluster=self.parts.cluster, clock=self.clock, pace=pace
            ).look()

    async def resolve(self) -> None:
        ended = replace(self.firing, status=AlertStatus.RESOLVED, ends_at=self.clock.now())
        await admit([ended], store=self.database, clock=self.clock, authority=UNLIMITED)

    async def judgement(self) -> Judgement:
        found = await self.database.scores.score_of(RemediationId(1))
        assert found is not None
        assert found.judgement is not None, "its end is still awaited"
        return found.judgement


@pytest.fixture
async def recommended(app: App, cluster: KubernetesCluster) -> AsyncIterator[Recommended]:
    """A release that crashes, and the recommendation to roll it back; nobody is to write anything but the test."""
    bad_release(app)
    pod = pods(app, is_ready=False)[0]["metadata"]["name"]
    clock = ShiftedClock()
    database = await open_database("sqlite:///:memory:", clock=clock)
    rules = rule_set([rule()])
    parts = Parts(
        store=database,
        cluster=cluster,
        metrics=Firing(clock, {"namespace": app.namespace, "pod": pod}),
        clock=clock,
        rules=lambda: rules,
        mode=Mode.SILENT,
        protected_namespaces=frozenset({"kube-system"}),
        authority_of=Credentials().authority_of,
    )
    labels = {"alertname": "KubePodCrashLooping", "namespace": app.namespace, "pod": pod, "container": "app"}
    firing = alert(labels=labels, starts_at=clock.now())
    one = Recommended(app, parts, clock, database, firing)
    await one.decide()
    yield one
    await database.close()


def pods(app: App, *, is_ready: bool) -> list[Object]:
    found = app.control_plane.get(f"/api/v1/namespaces/{app.namespace}/pods")["items"]
    return [one for one in found if (condition(one, "Ready") or {}).get("status") == ("True" if is_ready else "False")]


def heal(app: App) -> None:
    """What made it crash is over: each pod that fails comes up by itself, until the rollout is done."""

    def is_done() -> bool:
        for one in pods(app, is_ready=False):
            words = ("pod", one["metadata"]["name"], f"{FAILURE_ANNOTATION}=ready")
            app.kubectl("annotate", "--overwrite", *words, check=False)  # it may be gone by now
        return rollout_status(app.live()).is_complete

    wait_for(is_done, timeout_seconds=30, what="the release came up by itself")


async def test_a_person_rolls_back(recommended: Recommended) -> None:
    await recommended.looks(minutes=8)
    recommended.app.kubectl("rollout", "undo", "deployment/shop")
    recommended.app.settle()
    await recommended.looks(minutes=1)
    await recommended.resolve()
    await recommended.looks(minutes=4)

    found = await recommended.judgement()
    assert (found.happened, found.is_right, found.is_harmful) == (Happened.SAME, True, False), found.detail
    assert found.saved is not None
    assert timedelta(minutes=8) <= found.saved < timedelta(minutes=9), "until the last look before it"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("set", "image", "deployment/shop", f"app={NEXT}"), id="fixes it forward"),
        pytest.param(("scale", "deployment/shop", "--replicas=3"), id="scales"),
        pytest.param(("rollout", "restart", "deployment/shop"), id="restarts"),
        pytest.param(("delete", "pod", "POD", "--wait=true"), id="deletes the pod"),
    ],
)
async def test_a_person_does_something_else(recommended: Recommended, words: tuple[str, ...]) -> None:
    """Whether it helps or not, it is not what we recommended."""
    await recommended.looks(minutes=2)
    pod = recommended.firing.labels["pod"]
    recommended.app.kubectl(*(word.replace("POD", pod) for word in words))
    await recommended.looks(minutes=1)
    heal(recommended.app)
    await recommended.looks(minutes=1)
    await recommended.resolve()
    await recommended.looks(minutes=4)

    found = await recommended.judgement()
    assert (found.happened, found.is_right, found.saved) == (Happened.OTHER, False, None), found.detail


async def test_nobody_does_anything_and_it_recovers(recommended: Recommended) -> None:
    await recommended.looks(minutes=2)
    heal(recommended.app)
    await recommended.looks(minutes=1)
    await recommended.resolve()
    await recommended.looks(minutes=4)

    found = await recommended.judgement()
    assert (found.happened, found.is_right) == (Happened.ALONE, False), found.detail


async def test_nobody_does_anything_and_it_goes_on(recommended: Recommended) -> None:
    await recommended.looks(minutes=61)
    found = await recommended.judgement()
    assert (found.happened, found.is_right) == (Happened.UNKNOWN, None), found.detail
    assert "nobody did anything" in found.detail


async def test_nobody_does_anything_and_it_gets_worse(recommended: Recommended) -> None:
    """A pod of the release before fails as well, by itself."""
    await recommended.looks(minutes=2)
    good = pods(recommended.app, is_ready=True)[0]["metadata"]["name"]
    recommended.app.kubectl("annotate", "pod", good, f"{FAILURE_ANNOTATION}=neverready")
    wait_for(lambda: len(pods(recommended.app, is_ready=True)) == 1, timeout_seconds=20, what="one pod less is ready")
    await recommended.looks(minutes=60)
    found = await recommended.judgement()
    assert (found.happened, found.is_right) == (Happened.WORSE, None), found.detail


async def test_nothing_is_written_while_it_is_looked_at(recommended: Recommended) -> None:
    """By the API server's own word: our account wrote nothing but dry runs."""
    app = recommended.app
    await recommended.looks(minutes=61)
    assert app.control_plane.writes(ACTIVE, app.namespace) == []
    assert app.control_plane.dry_runs(ACTIVE, app.namespace), "it was there, and only asked"
