"""The 14 preconditions of a rollback; the first that does not hold names the refusal. Pure.

They read one picture of the object; the patch is bound to that picture's generation, so they still hold when it is
written. The numbers are the ones that people find in the refusal and in the tests; the order is cheap and strict first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from remediator.actions.base import Case, NoPlan
from remediator.actions.preconditions import (
    no_controller,
    no_gitops,
    not_being_deleted,
    not_opted_out,
    not_paused,
)
from remediator.actions.rollback.parameters import Parameters
from remediator.actions.rollback.revisions import Revision, Revisions
from remediator.clock import rfc3339
from remediator.kube.rollout import deployed_ago, differing_paths, meaningful_hash
from remediator.kube.template import claim_names, config_map_names, service_account_names
from remediator.model import Json
from remediator.reasons import Reason

INSTALLED = "installed"
ROLLED_BACK_FROM = "rolled-back-from"
SEEN_GOOD = "seen-good"
WAS_AVAILABLE = "revision-was-available"
"""Kind of the finding by which the rollout collector proves from Prometheus how long a ReplicaSet was available."""


@dataclass(frozen=True, slots=True)
class View:
    """What a precondition reads. `previous` is only looked at by those that stand after number 5."""

    case: Case
    revisions: Revisions
    parameters: Parameters

    @property
    def workload(self) -> Json:
        return self.case.workload.object

    @property
    def previous(self) -> Revision:
        assert self.revisions.previous is not None
        return self.revisions.previous


def kind_refusal(case: Case, parameters: Parameters) -> NoPlan | None:
    """2, first part: a kind that the rule names. Asked before the revisions are read, which other kinds do not have."""
    kind = case.target.kind
    if kind not in parameters.kinds:
        allowed = " and ".join(f"{name}s" for name in parameters.kinds)
        detail = f"precondition 2: rollback acts on {allowed}, not on {kind}"
        return NoPlan(Reason.TARGET_UNSUPPORTED, detail)
    if kind != "Deployment" and case.workload.controller_revisions is None:
        return NoPlan(Reason.FACT_MISSING, "precondition 1: not permitted to list controllerrevisions")
    return None


def strategy(view: View) -> NoPlan | None:
    """2: not paused, not being deleted, with a strategy that moves all pods."""
    case = view.case
    if (refusal := not_being_deleted(case) or not_paused(case)) is not None:
        return refusal
    spec, kind = view.workload["spec"], case.target.kind
    chosen = spec.get("strategy" if kind == "Deployment" else "updateStrategy") or {}
    name = chosen.get("type", "RollingUpdate")
    partition = (chosen.get("rollingUpdate") or {}).get("partition") or 0
    if (name == "RollingUpdate" and not partition) or (name == "Recreate" and kind == "Deployment"):
        return None
    what = f"partition {partition}: pods below it stay" if partition else f"strategy {name}"
    advice = (
        f"kubectl -n {case.target.namespace} rollout undo {kind.lower()}/{case.target.name}, then delete its bad pods"
    )
    return NoPlan(Reason.UNSUPPORTED_STRATEGY, what, advice=advice if kind != "Deployment" else "")


def observed(view: View) -> NoPlan | None:
    """1: the controller has observed the spec, and its revision has the highest number: else undo goes too far."""
    if view.revisions.is_observed:
        return None
    return NoPlan(
        Reason.NOT_OBSERVED,
        f"the {view.case.target.kind.lower()} controller has not observed the present spec: "
        "the revision to go back to is not known",
    )


def history(view: View) -> NoPlan | None:
    """13: there is a history to go back in."""
    if view.workload["spec"].get("revisionHistoryLimit") == 0:
        return NoPlan(Reason.NO_HISTORY, "revisionHistoryLimit is 0: no revision is kept")
    if len(view.revisions.history) < 2:
        return NoPlan(Reason.NO_HISTORY, "there is one revision only")
    return None


def different_revision(view: View) -> NoPlan | None:
    """5: some older revision differs in more than a restart."""
    if view.revisions.previous is not None:
        return None
    return NoPlan(
        Reason.NO_DIFFERENT_REVISION,
        f"every revision below {view.revisions.current_number} has the same template but for restarts",
    )


def more_than_checksums(view: View) -> NoPlan | None:
    """6: the difference is more than Helm's `checksum/*` annotations, whose change is in a ConfigMap."""
    paths = differing_paths(view.workload["spec"]["template"], view.previous.template)
    # A whole annotations map that exists on one side only shows as one path.
    if all(_is_checksum(path, view) for path in paths):
        return NoPlan(
            Reason.ONLY_CHECKSUM_DIFFERS,
            f"revisions {view.revisions.previous_number} and {view.revisions.current_number} differ in checksum "
            "annotations only: the change is in a ConfigMap or Secret, which a rollback does not restore",
            advice="restore the former configuration",
        )
    return None


def config_unchanged(view: View) -> NoPlan | None:
    """7: no ConfigMap in use changed after the rollout began."""
    names = config_map_names(view.workload["spec"]["template"])
    if not names:
        return None
    known, started = view.case.workload.config_maps, view.revisions.times.started_at
    if known is None or started is None:
        return NoPlan(
            Reason.FACT_MISSING,
            f"whether ConfigMap {', '.join(sorted(names))} changed since the rollout is not known: "
            + ("not permitted to list configmaps" if known is None else "the start of the rollout is not known"),
        )
    changed = sorted(name for name in names if name in known and known[name] > started)
    if not changed:
        return None
    return NoPlan(
        Reason.CONFIG_CHANGED,
        f"ConfigMap {changed[0]} changed at {rfc3339(known[changed[0]])}, after the rollout of {rfc3339(started)}: "
        "a rollback does not restore it",
        advice=f"restore the former content of ConfigMap {changed[0]}",
    )


