"""The circuit breaker: a rule, or a cluster, whose actions do not help only recommends, until a person has looked.

Open after two actions in a row, or three of the last ten, that were not verified. An unknown outcome is not success.
Nothing closes it but `remediator reset`, which keeps who did it and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from remediator.guards.base import View
from remediator.model import Outcome
from remediator.reasons import Reason
from remediator.store.budgets_base import Forgiven, PastAction
from remediator.verdicts import Decision, Verdict

EVER = datetime(1970, 1, 1, tzinfo=UTC)
LAST = 10


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    in_a_row: int = Field(2, ge=1, le=5, description="It opens after so many actions in a row that were not verified.")
    of_last_ten: int = Field(3, ge=1, le=9, description="It opens after so many of the last ten.")


class BreakerGuard:
    name = "breaker"
    parameters = Parameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        assert isinstance(parameters, Parameters)
        cluster = view.plan.target.cluster
        said = []
        for what, subject, rule in (
            (Forgiven.RULE, view.rule, view.rule),
            (Forgiven.CLUSTER, cluster, None),
        ):
            forgiven = await view.store.last_reset(what, subject)
            since = forgiven.at if forgiven else EVER
            done = await view.store.past_actions(cluster=cluster, since=since, rule=rule, limit=4 * LAST)
            known = [one for one in done if one.outcome is not None][:LAST]
            if (why := _opens(known, parameters)) is not None:
                option = f"--{what} {subject}"
                detail = f"open for {what} {subject}: {why}; remediator reset {option} --comment ..."
                return Verdict(self.name, Decision.REFUSE, Reason.BREAKER_OPEN, detail)
            failed = sum(one.outcome is not Outcome.VERIFIED for one in known)
            said.append(f"{what}: {failed} of the last {len(known)} did not help")
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, "closed; " + ", ".join(said))


def _opens(known: Sequence[PastAction], parameters: Parameters) -> str | None:
    """Why it is open, None: it is closed. `known` are the last actions with an outcome, newest first."""
    bad = [one for one in known if one.outcome is not Outcome.VERIFIED]
    newest = known[: parameters.in_a_row]
    if len(newest) == parameters.in_a_row and all(one.outcome is not Outcome.VERIFIED for one in newest):
        return f"the last {parameters.in_a_row} did not help ({_names(newest)})"
    if len(bad) >= parameters.of_last_ten:
        return f"{len(bad)} of the last {len(known)} did not help ({_names(bad)})"
    return None


def _names(actions: Sequence[PastAction]) -> str:
    return ", ".join(f"R-{one.remediation} {one.outcome}" for one in actions)
