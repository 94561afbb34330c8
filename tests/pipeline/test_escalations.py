"""People are called with what needs them, in the transaction of what causes it; then the next, until one answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.authority import UNLIMITED
from remediator.guards.freeze import Freeze
from remediator.journal import Journal
from remediator.kube.base import Unreachable
from remediator.model import AlertStatus, Mode, Outcome, State
from remediator.pipeline import admit, pass_on, remediate
from remediator.prometheus.base import PrometheusUnavailable
from remediator.reasons import Reason
from remediator.rules.escalation import ContactRow, escalation_matrix
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.store.approvals_base import Approval
from remediator.store.base import KillSwitch, LostClaim
from remediator.store.escalations_base import Acknowledgement, Escalation
from tests.pipeline.history import (
    Way,
    acted_before,
    comes_and_goes,
    need_one_database,
    nodes_lost,
    not_listed,
    on_one_node,
    others_alert,
    shop_paused,
    silenced,
)
from tests.pipeline.world import DEPLOYMENT, LEASE, World, rule, world
from tests.workloads import alert

ROWS = {
    "default": ["nobody-else"],
    "pods": ["ada", "bob"],
    "infrastructure": ["eve"],
    "database": ["dba"],
}


def table(rows: dict[str, list[str]] | None = None, **changes: Any) -> RuleSet:
    contacts = {name: ContactRow(tell=tuple(tell)) for name, tell in (ROWS if rows is None else rows).items()}
    return rule_set([rule(**{"contact": "pods", **changes})], escalation=escalation_matrix(contacts))


ESCALATES = table(respond=[{"do": "escalate", "advice": "look at {target}"}], verify=None)
RECOMMENDS = table(respond=[{"do": "recommend"}], verify=None)


async def the_one(one: World) -> Escalation:
    [found] = await one.database.escalations()
    return found


async def pages(one: World, minutes: float) -> Sequence[tuple[str, str | None]]:
    """What is told in so many minutes of looking four times a minute, as (step, who)."""
    before = len(await one.told())
    for _ in range(int(minutes * 4)):
        one.clock.jump(seconds=15)
        await pass_on(one.parts)
    told = (await one.told())[before:]
    return [(record.kind.removeprefix("escalation."), record.body.get("tell")) for record in told]


@pytest.mark.parametrize("mode", [Mode.ACTIVE, Mode.SILENT])
async def test_a_row_that_escalates_calls_the_contact_of_its_rule(mode: Mode) -> None:
    """Silent mode too: to tell people is no write."""
    async with world(rules=ESCALATES, mode=mode) as one:
        await one.receive()
        assert await one.run() is State.ESCALATED
        called = await the_one(one)
        assert (called.contact, called.told, called.severity) == ("pods", "ada", 1)
        assert called.reason is Reason.ROW_ESCALATES
        assert called.detail.endswith("; look at shop/deployment/checkout"), "who is called wants the advice"
        assert called.next_at == one.clock.now() + timedelta(minutes=5)


async def test_what_is_only_recommended_calls_nobody() -> None:
    """The negative control."""
    async with world(rules=RECOMMENDS) as one:
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        assert await one.told() == []


async def test_a_rule_without_a_contact_calls_the_default() -> None:
    async with world(rules=table(contact=None, respond=[{"do": "escalate"}], verify=None)) as one:
        await one.receive()
        await one.run()
        assert (await the_one(one)).told == "nobody-else"
        assert (await one.last_body())["contact"] == "default"


def without_database(one: World) -> None:
    metadata = {"name": "postgres", "namespace": "shop", "uid": "s-1"}
    one.shop.add({"kind": "StatefulSet", "metadata": metadata, "spec": {"replicas": 3}, "status": {}})


NEEDS = table(
    depends_on=[{"name": "db", "kind": "StatefulSet", "object": "postgres", "contact": "database"}],
    respond=[{"when": {"cause": "dependency-down"}, "do": "escalate"}, {"do": "recommend"}],
    verify=None,
)


async def test_a_dependency_that_is_down_is_its_owner_s() -> None:
    async with world(rules=NEEDS) as one:
        without_database(one)
        await one.receive()
        assert await one.run() is State.ESCALATED
        assert (await the_one(one)).told == "dba"
        assert (await one.last_body())["contact"] == "database"


async def test_a_dependency_that_many_need_is_its_owner_s_too_and_told_once() -> None:
    async with world(rules=NEEDS) as one:
        without_database(one)
        await need_one_database(one)
        assert await one.run() is State.RECOMMENDED
        called = await the_one(one)
        assert (called.gate, called.told, called.severity) == ("shared-cause/dependency/db", "dba", 1)


@pytest.mark.parametrize(
    ("way", "key"), [(others_alert(5), "storm"), (on_one_node, "shared-cause/node/node-1")], ids=["storm", "node"]
)
async def test_of_what_many_share_people_are_called_once_and_not_for_each(way: Way, key: str) -> None:
    async with world(rules=ESCALATES) as one:
        await way(one)
        assert await one.run() is State.RECOMMENDED
        body = await one.last_body()
        assert (body["reason"], body["guard"]) == (key.partition("/")[0], key.partition("/")[0])
        assert body["detail"].startswith("the rule escalates for cause code-error; "), "it stays known"
        called = await the_one(one)
        assert (called.contact, called.gate, called.remediation_id) == ("infrastructure", key, None)


@pytest.mark.parametrize("way", [others_alert(3), others_alert(0)], ids=["few", "alone"])
async def test_of_what_few_have_people_are_called_for_each(way: Way) -> None:
    """The negative control."""
    async with world(rules=ESCALATES) as one:
        await way(one)
        assert await one.run() is State.ESCALATED
        assert (await the_one(one)).contact == "pods"


async def test_a_first_one_waits_until_it_is_known_whether_many_follow() -> None:
    async with world(rules=ESCALATES) as one:
        await one.receive()
        [mine] = await one.claim()
        others = [alert(fingerprint=f"{n:016x}", labels=alert().labels | {"pod": f"other-{n}"}) for n in range(4)]
        await one.receive(*others)
        journal = Journal(mine, store=one.database, clock=one.clock, rules=one.rules)
        await remediate(journal, one.parts)
        assert (journal.state, (await one.last_body())["reason"]) == (State.HELD, Reason.STORM)
        assert await one.database.escalations() == []

        await one.one_pass()  # there are no such pods: those others were nothing
        one.clock.jump(seconds=5)
        assert await one.one_pass() is State.ESCALATED
        assert (await the_one(one)).contact == "pods"


async def test_an_action_that_did_not_help_calls_people_also_after_a_restart() -> None:
    """A process that goes on from `verifying` has matched no rule: the remediation's own says whom to call."""
    async with world(rules=table()) as one:
        one.shop.heals = False
        await one.receive()
        assert await one.run() is State.REVERTED
        called = await the_one(one)
        assert (called.told, called.severity, called.reason) == ("ada", 1, Reason.NOT_VERIFIED)
        assert "was reverted" in called.detail


