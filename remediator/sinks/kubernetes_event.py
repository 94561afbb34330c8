"""The `kubernetes-event` sink: an Event on the touched object, so that `kubectl describe` shows what we did or refused.

Best effort by nature (Events go after an hour): the audit log is the record. The Event's name is made from the record's
number, so telling a record twice makes one Event.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.clock import rfc3339
from remediator.errors import cut
from remediator.kube.base import RESOURCES, Cluster, Conflict, Forbidden, NotFound, path_of
from remediator.kube.permissions import to
from remediator.model import Json, Request
from remediator.sinks.base import LEADS_UP
from remediator.store.base import CommittedRecord

WORDS: Mapping[str, tuple[str, str]] = {
    "decision.recommended": ("Recommended", "Normal"),
    "decision.held": ("Held", "Normal"),
    "decision.escalated": ("Escalated", "Warning"),
    "decision.declined": ("Declined", "Normal"),
    "decision.cancelled": ("Cancelled", "Normal"),
    "decision.expired": ("Expired", "Normal"),
    "decision.awaiting-approval": ("AwaitingApproval", "Normal"),
    "action.applied": ("Acted", "Normal"),
    "action.not-applied": ("NotActed", "Warning"),
    "outcome.verified": ("Verified", "Normal"),
    "outcome.temporary": ("VerifiedForNow", "Normal"),
    "restore.intent": ("GivingBack", "Normal"),
    "outcome.failed": ("NotVerified", "Warning"),
    "outcome.unknown": ("OutcomeUnknown", "Warning"),
    "outcome.reverted": ("Reverted", "Warning"),
    "escalation.opened": ("PeopleCalled", "Warning"),
    "escalation.joined": ("PeopleCalled", "Warning"),
    "escalation.passed-on": ("PassedOn", "Warning"),
    "escalation.reminded": ("Reminded", "Warning"),
    "escalation.unanswered": ("Unanswered", "Warning"),
    "escalation.acknowledged": ("Acknowledged", "Normal"),
    "escalation.ended": ("EscalationEnded", "Normal"),
}
"""Record kind -> (Event reason, Event type). Kinds that are not here make no Event."""

VERBS: Mapping[str, tuple[str, str]] = {
    "rollback": ("WouldRollBack", "RolledBack"),
    "scale": ("WouldScale", "Scaled"),
    "restart": ("WouldRestart", "Restarted"),
    "evict": ("WouldEvict", "Evicted"),
    "resize": ("WouldResize", "Resized"),
    "shed": ("WouldShed", "Shed"),
}
"""Action -> its Event reason when recommended and when done."""


PERMISSIONS = (to("Event", "create"),)
"""Never patched: each is told once, under a name of its own."""


class KubernetesEventSink:
    name = "kubernetes-event"
    silent_on = LEADS_UP

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def tell(self, record: CommittedRecord) -> None:
        target = record.body.get("object")
        if record.kind not in WORDS or not target:
            return
        try:
            await self._cluster.send(_event(record, target), dry_run=False)
        except Conflict:
            return  # told before
        except (Forbidden, NotFound):
            return  # not permitted, or the namespace is gone: the record itself stands in the log


def _event(record: CommittedRecord, target: Json) -> Request:
    reason, kind = WORDS[record.kind]
    action: str = record.body.get("action") or ""
    if action in VERBS and record.kind in ("decision.recommended", "action.applied"):
        reason = VERBS[action][record.kind == "action.applied"]
    place = RESOURCES[target["kind"]]
    stamp = rfc3339(record.at)
    incident = f"inc-{record.incident_id}: " if record.incident_id is not None else ""
    why = f" [{record.body['reason']}]" if record.body.get("reason") else ""
    detail = cut(f"{incident}{record.body.get('detail') or record.kind}")  # what is cut off must not be the reason
    proven = f"; {_proven(proof)}" if isinstance(proof := record.body.get("proof"), Mapping) else ""
    note = cut(f"{detail}{why}{proven} (rule {record.body.get('rule')})", max_length=1000)
    return Request(
        method="POST",
        path=path_of("Event", namespace=target["namespace"] or "default"),
        content_type="application/json",
        query={"fieldManager": "remediator"},
        body={
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": f"remediator.{record.body.get('action_id', 'none')[:16]}.{record.seq:x}",
                "namespace": target["namespace"] or "default",
            },
            "eventTime": stamp if "." in stamp else stamp.replace("Z", ".000000Z"),
            "reportingController": "remediator.io/controller",
            "reportingInstance": "remediator",
            "action": (action or ("tell" if record.kind.startswith("escalation.") else "decide")).capitalize(),
            "reason": reason,
            "regarding": {
                "apiVersion": f"{place.group}/{place.version}".lstrip("/"),
                "kind": target["kind"],
                "namespace": target["namespace"],
                "name": target["name"],
                "uid": target["uid"],
            },
            "note": note,
            "type": kind,
        },
    )


def _proven(proof: Mapping[str, Json]) -> str:
    """What a recommendation is proven by, in a few words."""
    tried = [str(one["answer"]) for one in proof["dry_run"]]
    permissions = proof["permissions"]
    allowed = sum(one["allowed"] is True for one in permissions)
    could = {True: "yes", False: "no"}.get(proof["executable"], "not known")
    dry_run = tried[-1] if tried else "not tried"
    return f"dry run {dry_run}, {allowed} of {len(permissions)} permissions, could have been done: {could}"
