"""Each guard's no; and that without it in the table the forbidden case would go through."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.alertmanager.base import Listed
from remediator.anchor.base import Doubt
from remediator.authority import NOTHING, Authority
from remediator.guards import GUARDS
from remediator.guards.check import check
from remediator.guards.freeze import Freeze
from remediator.kube.base import Conflict, Forbidden
from remediator.model import Mode
from remediator.reasons import Reason
from remediator.redact import redact
from remediator.rules.automaton import compile_pattern
from remediator.store.base import KillSwitch
from remediator.store.pauses_base import Pause, PauseOf
from remediator.verdicts import Decision, Scope
from tests.logkeys import DoubtfulLog
from tests.unit.guards.examples import (
    BAD,
    GOOD,
    ONE_NODE,
    ONE_ZONE,
    SPREAD,
    UNKNOWN,
    CrashMetrics,
    Lists,
    annotated,
    answering,
    changed,
    counted,
    elsewhere,
    parameters,
    past,
    sick,
    store,
    switch,
    unreadable_switch,
    view,
    with_nodes,
    workload,
)
from tests.workloads import NOW, TARGET, alert

ENGAGED = KillSwitch(True, "stop", "me", NOW, None)
NOES: list[tuple[str, str, Decision, Reason, dict[str, Any]]] = [
    ("engaged", "kill-switch", Decision.HOLD, Reason.KILL_SWITCH, {"store": store(switch=ENGAGED)}),
    *(
        (reason.value, "audit", Decision.HOLD, reason, {"log": DoubtfulLog(Doubt(reason, "so it is"))})
        for reason in Reason
        if reason.value.startswith("audit-")
    ),
    (
        "engaged until later",
        "kill-switch",
        Decision.HOLD,
        Reason.KILL_SWITCH,
        {"store": store(switch=replace(ENGAGED, until=NOW + timedelta(minutes=1)))},
    ),
    *(
        (f"ConfigMap {name}", "kill-switch", Decision.HOLD, Reason.KILL_SWITCH, {"switch": one})
        for name, one in {
            "engaged": switch(engaged="true", comment="stop", by="me"),
            "with a typo": switch(engaged="fasle"),
            "without the word": switch(comment="stop"),
            "until later": switch(engaged="true", until="2026-11-23T12:30:00Z"),
            "until whenever": switch(engaged="true", until="tomorrow"),
            "not readable": unreadable_switch(),
        }.items()
    ),
    *(
        (
            f"paused: {what}",
            "pause",
            Decision.HOLD,
            Reason.PAUSED_BY_PERSON,
            {"store": store(paused=[Pause(what, subject, "me", "work", NOW, None)])},
        )
        for what, subject in (
            (PauseOf.RULE, "crash-loop"),
            (PauseOf.NAMESPACE, "shop"),
            (PauseOf.TARGET, "shop/deployment/checkout"),
        )
    ),
    *(
        (name, "freeze", Decision.HOLD, Reason.FREEZE_WINDOW, {"freezes": [Freeze.model_validate(window)]})
        for name, window in {
            "every night": {"name": "night", "from": "11:00", "to": "13:00"},
            "all day": {"name": "Monday", "days": ["mon"]},
            "over midnight": {"name": "night", "days": ["sun"], "from": "22:00", "to": "12:01"},
            "in its own zone": {"name": "morning", "time_zone": "Asia/Tokyo", "from": "20:00", "to": "22:00"},
            "these dates": {"name": "year's end", "dates": ["2026-11-20/2026-11-23"]},
            "this namespace": {"name": "sale", "namespaces": ["pay", "shop"]},
        }.items()
    ),
    *(
        (name, "scope", Decision.REFUSE, Reason.OUTSIDE_CREDENTIAL, {"alert": alert(credential="pay"), **changes})
        for name, changes in {
            "another namespace": {"authority": Authority(namespaces=compile_pattern("pay"))},
            "a part of the namespace": {"authority": Authority(namespaces=compile_pattern("sho"))},
            "another rule": {"authority": Authority(rules=compile_pattern("other"))},
            "no namespace any more": {"authority": NOTHING},
            "a credential that is gone": {"authority": None},
            "no credential where one is asked for": {"authority": None, "alert": alert()},
            "a step elsewhere": {"authority": Authority(namespaces=compile_pattern("shop")), "plan": elsewhere()},
        }.items()
    ),
    ("silent settings", "mode", Decision.RECOMMEND, Reason.MODE_SILENT, {"modes": (Mode.SILENT, Mode.ACTIVE)}),
    ("silent rule", "mode", Decision.RECOMMEND, Reason.MODE_SILENT, {"modes": (Mode.ACTIVE, Mode.SILENT)}),
    ("off", "mode", Decision.REFUSE, Reason.MODE_OFF, {"modes": (Mode.OFF, Mode.ACTIVE)}),
    ("approve", "mode", Decision.ASK, Reason.NEEDS_APPROVAL, {"modes": (Mode.APPROVE, Mode.ACTIVE)}),
    ("silent workload", "mode", Decision.RECOMMEND, Reason.MODE_SILENT, {"workload": annotated(mode="silent")}),
    ("a typo", "mode", Decision.RECOMMEND, Reason.MODE_INVALID, {"workload": annotated(mode="actve")}),
    ("other actions only", "opt-out", Decision.REFUSE, Reason.OPTED_OUT, {"workload": annotated(actions="restart")}),
    (
        "paused by its owner",
        "opt-out",
        Decision.HOLD,
        Reason.OPTED_OUT,
        {"workload": annotated(pause_until="2026-11-23T13:00:00Z")},
    ),
    ("namespace unreadable", "opt-out", Decision.REFUSE, Reason.FACT_MISSING, {"workload": workload(namespace=None)}),
    ("five targets", "storm", Decision.REFUSE, Reason.STORM, {"store": store(alerting=5)}),
    ("a fifth of few", "storm", Decision.REFUSE, Reason.STORM, {"store": store(alerting=4, workloads=20)}),
    ("three of very few", "storm", Decision.REFUSE, Reason.STORM, {"store": store(alerting=3, workloads=4)}),
    ("alerts that nobody looked at", "storm", Decision.HOLD, Reason.STORM, {"store": store(unseen=4)}),
    ("few, with those unseen", "storm", Decision.HOLD, Reason.STORM, {"store": store(unseen=2, workloads=4)}),
    (
        "not calm for long enough",
        "storm",
        Decision.REFUSE,
        Reason.STORM,
        {"store": store(gates={"storm": NOW - timedelta(minutes=9)})},
    ),
    ("one node", "shared-cause", Decision.REFUSE, Reason.SHARED_CAUSE, {"store": store(affected=ONE_NODE)}),
    (
        "one zone",
        "shared-cause",
        Decision.REFUSE,
        Reason.SHARED_CAUSE,
        {"store": store(affected=ONE_ZONE), "cluster": with_nodes(8, zones=2)},
    ),
    (
        "one image",
        "shared-cause",
        Decision.REFUSE,
        Reason.SHARED_CAUSE,
        {"store": store(affected=sick(*SPREAD, image="proxy:2"))},
    ),
    (
        "one dependency",
        "shared-cause",
        Decision.REFUSE,
        Reason.SHARED_CAUSE,
        {"store": store(affected=sick(*SPREAD, dependency="db"))},
    ),
    *(
        (
            f"{bad} of {ready + bad} nodes",
            "cluster-health",
            Decision.HOLD,
            Reason.CLUSTER_UNHEALTHY,
            {"cluster": with_nodes(ready, bad)},
        )
        for ready, bad in ((96, 4), (3, 2), (0, 1))
    ),
    ("no nodes at all", "cluster-health", Decision.REFUSE, Reason.FACT_MISSING, {"cluster": with_nodes(0)}),
    (
        "the API server fails",
        "cluster-health",
        Decision.HOLD,
        Reason.CLUSTER_UNHEALTHY,
        {"faults": [counted(3, 29)]},
    ),
    (
        "comes and goes",
        "flap",
        Decision.HOLD,
        Reason.FLAPPING,
        {"store": store(changes=[NOW - timedelta(minutes=minute) for minute in (29, 20, 10)])},
    ),
    ("resolved", "still-firing", Decision.REFUSE, Reason.ALERT_RESOLVED, {"store": store(resolved=True)}),
    (
        "silenced",
        "still-firing",
        Decision.HOLD,
        Reason.ALERT_SILENCED,
        {"alertmanager": Lists(Listed(("silence 5e6a",)))},
    ),
    ("not listed", "still-firing", Decision.HOLD, Reason.ALERT_NOT_FIRING, {"alertmanager": Lists(None)}),
    ("no longer true", "still-firing", Decision.HOLD, Reason.ALERT_NOT_FIRING, {"metrics": CrashMetrics({})}),
    (
        "true of others only",
        "still-firing",
        Decision.HOLD,
        Reason.ALERT_NOT_FIRING,
        {"metrics": CrashMetrics({"namespace": "pay", "pod": "a"}, {"namespace": "shop", "pod": "other"})},
    ),
    ("no Prometheus", "still-firing", Decision.REFUSE, Reason.FACT_MISSING, {"metrics": None}),
    ("no such rule", "still-firing", Decision.REFUSE, Reason.FACT_MISSING, {"metrics": CrashMetrics(is_known=False)}),
    ("a sick rule", "still-firing", Decision.REFUSE, Reason.FACT_MISSING, {"metrics": CrashMetrics(health="err")}),
    ("a stale rule", "still-firing", Decision.REFUSE, Reason.FACT_MISSING, {"metrics": CrashMetrics(age=91)}),
    ("truncated", "still-firing", Decision.RECOMMEND, Reason.TRUNCATED, {"alert": alert(truncated=2)}),
    (
        "too early",
        "severity",
        Decision.HOLD,
        Reason.SEVERITY_WAITS,
        {"severity_wait_until": NOW + timedelta(minutes=5)},
    ),
    ("another generation", "target-state", Decision.HOLD, Reason.CONFLICT, {"cluster": changed(generation=8)}),
    ("another object", "target-state", Decision.REFUSE, Reason.TARGET_CHANGED, {"cluster": changed(uid="d-2")}),
    ("just acted", "cooldown", Decision.HOLD, Reason.COOLDOWN, {"store": store(last=NOW - timedelta(minutes=14))}),
    (
        "two attempts on it",
        "attempts",
        Decision.ESCALATE,
        Reason.ATTEMPTS_USED,
        {"store": past(BAD, BAD, GOOD, target=TARGET.key, rule="other")},
    ),
    (
        "two in a row did not help",
        "breaker",
        Decision.REFUSE,
        Reason.BREAKER_OPEN,
        {"store": past(GOOD, GOOD, BAD, UNKNOWN)},
    ),
    (
        "three of ten did not help",
        "breaker",
        Decision.REFUSE,
        Reason.BREAKER_OPEN,
        {"store": past(BAD, GOOD, BAD, GOOD, BAD, GOOD, GOOD, GOOD, GOOD, GOOD)},
    ),
    (
        "other rules did not help",
        "breaker",
        Decision.REFUSE,
        Reason.BREAKER_OPEN,
        {"store": past(BAD, BAD, rule="other")},
    ),
    (
        "the changed rule is under way elsewhere",
        "canary",
        Decision.HOLD,
        Reason.RULE_CHANGED,
        {"store": store(under_way={Scope.RULE})},
    ),
    *(
        (
            f"under way: {scope}",
            "concurrency",
            Decision.HOLD,
            Reason.TOO_MANY_AT_ONCE,
            {"store": store(under_way={scope})},
        )
        for scope in (Scope.NAMESPACE, Scope.CLUSTER)
    ),
    (
        "short window used",
        "limits",
        Decision.HOLD,
        Reason.LIMIT_USED,
        {"store": store(spent={Scope.RULE: [NOW - timedelta(minutes=9)]})},
    ),
    (
        "long window used",
        "limits",
        Decision.HOLD,
        Reason.LIMIT_USED,
        {"store": store(spent={Scope.RULE: [NOW - timedelta(minutes=50), NOW - timedelta(minutes=20)]})},
    ),
    *(
        (
            f"used by others: {scope}",
            "budgets",
            Decision.HOLD,
            Reason.LIMIT_USED,
            {"store": store(spent={scope: [NOW - timedelta(minutes=minute) for minute in range(59, 59 - count, -1)]})},
        )
        for scope, count in ((Scope.ACTION, 1), (Scope.NAMESPACE, 1), (Scope.CLUSTER, 10))
    ),
    ("no right", "dry-run", Decision.RECOMMEND, Reason.NOT_PROVABLE, {"cluster": answering(Forbidden("no"))}),
    ("conflict", "dry-run", Decision.HOLD, Reason.CONFLICT, {"cluster": answering(Conflict("changed"))}),
    (
        "a webhook rewrites it",
        "dry-run",
        Decision.REFUSE,
        Reason.DRY_RUN_REFUSED,
        {"cluster": answering({"metadata": {}, "spec": {"template": {"spec": {"containers": []}}}})},
    ),
]


@pytest.mark.parametrize(
    ("guard", "decision", "reason", "changes"), [no[1:] for no in NOES], ids=[no[0] for no in NOES]
)
async def test_guard_says_no_by_name(guard: str, decision: Decision, reason: Reason, changes: dict[str, Any]) -> None:
    ruling = await check(view(**changes), GUARDS, parameters)

    assert (ruling.deciding.guard, ruling.deciding.decision, ruling.deciding.reason) == (guard, decision, reason)
    assert not ruling.is_allowed
    assert ruling.deciding.detail


@pytest.mark.parametrize(("guard", "changes"), [(no[1], no[4]) for no in NOES], ids=[no[0] for no in NOES])
async def test_without_the_guard_it_would_be_allowed(guard: str, changes: dict[str, Any]) -> None:
    """The negative control: no other guard catches what this one refuses."""
    rest = [one for one in GUARDS if one.name != guard]

    assert (await check(view(**changes), rest, parameters)).is_allowed


async def test_all_allow_the_plan_as_it_is() -> None:
    ruling = await check(view(), GUARDS, parameters)

    assert ruling.is_allowed
    assert [verdict.guard for verdict in ruling.verdicts] == [guard.name for guard in GUARDS]


async def test_what_a_guard_says_is_not_taken_for_a_secret() -> None:
    for changes in ({}, *(no[4] for no in NOES)):
        ruling = await check(view(**changes), GUARDS, parameters)
        for verdict in ruling.verdicts:
            assert redact(verdict.detail) == verdict.detail, verdict.guard


async def test_silent_mode_says_what_the_log_lacks_and_recommends() -> None:
    doubtful = DoubtfulLog(Doubt(Reason.AUDIT_UNSIGNED, "there is no key"))

    ruling = await check(view(log=doubtful, modes=(Mode.SILENT, Mode.ACTIVE)), GUARDS, parameters)

    assert (ruling.deciding.guard, ruling.deciding.decision) == ("mode", Decision.RECOMMEND)
    assert Reason.AUDIT_UNSIGNED in [verdict.reason for verdict in ruling.verdicts]


def test_every_guard_has_a_case_that_it_refuses() -> None:
    assert {no[1] for no in NOES} == {guard.name for guard in GUARDS}


@pytest.mark.parametrize(
    "name", ["five targets", "one node", "4 of 100 nodes", "the API server fails", "comes and goes"]
)
async def test_a_common_cause_is_named_for_all_that_share_it(name: str) -> None:
    [(guard, _decision, reason, changes)] = [no[1:] for no in NOES if no[0] == name]
    ruling = await check(view(**changes), GUARDS, parameters)
    [gate] = ruling.gates
    assert (gate.reason, guard) == (reason, ruling.deciding.guard)


def test_the_target_of_the_plan_is_that_of_the_story() -> None:
    assert view().plan.target == TARGET
