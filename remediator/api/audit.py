"""The audit log over HTTP: how it stands, its checkpoint, the proof of one record, and what a person may say of it.

Beside the way of an alert. `application.py` adds the routes; `cli/audit.py` is the client people use.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated

import structlog
from aiohttp import web
from pydantic import Field

from remediator.anchor.base import Doubt
from remediator.anchor.keeper import LogKeeper, NotConfirmed
from remediator.api.answers import Answer, answer, problem
from remediator.api.asking import Asked, read_asked
from remediator.audit.commitments import FREE
from remediator.clock import Clock
from remediator.store.log_base import LogReader, LogStanding, StillNeeded

_log = structlog.get_logger(__name__)


class ConfirmRequest(Asked):
    """The log of this start is the one it should be, or goes on as a new one."""

    size: int = Field(ge=0, description="Records at the start, as `GET /api/v1/audit` says.")
    root: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")] = Field(description="The root over them, in base64.")


class RedactRequest(Asked):
    """Take back the free content of some fields of one record. The proofs stay valid; the content is gone."""

    seq: int = Field(ge=1, description="Number of the record.")
    fields: list[str] = Field(min_length=1, max_length=len(FREE), description="Names of its fields.")


class Head(Answer):
    """A tree over the first `size` records."""

    origin: str
    size: int
    root: str = Field(description="SHA-256 in base64.")

    @classmethod
    def of(cls, standing: LogStanding) -> Head:
        root = base64.b64encode(standing.root).decode()
        return cls(origin=standing.origin, size=standing.size, root=root)


class AuditStatus(Answer):
    """How the log stands, and why nothing may be done on the strength of it."""

    head: Head
    at_start: Head = Field(description="What a person confirms.")
    checkpoint: str = Field(description="The head as a signed note (C2SP tlog-checkpoint).")
    signed: bool
    last_write_at: datetime
    reason: str = Field(description="Why nothing may be written to the cluster; empty: nothing forbids it.")
    detail: str
    needs_epoch: bool = Field(description="Confirming begins a new log over the records that there are.")
    anchors: Sequence[str]


class AuditDone(Answer):
    done: str


class AuditRoutes:
    """Handlers over the store's log and its keeper; `wake` says that what was stopped may go on."""

    def __init__(
        self,
        reader: LogReader,
        keeper: LogKeeper,
        *,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._keeper = keeper
        self._clock = clock
        self._wake = wake

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/audit", self.status),
            web.get("/api/v1/audit/checkpoint", self.checkpoint),
            web.get("/api/v1/audit/records/{seq}/proof", self.proof),
            web.post("/api/v1/audit/confirm", self.confirm),
            web.post("/api/v1/audit/redact", self.redact),
        ]

    async def status(self, _: web.Request) -> web.Response:
        doubt = await self._keeper.why_not()
        return answer(self._status(await self._reader.log_standing(), doubt))

    def _status(self, standing: LogStanding, doubt: Doubt | None) -> AuditStatus:
        return AuditStatus(
            head=Head.of(standing),
            at_start=Head.of(self._keeper.standing_at_start or standing),
            checkpoint=standing.note.decode(errors="replace"),
            signed=standing.is_signed,
            last_write_at=standing.at,
            reason="" if doubt is None else doubt.reason.value,
            detail="" if doubt is None else doubt.detail,
            needs_epoch=doubt is not None and doubt.needs_epoch,
            anchors=self._keeper.anchor_names,
        )

    async def checkpoint(self, _: web.Request) -> web.Response:
        """The head as text, to be kept somewhere else."""
        standing = await self._reader.log_standing()
        return web.Response(body=standing.note, content_type="text/plain", charset="utf-8")

    async def proof(self, request: web.Request) -> web.Response:
        """That one record is in the log, in the format C2SP tlog-proof; the record itself is in the `extra` line."""
        text = request.match_info["seq"]
        if not text.isascii() or not text.isdigit() or len(text) > 15:
            return problem(400, f"{text!r} is no number of a record")
        found = await self._reader.log_proof(int(text))
        if found is None:
            return problem(404, f"there is no record {text}")
        entry, index, path, note = found
        lines = ["c2sp.org/tlog-proof@v1", f"extra {base64.b64encode(entry).decode()}", f"index {index}"]
        lines += [base64.b64encode(one).decode() for one in path]
        body = "\n".join([*lines, ""]).encode() + b"\n" + note
        return web.Response(body=body, content_type="text/plain", charset="utf-8")

    async def confirm(self, request: web.Request) -> web.Response:
        wanted = await read_asked(request, ConfirmRequest)
        if isinstance(wanted, web.Response):
            return wanted
        try:
            said = {"by": wanted.by, "comment": wanted.comment}
            done = await self._keeper.confirm(size=wanted.size, root=wanted.root, **said)
        except NotConfirmed as error:
            return problem(409, str(error))
        _log.warning("audit log confirmed", done=done, by=wanted.by, comment=wanted.comment)
        self._wake()
        return answer(AuditDone(done=done))

    async def redact(self, request: web.Request) -> web.Response:
        wanted = await read_asked(request, RedactRequest)
        if isinstance(wanted, web.Response):
            return wanted
        if unknown := [name for name in wanted.fields if name not in FREE]:
            return problem(400, f"fields: {unknown[0]!r} cannot be taken back; known are {', '.join(sorted(FREE))}")
        try:
            taken = await self._reader.redact(
                wanted.seq, wanted.fields, by=wanted.by, comment=wanted.comment, at=self._clock.now()
            )
        except StillNeeded as error:
            return problem(409, str(error))
        if not taken:
            return problem(404, f"record {wanted.seq} is not there, or holds none of these fields")
        return answer(AuditDone(done=f"record {wanted.seq}: {', '.join(taken)} taken back"))
