"""Each guard's yes: what looks like a reason to refuse, and is none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.guards import GUARDS
from remediator.guards.check import check
from remediator.guards.stop import SwitchInCluster
from remediator.store.budgets_base import Forgiven, Reset
from remediator.store.pauses_base import Pause, PauseOf
from tests.fakes import FakeCluster
from tests.unit.guards.examples import (
    BAD,
    ELSEWHERE,
    GOOD,
    ONE_NODE,
    SPREAD,
    FakeStore,
    counted,
    parameters,
    past,
    sick,
    store,
    switch,
    view,
    with_nodes,
)
from tests.workloads import NOW, TARGET

CLUSTERS: list[tuple[str, dict[str, Any]]] = [
    ("cluster-health", {"cluster": with_nodes(2, 1)}),
    ("cluster-health", {"cluster": with_nodes(97, 3)}),
    ("cluster-health", {"faults": [counted(2, 20)]}),
    ("cluster-health", {"faults": [counted(10, 19)]}),
    ("shared-cause", {"store": store(affected=[*ONE_NODE, *sick(("d", "n2"))]), "cluster": with_nodes(2)}),
    ("shared-cause", {"store": store(affected=sick(*SPREAD)), "cluster": with_nodes(4, zones=2)}),
]


@pytest.mark.parametrize(("guard", "changes"), CLUSTERS)
async def test_what_a_healthy_cluster_shows_too_stops_nobody(guard: str, changes: dict[str, Any]) -> None:
    ruling = await check(view(**changes), [one for one in GUARDS if one.name == guard], parameters)

    assert ruling.is_allowed


@pytest.mark.parametrize(
    "one",
    [
        switch(engaged="false"),
        switch(engaged="true", until="2026-11-23T11:59:59Z"),
        SwitchInCluster("r", "switch", FakeCluster()),
    ],
    ids=["released", "ran out", "not there"],
)
async def test_a_switch_in_the_cluster_that_is_not_engaged_stops_nobody(one: SwitchInCluster) -> None:
    assert (await check(view(switch=one), GUARDS, parameters)).is_allowed


WELL: list[tuple[str, str, FakeStore]] = [
    (
        "other things paused, and one that ran out",
        "pause",
        store(
            paused=[
                Pause(PauseOf.RULE, "other", "me", "x", NOW, None),
                Pause(PauseOf.NAMESPACE, "crash-loop", "me", "x", NOW, None),
                Pause(PauseOf.TARGET, "shop/deployment/cart", "me", "x", NOW, None),
                Pause(PauseOf.NAMESPACE, "shop", "me", "x", NOW - timedelta(hours=1), NOW),
            ]
        ),
    ),
    ("four targets", "storm", store(alerting=4)),
    ("four of many", "storm", store(alerting=4, workloads=500)),
    ("two of few", "storm", store(alerting=2, workloads=4)),
    ("too few, with those unseen", "storm", store(unseen=3)),
    ("calm for ten minutes", "storm", store(gates={"storm": NOW - timedelta(minutes=10)})),
    ("two targets share a node", "shared-cause", store(affected=sick(("checkout", "n1"), ("a", "n1"), ("a", "n1")))),
    ("it shares nothing", "shared-cause", store(affected=sick(("checkout", "n0"), *[(c, "n1") for c in "abcd"]))),
    ("less than half", "shared-cause", store(affected=sick(*[(c, "n1") for c in ("checkout", "a", "b")], *ELSEWHERE))),
    ("came and went once", "flap", store(changes=[NOW - timedelta(minutes=31), NOW - timedelta(minutes=9), NOW])),
    ("one attempt on it", "attempts", past(BAD, target=TARGET.key)),
    ("attempts that helped", "attempts", past(GOOD, GOOD, GOOD, target=TARGET.key)),
    ("one bad one", "breaker", past(GOOD, BAD)),
    ("two of ten", "breaker", past(BAD, GOOD, BAD, GOOD)),
    ("old ones", "breaker", past(BAD, BAD, *[GOOD] * 10)),
    ("one whose outcome is open", "breaker", past(BAD, None)),
    ("under way with the rule as it was", "canary", past(None, rule_digest="d0")),
    ("the rule has helped before", "canary", past(GOOD, None, rule_digest="d1")),
]


@pytest.mark.parametrize(("guard", "seen"), [one[1:] for one in WELL], ids=[one[0] for one in WELL])
async def test_guard_lets_pass(guard: str, seen: FakeStore) -> None:
    ruling = await check(view(store=seen), [one for one in GUARDS if one.name == guard], parameters)

    assert ruling.is_allowed


@pytest.mark.parametrize(
    ("guard", "what", "subject", "seen"),
    [
        ("breaker", Forgiven.RULE, "crash-loop", past(BAD, BAD)),
        ("attempts", Forgiven.TARGET, TARGET.key, past(BAD, BAD, target=TARGET.key)),
    ],
)
async def test_what_a_person_set_back_counts_no_more(guard: str, what: Forgiven, subject: str, seen: FakeStore) -> None:
    one = [each for each in GUARDS if each.name == guard]
    assert not (await check(view(store=seen), one, parameters)).is_allowed

    for each, named in ((what, subject), (Forgiven.CLUSTER, TARGET.cluster)):
        seen.forgiven[each, named] = Reset(each, named, "me", "looked at it", NOW - timedelta(minutes=1))

    assert (await check(view(store=seen), one, parameters)).is_allowed
