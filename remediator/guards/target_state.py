"""The object is still the one the plan was made on: same uid, same generation, read again now."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from remediator.guards.base import NoParameters, View
from remediator.kube.base import NotFound, path_of
from remediator.reasons import Reason
from remediator.verdicts import Decision, Verdict

LOOK_AGAIN = timedelta(seconds=5)


class TargetStateGuard:
    name = "target-state"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        target = view.plan.target
        try:
            item = await view.cluster.get(path_of(target.kind, namespace=target.namespace, name=target.name))
        except NotFound:
            return Verdict(self.name, Decision.REFUSE, Reason.TARGET_NOT_FOUND, f"{target} is gone")
        metadata = item["metadata"]
        if metadata["uid"] != target.uid:
            return Verdict(self.name, Decision.REFUSE, Reason.TARGET_CHANGED, f"{target} is another object now")
        if metadata["generation"] != view.plan.generation:
            return Verdict(
                self.name,
                Decision.HOLD,
                Reason.CONFLICT,
                f"generation {metadata['generation']}, planned on {view.plan.generation}: deciding again",
                until=view.now + LOOK_AGAIN,
            )
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, f"generation {view.plan.generation} as planned")
