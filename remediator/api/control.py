"""What people set over HTTP: the kill switch, pauses, and what the ledger of actions forgives. And what holds now.

Beside the way of an alert. `application.py` adds the routes; `cli/control.py` is the client people use. Every POST
needs who and why, and leaves a record.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Self

import structlog
from aiohttp import web
from pydantic import AwareDatetime, Field, field_validator, model_validator

from remediator.api.answers import Answer, answer, problem
from remediator.api.asking import Asked, Concerns, Subject, read_asked
from remediator.clock import Clock
from remediator.guards.stop import Stop
from remediator.model import Json, RemediationId
from remediator.rules.report import did_you_mean
from remediator.rules.ruleset import RuleSet
from remediator.store.approvals_base import Approval, Awaiting, NotAwaited
from remediator.store.base import KillSwitch, Store
from remediator.store.budgets_base import Forgiven, Reset
from remediator.store.pauses_base import Pause, PauseOf
from remediator.store.reading import IncidentReader

_log = structlog.get_logger(__name__)


class PauseRequest(Asked):
    """Engage or release the kill switch, or the pause of one rule, namespace or target."""

    engaged: bool
    rule: Subject | None = Field(default=None, description="Only what this rule does.")
    namespace: Subject | None = Field(default=None, description="Only what is in this namespace.")
    target: Subject | None = Field(default=None, description="Only this one: namespace/kind/name.")
    until: AwareDatetime | None = Field(
        default=None, strict=False, description="When it releases itself (RFC 3339 with zone); only when engaging."
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.until is not None and not self.engaged:
            raise ValueError("until is only for engaging")
        if sum(subject is not None for subject in (self.rule, self.namespace, self.target)) > 1:
            raise ValueError("give at most one of rule, namespace and target")
        return self

    @field_validator("target")
    @classmethod
    def _is_target(cls, text: str | None) -> str | None:
        """As records write it: a pause of something that nobody has that name for would stop nothing."""
        if text is None:
            return None
        namespace, kind, name, *rest = [*text.split("/"), "", ""]
        if not (namespace and kind and name) or any(rest):
            raise ValueError("write namespace/kind/name, like shop/deployment/checkout")
        return f"{namespace}/{kind.lower()}/{name}"

    @property
    def subject(self) -> tuple[PauseOf, str] | None:
        """What it is of; None: everything."""
        named = ((PauseOf.RULE, self.rule), (PauseOf.NAMESPACE, self.namespace), (PauseOf.TARGET, self.target))
        return next(((what, subject) for what, subject in named if subject is not None), None)

    @property
    def concerns(self) -> Concerns:
        if self.namespace is not None or self.target is not None:
            return ((self.namespace or str(self.target).partition("/")[0],), "")
        return ((), self.rule or "")


class ResetRequest(Asked):
    """Let the counting of what did not help begin anew: a circuit breaker's, or a target's attempts."""

    what: Forgiven = Field(strict=False, description="rule, cluster or target.")
    subject: Subject = Field(description="Name of the rule or cluster, or the target: cluster/namespace/Kind/name.")

    @property
    def concerns(self) -> Concerns:
        if self.what is Forgiven.TARGET:
            return (tuple(self.subject.split("/")[1:2]), "")
        return ((), self.subject if self.what is Forgiven.RULE else "")


class ApprovalRequest(Asked):
    """Approve or deny one plan, as it was shown."""

    plan_hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the plan that the person saw.")


class ApprovalEntry(Answer):
    """What waits for a person: the exact change, the dry run, what it costs, and until when."""

    id: int
    ref: str = Field(description="How people write it: R-<id>.")
    target: str
    rule: str
    action: str
    summary: str
    before: Json
    after: Json
    dry_run: str = Field(description="What the API server said of the exact requests.")
    costs: Sequence[str] = Field(description="The budgets that it takes a slot of.")
    until: datetime
    plan_hash: str

    @classmethod
    def of(cls, one: Awaiting) -> Self:
        plan = one.request.get("plan") or {}
        verdicts = one.request.get("verdicts") or ()
        return cls(
            id=one.remediation,
            ref=f"R-{one.remediation}",
            target=one.target,
            rule=one.rule,
            action=str(one.request.get("action", "")),
            summary=str(plan.get("summary", "")),
            before=plan.get("before"),
            after=plan.get("after"),
            dry_run=next((v["detail"] for v in verdicts if v["guard"] == "dry-run"), "not tried"),
            costs=list(one.request.get("costs") or ()),
            until=one.until,
            plan_hash=str(one.request.get("plan_hash", "")),
        )


class ApprovalsAwaited(Answer):
    approvals: Sequence[ApprovalEntry]


class ApprovalDone(Answer):
    ref: str
    granted: bool
    by: str
    comment: str
    at: datetime


class PauseEntry(Answer):
    """The pause of one rule, namespace or target."""

    what: str
    subject: str
    comment: str
    by: str
    at: datetime
    until: datetime | None


class PauseStatus(Answer):
    """The kill switch, and the pauses beside it. While it is engaged nothing is written to the cluster; alerts are
    still kept and diagnosed."""

    engaged: bool
    comment: str
    by: str
    at: datetime
    until: datetime | None = Field(description="When it releases itself; null: when a person says so.")
    pauses: Sequence[PauseEntry]


class GateEntry(Answer):
    """A common cause that keeps many from acting."""

    cluster: str
    key: str
    reason: str
    detail: str
    since: datetime
    seen_at: datetime
    until: datetime


class DutyEntry(Answer):
    name: str
    owner: str
    until: datetime = Field(description="When another may take it if it is not prolonged.")


class Status(Answer):
    """What holds now, and why."""

    stopped: str = Field(description="Why nothing is written at all; empty: nothing stops it.")
    pauses: Sequence[PauseEntry]
    gates: Sequence[GateEntry]
    queue: Mapping[str, int] = Field(description="State -> remediations in it, for states that are not final.")
    replica: str = Field(description="Which of the replicas answered.")
    duties: Sequence[DutyEntry] = Field(description="What one replica does for all, and which one does it now.")
    watchdog: str = Field(description="When the alert that always fires was last heard, or why it is missing.")


class ResetDone(Answer):
    what: str
    subject: str
    by: str
    comment: str
    at: datetime


class ControlRoutes:
    """Handlers over the store. `rules` gives the table in force; `stop` asks for the kill switch wherever it is;
    `paused` sets its gauge; `wake` says that there is something to be done, `watchdog` how
    that alert stands."""

    def __init__(
        self,
        store: Store,
        reader: IncidentReader,
        *,
        clock: Clock,
        rules: Callable[[], RuleSet],
        stop: Callable[[], Awaitable[Stop | None]],
        paused: Callable[[bool], None],
        wake: Callable[[], None],
        replica: str,
        watchdog: Callable[[], Awaitable[str]],
    ) -> None:
        self._store = store
        self._reader = reader
        self._clock = clock
        self._rules = rules
        self._stop = stop
        self._paused = paused
        self._wake = wake
        self._replica = replica
        self._watchdog = watchdog

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/pause", self.show_pause),
            web.post("/api/v1/pause", self.set_pause),
            web.post("/api/v1/reset", self.reset),
            web.get("/api/v1/status", self.status),
            web.get("/api/v1/approvals", self.approvals),
            web.post("/api/v1/approvals/{id}/approve", self.approve),
            web.post("/api/v1/approvals/{id}/deny", self.deny),
        ]

    async def show_pause(self, _: web.Request) -> web.Response:
        return await self._pause()

    async def set_pause(self, request: web.Request) -> web.Response:
        """Engage or release the kill switch, or one pause."""
        wanted = await read_asked(request, PauseRequest)
        if isinstance(wanted, web.Response):
            return wanted
        now = self._clock.now()
        if wanted.until is not None and wanted.until <= now:
            return problem(400, "until: must be in the future")
        if (named := wanted.subject) is None:
            switch = KillSwitch(wanted.engaged, wanted.comment, wanted.by, now, wanted.until)
            await self._store.set_kill_switch(switch)
            self._paused(switch.engaged)
        elif wanted.engaged and (unknown := self._unknown(*named)) is not None:
            return problem(400, unknown)
        elif wanted.engaged:
            await self._store.set_pause(Pause(*named, wanted.by, wanted.comment, now, wanted.until))
        elif not await self._store.lift_pause(*named, by=wanted.by, comment=wanted.comment, at=now):
            return problem(404, f"{named[0]} {named[1]} is not paused")
        what = "everything" if named is None else f"{named[0]} {named[1]}"
        _log.warning("pause set", what=what, engaged=wanted.engaged, by=wanted.by, comment=wanted.comment)
        return await self._pause()

    async def reset(self, request: web.Request) -> web.Response:
        """Close a circuit breaker, or release a target, as a person who has looked at it."""
        wanted = await read_asked(request, ResetRequest)
        if isinstance(wanted, web.Response):
            return wanted
        if wanted.what is Forgiven.RULE and (unknown := self._unknown(PauseOf.RULE, wanted.subject)) is not None:
            return problem(400, unknown)  # with a name that is misspelt the breaker would stay open, unnoticed
        done = Reset(wanted.what, wanted.subject, wanted.by, wanted.comment, self._clock.now())
        await self._store.reset(done)
        _log.warning("reset", what=done.what.value, subject=done.subject, by=done.by, comment=done.comment)
        return answer(ResetDone.model_validate(done))

    async def status(self, _: web.Request) -> web.Response:
        now = self._clock.now()
        stop = await self._stop()
        shown = Status(
            stopped="" if stop is None else stop.detail,
            pauses=await self._entries(now),
            gates=[GateEntry.model_validate(gate) for gate in await self._store.gates(at=now)],
            queue=await self._reader.queue_depth(),
            replica=self._replica,
            duties=[DutyEntry.model_validate(one) for one in await self._store.duties() if one.until > now],
            watchdog=await self._watchdog(),
        )
        return answer(shown)

    async def approvals(self, _: web.Request) -> web.Response:
        """What waits for a person."""
        found = await self._store.awaiting()
        return answer(ApprovalsAwaited(approvals=[ApprovalEntry.of(one) for one in found]))

    async def approve(self, request: web.Request) -> web.Response:
        return await self._answered(request, is_granted=True)

    async def deny(self, request: web.Request) -> web.Response:
        return await self._answered(request, is_granted=False)

    async def _answered(self, request: web.Request, *, is_granted: bool) -> web.Response:
        number, now = _number(request), self._clock.now()
        wanted = await read_asked(request, ApprovalRequest, concerns=lambda: self._concerned(number))
        if isinstance(wanted, web.Response):
            return wanted
        if number is None:
            return problem(400, f"{request.match_info['id']!r} is no remediation: expected a number or R-<number>")
        said = Approval(number, wanted.plan_hash, is_granted, wanted.by, wanted.comment, now)
        try:
            await self._store.answer(said)
        except NotAwaited as error:
            return problem(409, str(error))
        self._wake()
        word = "approved" if is_granted else "denied"
        _log.warning(word, remediation=number, by=said.by, comment=said.comment)
        return answer(ApprovalDone(ref=f"R-{number}", granted=is_granted, by=said.by, comment=said.comment, at=now))

    async def _concerned(self, number: RemediationId | None) -> Concerns | None:
        """What the plan that waits would touch, and the rule that asks for it."""
        asked = next((one for one in await self._store.awaiting() if one.remediation == number), None)
        return None if asked is None else (_namespaces_of(asked), asked.rule)

    def _unknown(self, what: PauseOf, subject: str) -> str | None:
        """Why that pause would stop nothing, or that reset close nothing; None: it may. (A namespace or target may come
        to be.)"""
        names = [rule.name for rule in self._rules().rules]
        if what is not PauseOf.RULE or subject in names:
            return None
        hint = did_you_mean(subject, names)
        return f"rule: the table has no rule {subject!r}" + (f"; {hint}" if hint else "")

    async def _pause(self) -> web.Response:
        now = self._clock.now()
        switch = await self._store.kill_switch()
        shown = PauseStatus(
            engaged=switch.engaged and (switch.until is None or switch.until > now),
            comment=switch.comment,
            by=switch.by,
            at=switch.at,
            until=switch.until,
            pauses=await self._entries(now),
        )
        return answer(shown)

    async def _entries(self, now: datetime) -> Sequence[PauseEntry]:
        set_now = await self._store.pauses()
        return [PauseEntry.model_validate(one) for one in set_now if one.until is None or one.until > now]


def _number(request: web.Request) -> RemediationId | None:
    text = request.match_info["id"]
    return RemediationId(int(text.removeprefix("R-"))) if re.fullmatch(r"(R-)?[0-9]{1,15}", text) else None


def _namespaces_of(asked: Awaiting) -> frozenset[str]:
    """The target's, and those of everything else that its requests would touch."""
    paths = [str(request.get("path", "")) for request in asked.request.get("requests") or ()]
    others = {found[1] for path in paths if (found := re.search(r"/namespaces/([^/]+)/", path))}
    return frozenset({asked.target.partition("/")[0], *others})
