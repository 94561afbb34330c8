"""People are called with what needs them, in the transaction of what causes it; then the next, until one answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.journal import Journal
from remediator.model import AlertStatus, Mode, Outcome, State
from remediator.pipeline import pass_on, remediate
from remediator.prometheus.base import PrometheusUnavailable
from remediator.reasons import Reason
from remediator.store.base import KillSwitch
from remediator.store.escalations_base import Acknowledgement
from tests.pipeline.contacts import table, the_one
from tests.pipeline.history import (
    Way,
    acted_before,
    comes_and_goes,
    need_one_database,
    nodes_lost,
    on_one_node,
    others_alert,
)
from tests.pipeline.world import World, world
from tests.workloads import alert

ESCALATES = table(respond=[{"do": "escalate", "advice": "look at {target}"}], verify=None)
RECOMMENDS = table(respond=[{"do": "recommend"}], verify=None)


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