async def test_an_outcome_that_nobody_knows_calls_people() -> None:
    async with world(rules=table()) as one:
        await one.receive()
        await one.run(until=lambda state: state is State.VERIFYING)
        one.metrics.failure = PrometheusUnavailable("down")
        assert await one.run() is State.UNKNOWN
        assert (await the_one(one)).reason is Reason.EVIDENCE_MISSING


async def test_a_fault_of_ours_calls_the_default() -> None:
    async with world(rules=table()) as one:
        await one.receive()
        [remediation] = await one.claim()
        journal = Journal(remediation, store=one.database, clock=one.clock, rules=one.rules)
        await journal.broken("KeyError: 'x'")
        called = await the_one(one)
        assert (called.told, called.severity, called.reason) == ("nobody-else", 3, Reason.INTERNAL_ERROR)


async def test_two_attempts_that_did_not_help_call_people() -> None:
    async with world(rules=table()) as one:
        await acted_before(Outcome.FAILED, Outcome.FAILED, Outcome.VERIFIED, on="checkout")(one)
        assert await one.run() is State.ESCALATED
        assert (await the_one(one)).reason is Reason.ATTEMPTS_USED


@pytest.mark.parametrize("mode", [Mode.ACTIVE, Mode.SILENT])
@pytest.mark.parametrize(
    ("way", "gate"),
    [(others_alert(5), "storm"), (on_one_node, "shared-cause/node/node-1"), (nodes_lost, "cluster-health")],
)
async def test_what_is_no_single_workload_s_problem_is_the_infrastructure_s(way: Any, gate: str, mode: Mode) -> None:
    async with world(rules=table(), mode=mode) as one:
        await way(one)
        await one.one_pass()
        called = await the_one(one)
        assert (called.gate, called.told, called.severity) == (gate, "eve", 1)
        assert called.incident_id is None


