"""Every reason stands in a record of some alert's way: none is dead, and none is given without a record."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from remediator.authority import Authority
from remediator.cli.explain import _last_lines, _recorded_answer, _table
from remediator.cli.recorded import Entry, _recorded
from remediator.clock import rfc3339
from remediator.errors import PermanentError
from remediator.guards.freeze import Freeze
from remediator.kube.base import Conflict, DisruptionBudget, Forbidden, ReplyLost, Unreachable
from remediator.model import Mode, Outcome
from remediator.reasons import Reason
from remediator.rules.automaton import compile_pattern
from remediator.rules.ruleset import rule_set
from remediator.sinks.kubernetes_event import KubernetesEventSink
from remediator.sinks.metrics import MetricsSink
from remediator.store.base import CommittedRecord
from remediator.telemetry import Telemetry
from tests.fakes import FakeCluster
from tests.pipeline.history import (
    acted_before,
    comes_and_goes,
    denied,
    nodes_lost,
    not_listed,
    on_one_node,
    others_alert,
    shop_paused,
    silenced,
)
from tests.pipeline.ways import (
    CRASH_LOOP,
    ESCALATES,
    EVICTS,
    POD,
    RESIZES,
    RESTARTED,
    RESTARTS,
    ROLLS_BACK_FOR_IMAGES,
    SHED,
    Way,
    all_away_at_once,
    ambiguous,
    answering,
    as_it_is,
    autoscaler,
    broken_stateful_set,
    by_flux,
    config_changed,
    deployed_again,
    doubted,
    fault_of_ours,
    forbidden,
    forgotten,
    healed_meanwhile,
    helped_before,
    measured,
    mended,
    no_help,
    no_prometheus,
    not_observed,
    only_checksums,
    owned,
    paused,
    quota,
    resolved,
    resolved_by_death,
    restarted_lately,
    scales,
    seen_before,
    someone_else,
    steady,
    table,
    two_fail,
    unsupported,
    using_config,
    waiting_for,
    with_labels,
    with_live,
    with_old,
)
from tests.pipeline.world import PATIENCE, world
from tests.workloads import NOW, alert, template

WAYS: dict[Reason, tuple[Way, dict[str, Any]]] = {
    Reason.NO_RULE: (as_it_is, table(match=['alertname="Other"'])),
    Reason.NO_TARGET_LABEL: (with_labels(), {}),
    Reason.TARGET_NOT_FOUND: (with_labels(pod="gone"), {}),
    Reason.TARGET_AMBIGUOUS: (ambiguous, {}),
    Reason.TARGET_UNSUPPORTED: (unsupported, {}),
    Reason.TARGET_CHANGED: (with_labels(pod="checkout-3-a", uid="another"), {}),
    Reason.TARGET_PROTECTED: (with_labels(namespace="kube-system", pod="dns"), {}),
    Reason.TARGET_UNREADABLE: (forbidden(POD), {}),
    Reason.ROW_RECOMMENDS: (as_it_is, table(respond=[{"do": "recommend"}])),
    Reason.ROW_ESCALATES: (as_it_is, table(**ESCALATES)),
    Reason.NO_ROW: (as_it_is, table(**ROLLS_BACK_FOR_IMAGES)),
    Reason.FACT_MISSING: (forbidden("/api/v1/namespaces/shop"), {}),
    Reason.NOT_OBSERVED: (with_live(not_observed), {}),
    Reason.PAUSED: (with_live(lambda live: live["spec"].update(paused=True)), {}),
    Reason.BEING_DELETED: (
        with_live(lambda live: live["metadata"].update(deletionTimestamp="2026-11-23T11:59:00Z")),
        {},
    ),
    Reason.UNSUPPORTED_STRATEGY: (with_live(lambda live: live["spec"].update(strategy={"type": "Own"})), {}),
    Reason.OWNED_BY_CONTROLLER: (with_live(owned), {}),
    Reason.OWNED_BY_GITOPS: (with_live(by_flux), {}),
    Reason.NO_DIFFERENT_REVISION: (
        with_old(lambda old: old["spec"].update(template=template("shop/checkout:1.5", annotations=RESTARTED))),
        {},
    ),
    Reason.ONLY_CHECKSUM_DIFFERS: (only_checksums, {}),
    Reason.CONFIG_CHANGED: (config_changed, {}),
    Reason.REFERENCE_MISSING: (with_old(lambda old: using_config(old["spec"]["template"])), {}),
    Reason.NOT_RECENT: (
        as_it_is,
        table(respond=[{"do": "rollback", "with": {"recent": "1m"}}]),
    ),
    Reason.PREVIOUS_NOT_PROVEN_GOOD: (with_old(lambda old: old["status"].update(readyReplicas=0)), {}),
    Reason.ALREADY_ROLLED_BACK: (seen_before, table(respond=[{"do": "rollback"}])),
    Reason.REDEPLOYED_AFTER_ROLLBACK: (deployed_again, {}),
    Reason.NO_HISTORY: (with_live(lambda live: live["spec"].update(revisionHistoryLimit=0)), {}),
    Reason.NOT_CAPACITY: (waiting_for("0/3 nodes are available: 3 node(s) had untolerated taint {a: b}."), SHED),
    Reason.NOT_ENOUGH: (waiting_for("0/3 nodes are available: 3 Insufficient cpu."), SHED),
    Reason.ROLLOUT_RUNNING: (as_it_is, scales()),
    Reason.PODS_UNSCHEDULABLE: (waiting_for("0/3 nodes are available: 3 Insufficient cpu."), scales()),
    Reason.NODE_NOT_READY: (
        broken_stateful_set,
        table(diagnose=["node"], respond=[{"do": "rollback", "with": {"kinds": ["StatefulSet"]}}]),
    ),
    Reason.SINGLE_WRITER: (steady(edit=lambda live: live["spec"].update(strategy={"type": "Recreate"})), scales()),
    Reason.SCALED_TO_ZERO: (steady(edit=lambda live: live["spec"].update(replicas=0)), scales()),
    Reason.AT_CAP: (steady(), scales(max_replicas=2)),
    Reason.NO_ROOM: (steady(quota(2)), scales()),
    Reason.AUTOSCALER_ACTS: (steady(autoscaler()), scales()),
    Reason.AUTOSCALER_AT_LIMIT: (steady(autoscaler(limited=True)), scales()),
    Reason.AUTOSCALER_AMBIGUOUS: (steady(autoscaler(), autoscaler("second")), scales()),
    Reason.CRASH_LOOP: (steady(), RESTARTS),
    Reason.RESTARTED_LATELY: (mended(edit=restarted_lately), RESTARTS),
    Reason.HISTORY_WOULD_BE_LOST: (mended(edit=lambda live: live["spec"].update(revisionHistoryLimit=1)), RESTARTS),
    Reason.NO_SPARE_POD: (mended(edit=all_away_at_once), RESTARTS),
    Reason.NO_POD: (mended(), EVICTS),
    Reason.SEVERAL_PODS_FAIL: (two_fail, EVICTS),
    Reason.NOT_RESIZABLE: (measured, RESIZES),
    Reason.OPTED_OUT: (
        with_live(lambda live: live["metadata"]["annotations"].update({"remediator.io/actions": "restart"})),
        {},
    ),
    Reason.KILL_SWITCH: (paused, {}),
    Reason.AUDIT_UNSIGNED: doubted(Reason.AUDIT_UNSIGNED),
    Reason.AUDIT_BROKEN: doubted(Reason.AUDIT_BROKEN),
    Reason.AUDIT_UNCONFIRMED: doubted(Reason.AUDIT_UNCONFIRMED),
    Reason.AUDIT_NOT_ANCHORED: doubted(Reason.AUDIT_NOT_ANCHORED),
    Reason.MODE_OFF: (as_it_is, {"mode": Mode.OFF}),
    Reason.MODE_SILENT: (as_it_is, {"mode": Mode.SILENT}),
    Reason.MODE_INVALID: (
        with_live(lambda live: live["metadata"]["annotations"].update({"remediator.io/mode": "on"})),
        {},
    ),
    Reason.SEVERITY_WAITS: (lambda one: one.receive(alert(starts_at=NOW)), table(severity=3)),
    Reason.SEVERITY_FORBIDS: (as_it_is, table(severity=4)),
    Reason.COOLDOWN: (helped_before, {}),
    Reason.LIMIT_USED: (
        helped_before,
        table(limits=["1 per 1h"], guards={"cooldown": {"period": "1m"}}),
    ),
    Reason.TOO_MANY_AT_ONCE: (acted_before(None), {}),
    Reason.ATTEMPTS_USED: (acted_before(Outcome.FAILED, Outcome.FAILED, Outcome.VERIFIED, on="checkout"), {}),
    Reason.BREAKER_OPEN: (acted_before(Outcome.FAILED, Outcome.UNKNOWN), {}),
    Reason.RULE_CHANGED: (acted_before(None, digest=CRASH_LOOP.digest), {"rules": rule_set([CRASH_LOOP])}),
    Reason.PAUSED_BY_PERSON: (shop_paused, {}),
    Reason.ALERT_SILENCED: (silenced, {}),
    Reason.ALERT_NOT_FIRING: (not_listed, {}),
    Reason.CONDITION_GONE: (healed_meanwhile, {}),
    Reason.FREEZE_WINDOW: (as_it_is, {"rules": rule_set([CRASH_LOOP], freezes=[Freeze(name="always")])}),
    Reason.OUTSIDE_CREDENTIAL: (
        lambda one: one.receive(alert(credential="pay")),
        {"authority_of": {"pay": Authority(rules=compile_pattern("other"))}.get},
    ),
    Reason.APPROVAL_DENIED: (denied, {"mode": Mode.APPROVE}),
    Reason.APPROVAL_EXPIRED: (as_it_is, {"mode": Mode.APPROVE}),
    Reason.STORM: (others_alert(4), {}),
    Reason.SHARED_CAUSE: (on_one_node, {}),
    Reason.CLUSTER_UNHEALTHY: (nodes_lost, {}),
    Reason.FLAPPING: (comes_and_goes, {}),
    Reason.NEEDS_APPROVAL: (as_it_is, {"mode": Mode.APPROVE}),
    Reason.ALERT_RESOLVED: (resolved, {}),
    Reason.RESOLVED_UNCONFIRMED: (resolved_by_death, {"patience": PATIENCE}),
    Reason.TRUNCATED: (lambda one: one.receive(alert(truncated=1)), {}),
    Reason.DRY_RUN_REFUSED: (answering(PermanentError("denied"), dry=True), {}),
    Reason.NOT_PROVABLE: (answering(Forbidden("no"), dry=True), {}),
    Reason.DECISION_EXPIRED: (forgotten, {}),
    Reason.CONFLICT: (answering(Conflict("changed")), {}),
    Reason.DISRUPTION_BUDGET: (answering(DisruptionBudget("0 allowed")), {}),
    Reason.NOT_SENT: (answering(Unreachable("refused")), {}),
    Reason.REPLY_LOST: (answering(ReplyLost("no answer")), {}),
    Reason.REFUSED_BY_API: (answering(Forbidden("no")), {}),
    Reason.NOT_VERIFIED: (no_help, {}),
    Reason.EVIDENCE_MISSING: (no_prometheus, {}),
    Reason.CHANGED_BY_SOMEONE_ELSE: (someone_else, {}),
    Reason.INTERNAL_ERROR: (fault_of_ours, {}),
}


async def is_told(record: CommittedRecord, reason: Reason) -> None:
    """As a label of a metric, and in an Event on the object, where there is one."""
    telemetry = Telemetry.create(version="1", mode=Mode.ACTIVE)
    await MetricsSink(telemetry).tell(record)
    _, text = telemetry.exposition("")
    telemetry.shutdown()
    assert f'reason="{reason}"' in text.decode()
    cluster = FakeCluster()
    await KubernetesEventSink(cluster).tell(record)
    assert len(cluster.sent) == bool(record.body.get("object"))
    for request, _ in cluster.sent:
        assert reason in request.body["note"]


@cache
def shipped() -> Any:
    return _table(None)


def is_explained(records: Sequence[CommittedRecord], reason: Reason) -> None:
    """By `explain --incident`, of what was recorded until then."""
    entries = [Entry(one.seq, rfc3339(one.at), one.kind, one.remediation_id, one.body) for one in records]
    [answer] = _recorded("inc-1", entries)
    assert f"[{reason}]: " in "\n".join(_last_lines(_recorded_answer(answer, shipped())))


def test_there_is_a_way_to_every_reason() -> None:
    assert WAYS.keys() == set(Reason) - {Reason.NONE}


@pytest.mark.parametrize("reason", WAYS, ids=str)
async def test_the_reason_stands_in_a_record_and_on_the_remediation(reason: Reason) -> None:
    way, changes = WAYS[reason]
    async with world(**changes) as one:
        await way(one)
        for _ in range(300):
            await one.one_pass()
            found = [r for r in await one.records() if r.remediation_id and r.body.get("reason") == reason]
            if found:
                break
            one.clock.jump(seconds=5)
        else:
            seen = [(r.kind, r.body.get("reason"), r.body.get("detail")) for r in await one.records()]
            raise AssertionError(f"{reason} never came: {seen[:12]}")

        assert found[0].body["detail"], "people are told more than the word"
        await is_told(found[0], reason)
        its = [r for r in await one.records() if r.remediation_id == found[0].remediation_id and r.seq <= found[0].seq]
        is_explained(its, reason)
        if found[-1] == await one.last() and found[-1].incident_id is not None:
            view = await one.database.incident(found[-1].incident_id)
            assert view is not None
            assert view.row.reason == reason
