"""The proof of a recommendation: could it have been done? Between steps 6 and 9 of an alert, called by `pipeline.py`.

Two words of the API server, neither of which changes anything: its dry run of the exact requests, which the guard
`dry-run` asked for, with what it would make of the object; and whether this account may send them, for the inverses
too. Where one cannot be had, that is said by name, and the recommendation stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from remediator.guards.check import Ruling
from remediator.kube.access_review import Fence, Permitted, access_of, fence_of, permitted
from remediator.kube.base import Cluster
from remediator.model import Json, Mode, Plan
from remediator.verdicts import Decision, DryAnswer, DryRun

PROVEN = frozenset({Decision.RECOMMEND, Decision.ASK})
"""What a proof belongs to: nothing keeps the action from being done but that people have to want it."""

CANNOT_TELL = frozenset({DryAnswer.NO_PERMISSION, DryAnswer.NO_DRY_RUN})


@dataclass(frozen=True, slots=True)
class Proven:
    """`dry_runs` are those that were tried, in the order of the plan; one that was not accepted is the last. `fence` is
    asked in silent mode, where a dry run that is accepted means a right to the real write: None elsewhere."""

    dry_runs: Sequence[DryRun]
    permissions: Sequence[Permitted]
    fence: Fence | None = None

    @property
    def is_executable(self) -> bool | None:
        """Whether it could have been done just now, by this account; None: that could not be told."""
        answers = [one.answer for one in self.dry_runs]
        allowed = [one.is_allowed for one in self.permissions]
        if False in allowed or any(one is not DryAnswer.ACCEPTED and one not in CANNOT_TELL for one in answers):
            return False
        is_told = bool(answers) and all(one is DryAnswer.ACCEPTED for one in answers) and all(allowed)
        return True if is_told else None

    def as_json(self) -> Json:
        """As a record keeps it."""
        return {
            "executable": self.is_executable,
            **({} if self.fence is None else {"fence": self.fence.value}),
            "dry_run": [
                {**asdict(one), "answer": one.answer.value, "changes": [asdict(change) for change in one.changes]}
                for one in self.dry_runs
            ],
            "permissions": [
                {**asdict(one.access), "allowed": one.is_allowed, "reason": one.reason} for one in self.permissions
            ],
        }


async def prove(plan: Plan, ruling: Ruling, cluster: Cluster, *, mode: Mode) -> Proven | None:
    """None for what no proof belongs to. `mode` is the service's own."""
    if ruling.deciding.decision not in PROVEN:
        return None
    requests = [step.request for step in plan.steps]
    requests += [step.inverse for step in plan.steps if step.inverse is not None]
    needed = dict.fromkeys(map(access_of, requests))
    dry_runs = [one for verdict in ruling.verdicts for one in verdict.dry_runs]
    is_fenced = mode is Mode.SILENT and any(one.answer is DryAnswer.ACCEPTED for one in dry_runs)
    return Proven(
        dry_runs=dry_runs,
        permissions=[await permitted(access, cluster) for access in needed],
        fence=await fence_of(cluster) if is_fenced else None,
    )
