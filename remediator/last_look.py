"""The last look: what is asked again after the intent is committed, immediately before a request goes out.

The guards were asked on a picture that may be a minute old, and an annotation does not change the generation that the
request is bound to. Called by `pipeline.py`; costs two reads of the API server, of the workload and its namespace.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from remediator.errors import RemediatorError, cut
from remediator.guards.base import NoParameters, View
from remediator.guards.mode import ModeGuard
from remediator.guards.opt_out import OptOutGuard, veto_of
from remediator.guards.still_firing import StillFiringGuard
from remediator.guards.stop import Stop
from remediator.kube.base import Cluster, NotFound, path_of
from remediator.kube.ownership import MODE, wishes_of
from remediator.model import Decision, Json, Mode, Plan, Reason, Target, Verdict


async def no_longer_wanted(view: View) -> Stop | None:
    """Why the first request may not go out any more, None: it may. `view` is of now, but for what was read before."""
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
    return None


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
    item = await cluster.get(path_of(target.kind, namespace=target.namespace or None, name=target.name))
    if not target.namespace:
        return item, {}
    return item, await cluster.get(path_of("Namespace", namespace=None, name=target.namespace))


def _unreadable(target: Target, error: RemediatorError) -> Stop:
    """It could forbid it."""
    return Stop(Reason.FACT_MISSING, f"{target} and its namespace cannot be read again: {cut(str(error))}")


def _stop(verdict: Verdict) -> Stop:
    return Stop(verdict.reason, verdict.detail, verdict.until)
