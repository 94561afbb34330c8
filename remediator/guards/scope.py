"""The scope of the credential: what the alert came by bounds what may be done for it, whatever its labels say.

As the credentials file says it now and not when the alert came: a credential that was taken away acts no more. The
target was within it when it was read (step 3); here stands all that the plan would touch, and the rule.
"""

from __future__ import annotations

from pydantic import BaseModel

from remediator.guards.base import NoParameters, View
from remediator.reasons import Reason
from remediator.verdicts import Decision, Verdict


class ScopeGuard:
    name = "scope"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        credential, authority = view.alert.credential, view.authority
        if authority is None:
            gone = f"credential {credential} is gone, or may not alert any more"
            return self._no(gone if credential else "the alert came without a credential, and one is asked for now")
        touched = {view.plan.target.namespace, *(step.touched.namespace for step in view.plan.steps)}
        if outside := authority.outside(sorted(touched), view.rule):
            return self._no(f"{outside} is outside of what credential {credential} may speak of")
        detail = f"credential {credential}" if credential else "no credential is needed"
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, detail)

    def _no(self, why: str) -> Verdict:
        return Verdict(self.name, Decision.REFUSE, Reason.OUTSIDE_CREDENTIAL, why)
