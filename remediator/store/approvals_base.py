"""What is asked of approvals: what waits for one, what a person said, and what it is bound to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from remediator.audit.record import canonical_json
from remediator.errors import RemediatorError
from remediator.model import Json, Plan, RemediationId


class NotAwaited(RemediatorError):
    """Nobody waits for that approval: no such remediation, another state, or another plan than the person saw."""


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person said to one plan."""

    remediation: RemediationId
    plan_hash: str
    is_granted: bool
    by: str
    comment: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Awaiting:
    """A remediation that waits for a person. `request` is the body of the record that asked."""

    remediation: RemediationId
    target: str
    rule: str
    until: datetime
    request: Mapping[str, Json]


class Approvals(Protocol):
    """Every method raises StoreUnavailable when the database cannot answer."""

    async def awaiting(self) -> Sequence[Awaiting]:
        """What waits for a person now, oldest first."""

    async def approval(self, remediation: RemediationId) -> Approval | None:
        """What a person said since it was asked for last."""

    async def answer(self, approval: Approval) -> None:
        """Keep it and make the remediation due, if it still waits for that plan; also a record. Raises NotAwaited."""


def plan_hash(plan: Plan) -> str:
    """What an approval is bound to: what is done, to which object in which state. SHA-256 in hexadecimal.

    Not the bytes of the request: they hold a time and an id, and the plan is made anew before it is done.
    """
    bound = {
        "action": plan.action,
        "target": plan.target.key,
        "uid": plan.target.uid,
        "generation": plan.generation,
        "template": plan.template_hash,
        "summary": plan.summary,
        "touched": [[step.touched.key, step.touched.uid, step.request.method] for step in plan.steps],
    }
    return hashlib.sha256(canonical_json(bound)).hexdigest()
