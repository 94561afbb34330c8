"""Resizing pods in place, and the quality of service that it may not change. Pure. Called by `api.py`.

Sources: kubernetes `pkg/apis/core/validation` (`ValidatePodResize`), `pkg/registry/core/pod/strategy.go`
(`podResizeStrategy`), `pkg/apis/core/v1/helper/qos/qos.go`.
"""

from __future__ import annotations

from remediator.model import Json
from remediator.simulate.answers import Cause, invalid
from remediator.simulate.storage import POD, copied

COMPUTE = ("cpu", "memory")


def quality_of(spec: Json) -> str:
    """BestEffort, Burstable or Guaranteed."""
    amounts = [container.get("resources") or {} for container in spec.get("containers") or ()]
    if not any(one.get("requests") or one.get("limits") for one in amounts):
        return "BestEffort"
    is_bound = all(
        (one.get("limits") or {}).get(name) is not None
        and (one.get("requests") or one["limits"]).get(name) == one["limits"][name]
        for one in amounts
        for name in COMPUTE
    )
    return "Guaranteed" if is_bound else "Burstable"


def resized(old: Json, new: Json) -> Json:
    """The stored pod with the resources of `new`; any other change is passed over. Raises Refused (422)."""
    kept = copied(old)
    for container, wanted in zip(kept["spec"]["containers"], new["spec"]["containers"], strict=False):
        container["resources"] = copied(wanted.get("resources") or {})
    if quality_of(kept["spec"]) != quality_of(old["spec"]):
        text = f'Invalid value: "{quality_of(kept["spec"])}": Pod QOS Class may not change as a result of resizing'
        raise invalid(POD, "Pod", old["metadata"]["name"], [Cause("FieldValueInvalid", text, "spec")])
    return kept
