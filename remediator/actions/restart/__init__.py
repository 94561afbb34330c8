"""`do: restart`: replace every pod of a workload by a new one of the same template, as `kubectl rollout restart`.

The same annotation as kubectl writes, so that every tool reads it as a restart, but bound to the uid and generation it
was decided on, and refused where it cannot help (a crash loop), would take all pods away at once, or would push the
last other release out of the history. There is no way back from it, and none is needed: nothing is another afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Collection

from pydantic import BaseModel

from remediator.actions.base import Case, NoPlan, Permission
from remediator.actions.preconditions import ROLLED_OUT_KINDS
from remediator.actions.restart.preconditions import Parameters, first_refusal
from remediator.clock import rfc3339
from remediator.kube.base import path_of
from remediator.kube.marking import add_annotation, mark
from remediator.kube.ownership import MANAGER
from remediator.kube.permissions import to
from remediator.kube.restarts import RESTARTED_AT
from remediator.kube.rollout import meaningful_hash
from remediator.model import Json, Plan, Request, Step, ToldBy

JSON_PATCH = "application/json-patch+json"


class Restart:
    name = "restart"
    parameters = Parameters
    permissions = (
        Permission("apps", "deployments", ("patch",)),
        Permission("apps", "statefulsets", ("patch",)),
        Permission("apps", "daemonsets", ("patch",)),
    )

    def needs(self, parameters: BaseModel, kinds: Collection[str]) -> tuple[Permission, ...]:
        return tuple(to(kind, "get", "patch") for kind in ROLLED_OUT_KINDS if kind in kinds)

    def plan(self, case: Case, parameters: BaseModel) -> Plan | NoPlan:
        """One patch of one annotation of the template, or the first reason against it."""
        if (refusal := first_refusal(case)) is not None:
            return refusal
        target, item = case.target, case.workload.object
        at = rfc3339(case.now.replace(microsecond=0))
        before = (item["spec"]["template"]["metadata"].get("annotations") or {}).get(RESTARTED_AT)
        return Plan(
            action=self.name,
            action_id=case.action_id,
            target=target,
            steps=(_step(case, at),),
            proof=case.proof,
            generation=item["metadata"]["generation"],
            template_hash=meaningful_hash(item["spec"]["template"]),
            summary=f"restart {target}: a rolling update to new pods of the same template",
            before={"restartedAt": before},
            after={"restartedAt": at},
            details={"kubectl": f"kubectl -n {target.namespace} rollout restart {target.kind.lower()}/{target.name}"},
        )


def _step(case: Case, at: str) -> Step:
    item, target = case.workload.object, case.target
    template = item["spec"]["template"]
    after = copy.deepcopy(template)
    after["metadata"]["annotations"] = (after["metadata"].get("annotations") or {}) | {RESTARTED_AT: at}
    body: list[Json] = [
        {"op": "test", "path": "/metadata/uid", "value": target.uid},
        {"op": "test", "path": "/metadata/generation", "value": item["metadata"]["generation"]},
        *add_annotation(template, RESTARTED_AT, at, holder="/spec/template"),
        *mark(item, case.action_id),
    ]
    path = path_of(target.kind, namespace=target.namespace, name=target.name)
    return Step(
        request=Request("PATCH", path, JSON_PATCH, body, {"fieldManager": MANAGER}),
        touched=target,
        told_by=ToldBy.MARK,
        generation=item["metadata"]["generation"],
        pointer=("spec", "template"),
        before=template,
        after=after,
    )