async def test_without_a_row_for_the_infrastructure_the_default_is_called() -> None:
    async with world(rules=table({"default": ["zoe"], "pods": ["ada"]})) as one:
        await nodes_lost(one)
        await one.one_pass()
        assert (await the_one(one)).told == "zoe"


async def test_an_alert_that_flaps_is_its_rule_s() -> None:
    async with world(rules=table()) as one:
        await comes_and_goes(one)
        await one.one_pass()
        called = await the_one(one)
        assert (called.reason, called.told) == (Reason.FLAPPING, "ada")


async def test_the_next_is_told_then_the_last_again_ten_times_and_then_that_nobody_answers() -> None:
    async with world(rules=ESCALATES) as one:
        await one.receive()
        await one.run()
        assert await pages(one, 4.75) == []
        assert await pages(one, 0.25) == [("passed-on", "bob")]
        assert await pages(one, 300) == [*[("reminded", "bob")] * 10, ("unanswered", "bob")]
        assert await pages(one, 300) == []
        assert (await the_one(one)).next_at is None


async def test_people_are_told_while_the_kill_switch_is_engaged() -> None:
    async with world(rules=ESCALATES) as one:
        await one.receive()
        await one.run()
        await one.database.set_kill_switch(KillSwitch(True, "stop", "me", one.clock.now(), None))
        assert await pages(one, 6) == [("passed-on", "bob")]


async def test_after_a_long_stop_the_next_one_is_told_and_not_all_at_once() -> None:
    async with world(rules=ESCALATES) as one:
        await one.receive()
        await one.run()
        one.clock.jump(hours=5)
        assert await pages(one, 4) == [("passed-on", "bob")]


async def test_the_severity_decides_how_soon() -> None:
    """The alert says warning, which is severity 3: an hour."""
    labels = {**alert().labels, "severity": "warning"}
    slow = table(severity="from_label", respond=[{"do": "escalate"}], verify=None)
    async with world(rules=slow) as one:
        await one.receive(alert(labels=labels))
        await one.run()
        assert await pages(one, 59) == []
        assert await pages(one, 2) == [("passed-on", "bob")]


async def test_who_acknowledged_is_not_disturbed() -> None:
    async with world(rules=ESCALATES) as one:
        await one.receive()
        await one.run()
        await one.database.acknowledge((await the_one(one)).id, Acknowledgement("ada", "on it", one.clock.now()))
        assert await pages(one, 60) == []


async def test_it_is_over_with_the_alert_and_the_next_episode_calls_anew() -> None:
    async with world(rules=ESCALATES) as one:
        await one.receive()
        await one.run()
        await one.receive(replace(alert(), status=AlertStatus.RESOLVED, ends_at=one.clock.now()))
        assert await one.database.incidents(limit=10, open_only=True) == []
        assert await pages(one, 60) == []
        await one.receive(alert(starts_at=one.clock.now()))
        await one.one_pass()
        assert [record.kind for record in await one.told()] == [
            "escalation.opened",
            "escalation.ended",
            "escalation.opened",
        ]


