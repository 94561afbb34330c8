"""`verify`: the outcome of all checks together. Unknown is never success, and a failure is never hidden by it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.checks.verify import CHECK_TIMEOUT_SECONDS, Verification, verify
from remediator.kube.base import Forbidden, Unreachable
from remediator.model import Json, Outcome
from remediator.prometheus.base import PrometheusUnavailable
from tests.fakes import FakeCluster
from tests.jumping import run_jumping
from tests.unit.checks.worlds import ACTED_AT, BAD, DEPLOYMENT, LATER, FakeMetrics, plan, rolled_back, rule
from tests.workloads import PROOF, alert

ALL = ("rollout-complete", "pods-ready", "alert-clear")
CLEAR = {"alert-clear": {"clear_since": "2026-11-23T12:00:00Z"}}
TOO_LATE = ACTED_AT + PROOF.within
FIRING = [{"namespace": "shop", "pod": "checkout-2-a"}]


async def seen(*, expect: tuple[str, ...] = ALL, **changes: Any) -> Verification:
    facts: dict[str, Any] = {
        "acted_at": ACTED_AT,
        "now": LATER,
        "cluster": rolled_back(),
        "metrics": FakeMetrics(),
        "memory": CLEAR,
    }
    asked = replace(plan(), proof=replace(PROOF, expect=expect))
    return await verify(asked, alert(), **{**facts, **changes})


def at(now: Any) -> dict[str, Any]:
    """Prometheus evaluates its rules at that time too."""
    return {"now": now, "metrics": FakeMetrics(rules=[rule(last_evaluated_at=now)])}


def unreadable(error: Exception) -> FakeCluster:
    cluster = rolled_back()
    cluster.errors[DEPLOYMENT] = error
    return cluster


DOWN = FakeMetrics(failure=PrometheusUnavailable("down"))
PARTLY = {"availableReplicas": 1}
OVERDUE = {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}

OUTCOMES: list[tuple[str, dict[str, Any], Outcome | None]] = [
    ("all pass", {}, Outcome.VERIFIED),
    ("one waits, there is time", {"cluster": rolled_back(status=PARTLY)}, None),
    ("one waits, no time is left", {"cluster": rolled_back(status=PARTLY), **at(TOO_LATE)}, Outcome.FAILED),
    ("one fails, with time left", {"cluster": rolled_back(status=OVERDUE)}, Outcome.FAILED),
    ("one fails beside an unknown", {"cluster": rolled_back(status=OVERDUE), "metrics": DOWN}, Outcome.FAILED),
    ("Prometheus is down, there is time", {"metrics": DOWN}, None),
    ("Prometheus is down to the end", {"metrics": DOWN, "now": TOO_LATE}, Outcome.UNKNOWN),
    (
        "Prometheus is down and pods are not ready",
        {"metrics": DOWN, "now": TOO_LATE, "cluster": rolled_back(status=PARTLY)},
        Outcome.UNKNOWN,
    ),
    ("no Prometheus at all", {"metrics": None, "now": TOO_LATE}, Outcome.UNKNOWN),
    ("the rule is unknown to Prometheus", {"metrics": FakeMetrics(rules=[]), "now": TOO_LATE}, Outcome.UNKNOWN),
    ("the alert's expression still holds", {"metrics": FakeMetrics(FIRING), "now": LATER}, None),
    (
        "the alert's expression holds to the end",
        {"metrics": FakeMetrics(FIRING, rules=[rule(last_evaluated_at=TOO_LATE)]), "now": TOO_LATE},
        Outcome.FAILED,
    ),
    ("the API server is away", {"cluster": unreadable(Unreachable("away"))}, None),
    ("the API server is away to the end", {"cluster": unreadable(Unreachable("x")), "now": TOO_LATE}, Outcome.UNKNOWN),
    ("we may not read", {"cluster": unreadable(Forbidden("no")), "now": TOO_LATE}, Outcome.UNKNOWN),
    ("the target is gone", {"cluster": FakeCluster()}, Outcome.FAILED),
    ("what holds is watched on past the end", {**at(TOO_LATE), "memory": {}}, None),
]


@pytest.mark.parametrize(("changes", "outcome"), [row[1:] for row in OUTCOMES], ids=[row[0] for row in OUTCOMES])
async def test_outcome(changes: dict[str, Any], outcome: Outcome | None) -> None:
    found = await seen(**changes)

    assert found.outcome is outcome
    assert set(found.evidence) == {*ALL, "collateral", "no-new-alert"}
    assert all(entry["detail"] for entry in found.evidence.values())


async def test_someone_else_s_release_is_never_our_success() -> None:
    cluster = rolled_back()
    cluster.peek("Deployment", "shop", "checkout")["spec"]["template"] = BAD
    cluster.add({**cluster.peek("ReplicaSet", "shop", "checkout-3"), "kind": "ReplicaSet"})

    for expect in (("rollout-complete",), ("pods-ready",)):
        assert (await seen(expect=expect, cluster=cluster, **at(TOO_LATE))).outcome is Outcome.UNKNOWN


def lent_to(**changes: Any) -> FakeCluster:
    """What was rolled back, with `uid` or `replicas` changed; `template` is somebody's newer release."""
    cluster = rolled_back()
    item = cluster.peek("Deployment", "shop", "checkout")
    item["metadata"]["uid"] = changes.get("uid", item["metadata"]["uid"])
    item["spec"] |= {key: value for key, value in changes.items() if key != "uid"}
    if "template" in changes:
        cluster.add({**cluster.peek("ReplicaSet", "shop", "checkout-3"), "kind": "ReplicaSet"})
    return cluster


