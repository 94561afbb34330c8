"""The last look: what is asked again after the intent is committed, immediately before a request goes out.

The guards were asked on a picture that may be a minute old, and an annotation does not change the generation that the
request is bound to. Called by `pipeline.py`; costs two reads of the API server, of the workload and its namespace. One
question comes after the other, and what people say last: what was asked beside a slow server would be as old as its
answer when the request goes out.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from remediator.errors import RemediatorError, cut
from remediator.guards.base import NoParameters, View
from remediator.guards.mode import ModeGuard
from remediator.guards.opt_out import OptOutGuard, veto_of
from remediator.guards.still_firing import StillFiringGuard
from remediator.guards.stop import Stop
from remediator.kube.base import Cluster, NotFound, path_of
from remediator.kube.ownership import MODE, wishes_of
from remediator.kube.rollout import rollout_status
from remediator.model import Cause, Json, Mode, Plan, Target
from remediator.reasons import Reason
from remediator.together import together
from remediator.verdicts import Decision, Verdict

SHOWN_BY_PODS = frozenset(
    {
        *(Cause.CODE_ERROR, Cause.CANNOT_START, Cause.IMAGE_ERROR, Cause.MISSING_CONFIG, Cause.PROBE_FAILING),
        *(Cause.CAPACITY, Cause.TAINT_OR_AFFINITY, Cause.VOLUME, Cause.QUOTA, Cause.NODE_FAULT),
    }
)
"""Causes that keep a pod from being there or ready. The others are seen by metrics, or leave the pods as they are."""

WITH_PODS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})

STABLE_FOR = timedelta(minutes=2)
"""How long what is well now is left alone before it is decided anew; its alert is about to be resolved."""


async def no_longer_wanted(view: View, cause: Cause) -> Stop | None:
    """Why the first request may not go out any more, None: it may. `view` is of now, but for what was read before;
    `cause` is what the diagnosis blamed."""
    verdict = await StillFiringGuard().check(view, NoParameters())
    if verdict.decision is not Decision.ALLOW:
        return _stop(verdict)
    target = view.plan.target
    try:
        workload, namespace = await _read(target, view.cluster)
    except NotFound:
        return Stop(Reason.TARGET_NOT_FOUND, f"{target} is gone")
    except RemediatorError as error:
        return _unreadable(target, error)
    if workload["metadata"]["uid"] != target.uid:
        return Stop(Reason.TARGET_CHANGED, f"{target} is another object now")
    fresh = replace(view, workload=replace(view.workload, object=workload, namespace=namespace))
    for guard in (ModeGuard(), OptOutGuard()):
        verdict = await guard.check(fresh, NoParameters())
        if verdict.decision is not Decision.ALLOW:
            return _stop(verdict)
    return condition_gone(workload, target.kind, cause)


def condition_gone(workload: Json, kind: str, cause: Cause) -> Stop | None:
    """The workload is well now, by its own status: all that it wants is there, available, of one release and observed.

    Pure. A container that runs between two crashes counts as well here; the next look finds it in its back-off.
    """
    if cause not in SHOWN_BY_PODS or kind not in WITH_PODS:
        return None
    status = rollout_status(workload, kind)
    if not status.is_complete:
        return None
    detail = f"{status.detail}: nothing is to be seen of {cause} any more"
    return Stop(Reason.CONDITION_GONE, detail, look_again=STABLE_FOR)


async def vetoed(plan: Plan, cluster: Cluster, *, now: datetime) -> Stop | None:
    """Why the owners of workload and namespace want no further request of the plan, and no inverse; None: they say
    nothing of it. What is gone says nothing: the request itself finds out."""
    try:
        workload, namespace = await _read(plan.target, cluster)
    except NotFound:
        return None
    except RemediatorError as error:
        return _unreadable(plan.target, error)
    if (verdict := veto_of(plan.action, workload, namespace, now)) is not None:
        return _stop(verdict)
    for wishes in (wishes_of(workload), wishes_of(namespace)):
        if wishes.problems:
            return Stop(Reason.MODE_INVALID, f"{wishes.problems[0]}: silent")
        if wishes.mode is Mode.SILENT:
            return Stop(Reason.MODE_SILENT, f"{MODE}: silent")
    return None


async def _read(target: Target, cluster: Cluster) -> tuple[Json, Json]:
    """The workload and its namespace; an empty one of what is in none. Raises the errors of `kube.base`."""
    item = cluster.get(path_of(target.kind, namespace=target.namespace or None, name=target.name))
    if not target.namespace:
        return await item, {}
    namespace = cluster.get(path_of("Namespace", namespace=None, name=target.namespace))
    found = await together(item, namespace)
    return found[0], found[1]


def _unreadable(target: Target, error: RemediatorError) -> Stop:
    """It could forbid it."""
    return Stop(Reason.FACT_MISSING, f"{target} and its namespace cannot be read again: {cut(str(error))}")


def _stop(verdict: Verdict) -> Stop:
    return Stop(verdict.reason, verdict.detail, verdict.until)