async def test_a_gate_that_is_left_is_over() -> None:
    async with world(rules=table()) as one:
        await others_alert(5)(one)
        await one.run()
        assert await pages(one, 9) == [("reminded", "eve")]
        assert await pages(one, 2) == [("ended", None)]
        assert await one.database.escalations() == []


@pytest.mark.parametrize("severity", [1, 2])
async def test_an_approval_that_nobody_gave_calls_the_contact_of_its_rule(severity: int) -> None:
    """It was to be done at once, and is not: whoever was asked did not see it."""
    async with world(rules=table(severity=severity), mode=Mode.APPROVE) as one:
        await one.receive()
        assert await one.run() is State.EXPIRED
        called = await the_one(one)
        assert (called.contact, called.told, called.severity) == ("pods", "ada", severity)
        assert called.reason is Reason.APPROVAL_EXPIRED
        assert "would roll back shop/deployment/checkout" in called.detail
        assert [record.kind for record in await one.told()] == ["escalation.opened"]


@pytest.mark.parametrize("ends", ["slow", "denied", "resolved"])
async def test_of_an_approval_that_may_wait_or_was_denied_or_is_over_nobody_is_called(ends: str) -> None:
    """The negative controls: severity 3 was watched before it asked."""
    slow = {"severity": 3} if ends == "slow" else {}
    async with world(rules=table(**slow), mode=Mode.APPROVE) as one:
        await one.receive()
        await one.run(until=lambda state: state is State.AWAITING_APPROVAL)
        [waiting] = await one.database.awaiting()
        if ends == "denied":
            said = Approval(waiting.remediation, waiting.request["plan_hash"], False, "ada", "no", one.clock.now())
            await one.database.answer(said)
        elif ends == "resolved":
            await one.receive(alert(status=AlertStatus.RESOLVED))
        assert await one.run() is (State.EXPIRED if ends == "slow" else State.CANCELLED)
        assert await one.told() == []


async def test_an_approval_that_nobody_gave_is_told_once_by_whoever_has_the_claim() -> None:
    """A replica that was paused between its claim and the commit finds that another has it."""
    async with world(rules=table(), mode=Mode.APPROVE) as one:
        await one.receive()
        await one.run(until=lambda state: state is State.AWAITING_APPROVAL)
        one.clock.jump(minutes=16)
        [paused] = await one.claim()
        one.clock.jump(seconds=LEASE.total_seconds() + 1)
        assert await one.one_pass() is State.EXPIRED
        with pytest.raises(LostClaim):
            await remediate(Journal(paused, store=one.database, clock=one.clock, rules=one.rules), one.parts)
        assert [record.kind for record in await one.told()] == ["escalation.opened"]


async def engage(one: World, *, engaged: bool = True) -> None:
    await one.database.set_kill_switch(KillSwitch(engaged, "a test", "me", one.clock.now(), None))


async def switched_off(one: World) -> None:
    await engage(one)
    await one.receive()


@pytest.mark.parametrize("severity", [1, 2])
@pytest.mark.parametrize("mode", [Mode.ACTIVE, Mode.APPROVE])
async def test_what_is_held_back_until_its_time_is_over_calls_the_contact_of_its_rule(
    severity: int, mode: Mode
) -> None:
    async with world(rules=table(severity=severity), mode=mode) as one:
        await switched_off(one)
        assert await one.run() is State.EXPIRED
        called = await the_one(one)
        assert (called.contact, called.told, called.severity) == ("pods", "ada", severity)
        assert called.reason is Reason.KILL_SWITCH
        assert called.detail.startswith("no decision to act within 1h; last: kill-switch; would roll back shop/")
        assert [record.kind for record in await one.told()] == ["escalation.opened"]


