"""Lists of `status.conditions`, changed as the controllers change them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.model import Json


def find(conditions: Sequence[Json], kind: str) -> Json | None:
    return next((condition for condition in conditions if condition["type"] == kind), None)


def without(conditions: Sequence[Json], kind: str) -> list[Json]:
    return [condition for condition in conditions if condition["type"] != kind]


def deployment_condition(kind: str, status: str, reason: str, message: str, *, now: str) -> Json:
    """A DeploymentCondition whose two times are `now`."""
    return {
        "type": kind,
        "status": status,
        "lastUpdateTime": now,
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }


def with_condition(conditions: Sequence[Json], new: Json) -> list[Json]:
    """The condition is left alone while status and reason stay; its transition time only follows the status.

    Source: `SetDeploymentCondition` in kubernetes `pkg/controller/deployment/util/deployment_util.go`.
    """
    old = find(conditions, new["type"])
    if old is not None and (old["status"], old["reason"]) == (new["status"], new["reason"]):
        return list(conditions)
    if old is not None and old["status"] == new["status"]:
        new = new | {"lastTransitionTime": old["lastTransitionTime"]}
    return [*without(conditions, new["type"]), new]


def with_progress(conditions: Sequence[Json], new: Json) -> list[Json]:
    """As above, but `lastUpdateTime` moves with every step of progress even if the reason stays."""
    old = find(conditions, new["type"])
    if old is not None and old["status"] == "True":
        new = new | {"lastTransitionTime": old["lastTransitionTime"]}
    return [*without(conditions, new["type"]), new]
