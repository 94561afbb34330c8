"""What people have to do, over HTTP: the open escalations, and who takes one on.

Beside the way of an alert. `application.py` adds the routes; `cli/escalations.py` is the client people use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import structlog
from aiohttp import web
from pydantic import Field

from remediator.api.answers import Answer, EscalationEntry, answer, problem
from remediator.api.asking import EVERYTHING, Asked, Concerns, read_asked
from remediator.clock import Clock
from remediator.rules.ruleset import RuleSet
from remediator.store.base import Store
from remediator.store.escalations_base import Acknowledgement, Escalation, NotOpen

_REFERENCE = re.compile(r"(?P<what>E-|inc-)?(?P<number>[0-9]{1,15})")
_log = structlog.get_logger(__name__)


class AckRequest(Asked):
    """Take an escalation on: nobody further is told."""

    close: bool = Field(
        default=False, description="It is over as well, whatever fires: for alerts that nobody reports as resolved."
    )


class OpenEscalation(EscalationEntry):
    """One that is open."""

    next: str | None = Field(description="Who is told at next_at; null: nobody further.")


class OpenEscalations(Answer):
    escalations: Sequence[OpenEscalation]


class EscalationRoutes:
    """Handlers over the store and the matrix of the rules in force."""

    def __init__(self, store: Store, *, rules: Callable[[], RuleSet], clock: Clock) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/escalations", self.escalations),
            web.post("/api/v1/escalations/{id}/ack", self.acknowledge),
        ]

    async def escalations(self, _: web.Request) -> web.Response:
        """The open ones, most severe first."""
        found = await self._store.escalations()
        return answer(OpenEscalations(escalations=[self._shown(one) for one in found]))

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Of one escalation, by its number or E-<number>, or of an incident, by inc-<number>."""
        text = request.match_info["id"]
        wanted = await read_asked(request, AckRequest, concerns=lambda: self._concerned(text))
        if isinstance(wanted, web.Response):
            return wanted
        if _REFERENCE.fullmatch(text) is None:
            return problem(400, f"{text!r} is no escalation: expected a number, E-<number> or inc-<number>")
        if (one := await self._open(text)) is None:
            return problem(404, f"{text} has no open escalation" if "inc-" in text else f"{text} is not open")
        said = Acknowledgement(wanted.by, wanted.comment, self._clock.now(), wanted.close)
        try:
            after = await self._store.acknowledge(one.id, said)
        except NotOpen as error:
            return problem(409, str(error))
        _log.warning("acknowledged", escalation=one.ref, by=said.by, comment=said.comment, closed=said.closes)
        return answer(EscalationEntry.of(after))

    async def _open(self, text: str) -> Escalation | None:
        """The open one that is named by its number, E-<number>, or its incident, inc-<number>."""
        if (named := _REFERENCE.fullmatch(text)) is None:
            return None
        number, is_incident = int(named["number"]), named["what"] == "inc-"
        found = await self._store.escalations()
        return next((one for one in found if number == (one.incident_id if is_incident else one.id)), None)

    async def _concerned(self, text: str) -> Concerns | None:
        """What it is about: its target's namespace and its rule; a gate is about everything."""
        if (one := await self._open(text)) is None:
            return None
        return EVERYTHING if one.target is None else ((one.target.namespace,), one.rule or "")

    def _shown(self, one: Escalation) -> OpenEscalation:
        following = None if one.next_at is None else self._rules().escalation.following(one)
        is_told = following is not None and following.wait is not None
        return OpenEscalation(
            next=following.tell if following is not None and is_told else None,
            **EscalationEntry.of(one).model_dump(),
        )