@pytest.mark.parametrize(
    ("way", "reason"),
    [(acted_before(Outcome.VERIFIED), Reason.LIMIT_USED), (shop_paused, Reason.PAUSED_BY_PERSON)],
    ids=["limit", "pause"],
)
async def test_whatever_holds_it_back_is_named_to_who_is_called(way: Way, reason: Reason) -> None:
    async with world(rules=table(limits=["1 per 1d"])) as one:
        await way(one)
        assert await one.run() is State.EXPIRED
        assert (await the_one(one)).reason is reason


async def test_a_hold_of_a_day_is_told_when_the_time_to_decide_is_over_and_not_when_it_ends() -> None:
    rules = replace(table(), freezes=(Freeze(name="release"),))
    async with world(rules=rules) as one:
        await one.receive()
        assert await one.run(minutes=61) is State.EXPIRED
        assert (await the_one(one)).reason is Reason.FREEZE_WINDOW


@pytest.mark.parametrize("mode", [Mode.SILENT, Mode.OFF])
async def test_what_would_only_have_been_recommended_calls_nobody_when_its_time_is_over(mode: Mode) -> None:
    """The negative control: without the hold nobody would have been called either."""
    async with world(rules=table(mode=mode.value)) as one:
        await switched_off(one)
        assert await one.run() is State.EXPIRED
        assert await one.told() == []


@pytest.mark.parametrize("ends", ["slow", "not-listed", "silenced"])
async def test_what_may_wait_or_may_be_over_calls_nobody_when_its_time_is_over(ends: str) -> None:
    ways = {"slow": switched_off, "not-listed": not_listed, "silenced": silenced}
    async with world(rules=table(severity=3 if ends == "slow" else 1)) as one:
        await ways[ends](one)
        assert await one.run() is State.EXPIRED
        assert await one.told() == []


@pytest.mark.parametrize("way", [nodes_lost], ids=["cluster-health"])
async def test_what_a_gate_has_called_people_for_is_not_told_again_when_its_time_is_over(way: Way) -> None:
    async with world(rules=table()) as one:
        await way(one)
        assert await one.run() is State.EXPIRED
        assert [(record.kind, record.body["tell"]) for record in await one.told()] == [("escalation.opened", "eve")]


@pytest.mark.parametrize("mode", [Mode.ACTIVE, Mode.SILENT])
async def test_a_severe_alert_that_could_not_be_decided_is_told_in_every_mode(mode: Mode) -> None:
    """The API server is away for an hour: a fault on our side, as one in our code."""
    async with world(rules=table(), mode=mode) as one:
        await one.receive()
        for path in ("/api/v1/namespaces/shop/pods/checkout-3-a", DEPLOYMENT):
            one.shop.errors[path] = Unreachable("away")
        [mine] = await one.claim()
        with pytest.raises(Unreachable):
            await remediate(Journal(mine, store=one.database, clock=one.clock, rules=one.rules), one.parts)
        one.clock.jump(hours=1)
        assert await one.one_pass() is State.EXPIRED
        called = await the_one(one)
        assert (called.told, called.severity, called.reason) == ("ada", 1, Reason.DECISION_EXPIRED)
        assert called.detail == "could not be decided within 1h"


async def test_what_no_rule_asks_for_is_told_nobody_also_when_nobody_looked_at_it() -> None:
    """The negative control: decided in time it would have been declined. Its rule was there when it came."""
    async with world(rules=table(match=['alertname="Another"'])) as one:
        await admit([alert()], store=one.database, clock=one.clock, authority=UNLIMITED, rules=table())
        one.clock.jump(hours=1)
        assert await one.one_pass() is State.EXPIRED
        assert await one.told() == []


async def test_what_runs_out_together_is_told_as_one_after_the_fifth() -> None:
    async with world(rules=table()) as one:
        await one.receive(*[alert(fingerprint=f"{n:016x}") for n in range(9)])
        one.clock.jump(hours=1)
        await one.one_pass()
        calls = await one.database.escalations()
        assert [one.gate for one in calls if one.gate] == ["ran-out/decision-expired/pods"]
        assert len(calls) == 6
        assert {one.told for one in calls} == {"ada"}