GIVEN_BACK: list[tuple[str, dict[str, Any], Outcome | None, Outcome | None]] = [
    ("it is gone", {"cluster": FakeCluster()}, Outcome.VERIFIED, Outcome.FAILED),
    ("another of that name", {"cluster": lent_to(uid="d-2")}, Outcome.VERIFIED, Outcome.FAILED),
    ("it wants no pods", {"cluster": lent_to(replicas=0)}, Outcome.VERIFIED, None),
    ("nobody can say", {"cluster": unreadable(Unreachable("away"))}, None, None),
    ("nobody could say", {"cluster": unreadable(Forbidden("no")), "now": TOO_LATE}, Outcome.UNKNOWN, Outcome.UNKNOWN),
    ("it is as it was, and well", {}, Outcome.VERIFIED, Outcome.VERIFIED),
]
"""The outcome when something lent is to be given back, and that of the same sight after any other action."""


@pytest.mark.parametrize(
    ("changes", "lent", "otherwise"), [row[1:] for row in GIVEN_BACK], ids=[r[0] for r in GIVEN_BACK]
)
async def test_what_nobody_needs_is_given_back(
    changes: dict[str, Any], lent: Outcome | None, otherwise: Outcome | None
) -> None:
    assert (await seen(gives_back=True, **changes)).outcome is lent
    assert (await seen(**changes)).outcome is otherwise


async def test_what_was_lent_is_judged_by_the_release_that_runs_now() -> None:
    expect = ("rollout-complete",)

    assert (await seen(gives_back=True, expect=expect, cluster=lent_to(template=BAD))).outcome is Outcome.VERIFIED
    assert (await seen(expect=expect, cluster=lent_to(template=BAD), **at(TOO_LATE))).outcome is Outcome.UNKNOWN


async def test_nothing_expected_proves_nothing() -> None:
    assert (await seen(expect=())).outcome is Outcome.UNKNOWN


async def test_what_a_check_remembers_comes_back_to_it() -> None:
    first = await seen(memory={}, **at(ACTED_AT))
    last = await seen(memory=first.memory, **at(LATER))

    assert (first.outcome, last.outcome) == (None, Outcome.VERIFIED)


class Hanging(FakeCluster):
    async def get(self, path: str) -> Json:
        await asyncio.Event().wait()


@pytest.mark.parametrize("now", [LATER, TOO_LATE])
def test_a_check_that_hangs_has_no_answer(now: Any) -> None:
    found, seconds = run_jumping(seen(expect=("rollout-complete",), cluster=Hanging(), now=now))

    assert found.evidence["rollout-complete"]["look"] == "unknown"
    assert found.outcome is (Outcome.UNKNOWN if now == TOO_LATE else None)
    assert seconds == pytest.approx(CHECK_TIMEOUT_SECONDS, abs=1)


def test_the_last_look_leaves_time_for_the_proof() -> None:
    assert timedelta(seconds=CHECK_TIMEOUT_SECONDS) < PROOF.within