def references_exist(view: View) -> NoPlan | None:
    """8: what the previous template names still exists (Secrets are not looked at)."""
    template, workload = view.previous.template, view.case.workload
    needed = (
        ("ConfigMap", config_map_names(template), workload.config_maps),
        ("PersistentVolumeClaim", claim_names(template), workload.claims),
        ("ServiceAccount", service_account_names(template), workload.service_accounts),
    )
    for kind, names, known in needed:
        if names and known is None:
            return NoPlan(Reason.FACT_MISSING, f"whether {kind} {min(names)} still exists is not known: not permitted")
        missing = sorted(name for name in names if name not in (known or ()))
        if missing:
            return NoPlan(
                Reason.REFERENCE_MISSING,
                f"revision {view.revisions.previous_number} needs {kind} {missing[0]}, which is gone",
                advice=f"restore {kind} {missing[0]} first",
            )
    return None


def recent_and_related(view: View) -> NoPlan | None:
    """9: the rollout is proven recent, and the alert did not begin before it."""
    times, now = view.revisions.times, view.case.now
    ago = deployed_ago(times, now)
    if ago is None or ago > view.parameters.recent:
        age = "is not known" if ago is None else f"was {_minutes(ago.total_seconds())} ago"
        return NoPlan(
            Reason.NOT_RECENT,
            f"the last rollout {age}, the limit is {_minutes(view.parameters.recent.total_seconds())}",
        )
    began_by = view.revisions.began_by
    if began_by is None or view.case.alert.starts_at < began_by:
        return NoPlan(
            Reason.NOT_RECENT,
            f"the alert began at {rfc3339(view.case.alert.starts_at)}, before the rollout"
            + (f" of {rfc3339(began_by)}" if began_by else ", whose start is not known"),
        )
    return None


def previous_was_good(view: View) -> NoPlan | None:
    """10: the previous revision has ready pods now, or was seen fully available for long enough."""
    if view.previous.ready:
        return None
    previous_hash = meaningful_hash(view.previous.template)
    if any(event.event == SEEN_GOOD and event.template_hash == previous_hash for event in view.case.ledger):
        return None
    name = view.previous.name
    seconds = max(
        (
            float(finding.facts["seconds"])
            for finding in view.case.findings
            if finding.kind == WAS_AVAILABLE and finding.facts["replica_set"] == name
        ),
        default=0.0,
    )
    needed = view.parameters.min_good.total_seconds()
    if seconds >= needed and seconds > 0:
        return None
    return NoPlan(
        Reason.PREVIOUS_NOT_PROVEN_GOOD,
        f"revision {view.revisions.previous_number} has no ready pod now and was seen fully available for "
        f"{_minutes(seconds)} of the {_minutes(needed)} needed",
    )


def no_flip_flop(view: View) -> NoPlan | None:
    """11: we never left the revision we would go to, and what runs now was not put there by us."""
    previous_hash = meaningful_hash(view.previous.template)
    live_hash = meaningful_hash(view.workload["spec"]["template"])
    for event in view.case.ledger:
        if event.event == ROLLED_BACK_FROM and event.template_hash == previous_hash:
            return NoPlan(
                Reason.ALREADY_ROLLED_BACK,
                f"revision {view.revisions.previous_number} was itself rolled back from at {rfc3339(event.at)}",
            )
        if event.event == INSTALLED and event.template_hash == live_hash:
            return NoPlan(
                Reason.ALREADY_ROLLED_BACK,
                f"the present template was restored by remediator at {rfc3339(event.at)}, and it fails too",
            )
    return None


def not_redeployed(view: View) -> NoPlan | None:
    """12: nobody brought the present release back after we had rolled it back."""
    live_hash = meaningful_hash(view.workload["spec"]["template"])
    for event in view.case.ledger:
        if event.event == ROLLED_BACK_FROM and event.template_hash == live_hash:
            return NoPlan(
                Reason.REDEPLOYED_AFTER_ROLLBACK,
                f"this release was rolled back at {rfc3339(event.at)} and someone deployed it again",
                is_escalation=True,
            )
    return None


PRECONDITIONS: tuple[tuple[int, Callable[[View], NoPlan | None]], ...] = (
    (2, strategy),
    (14, lambda view: not_opted_out(view.case, "rollback")),
    (1, observed),
    (3, lambda view: no_controller(view.case)),
    (4, lambda view: no_gitops(view.case, field="template", what="the pod template")),
    (13, history),
    (5, different_revision),
    (12, not_redeployed),
    (11, no_flip_flop),
    (6, more_than_checksums),
    (9, recent_and_related),
    (7, config_unchanged),
    (8, references_exist),
    (10, previous_was_good),
)


def first_refusal(case: Case, revisions: Revisions, parameters: Parameters) -> NoPlan | None:
    """The first precondition that does not hold; its number begins the detail."""
    view = View(case, revisions, parameters)
    for number, precondition in PRECONDITIONS:
        if (refusal := precondition(view)) is not None:
            return NoPlan(
                refusal.reason, f"precondition {number}: {refusal.detail}", refusal.advice, refusal.is_escalation
            )
    return None


def _is_checksum(path: str, view: View) -> bool:
    if path.startswith("/metadata/annotations/checksum/"):
        return True
    if path not in ("/metadata/annotations", "/metadata"):
        return False
    sides = (view.workload["spec"]["template"], view.previous.template)
    metadata = [side.get("metadata") or {} for side in sides]
    if (metadata[0].get("labels") or {}) and path == "/metadata":
        return False
    keys = {key for one in metadata for key in one.get("annotations") or {}}
    return all(key.startswith("checksum/") for key in keys)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
