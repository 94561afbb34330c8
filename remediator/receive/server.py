"""The webhook over HTTP: `POST /api/v1/alerts`. Parse, admit, answer; nothing else in the request.

The face of step 1. `app.py` builds the `Receiver`; its routes are served by the application of `api/`, which has let
the sender in (`api/entrance.py`). The status codes are chosen by what Alertmanager does with them: 5xx is retried
within the flush, everything else is not, and a redirect loses the alert (prometheus/alertmanager `notify/util.go`
`Retrier`).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiohttp import hdrs, web

from remediator.access.base import PRINCIPAL, Credential
from remediator.authority import Authority
from remediator.errors import cut
from remediator.model import Alert
from remediator.receive.base import BadBody, Quarantined
from remediator.receive.bodies import Bodies, NoRoom
from remediator.receive.paths import PATHS
from remediator.receive.payload import Payload, read
from remediator.redact import Remembering
from remediator.store.base import Accepted, StoreUnavailable, TooManyOpen
from remediator.telemetry import Telemetry

STORE_TIMEOUT_SECONDS = 10.0
"""How long a commit may take. What is committed after the answer is a repeat when Alertmanager sends it again."""
LARGE_BODY_BYTES = 16 * 1024
"""A larger body is read in a thread, since it may take longer than others can wait: one at a time, the rest queue."""
MAX_TOLD = 10
"""Lines in the log about what one body held that cannot be used; all that is kept of it is in the audit log."""
JSON = "application/json"
FOREIGN = "{} with the fingerprint of an alert that is outside of what the credential may speak of"

Admit = Callable[[Sequence[Alert], Authority], Awaitable[Accepted]]
"""Keeps the alerts of somebody with that authority."""
SetAside = Callable[[Sequence[Quarantined]], Awaitable[None]]
"""Keeps what cannot be used, durably: the answer is 200 for the whole body."""


_log = structlog.get_logger(__name__)


class Receiver:
    """Answers webhook requests. `stopping` is set when the process drains: from then on it answers 503. `cut_off` is
    called when Alertmanager left alerts out of a body (`max_alerts`)."""

    def __init__(
        self,
        admit: Admit,
        *,
        set_aside: SetAside,
        telemetry: Telemetry,
        max_body_bytes: int,
        stopping: asyncio.Event,
        cut_off: Callable[[], None] = lambda: None,
    ) -> None:
        self._admit = admit
        self._set_aside = set_aside
        self._telemetry = telemetry
        self._max_body_bytes = max_body_bytes
        self._stopping = stopping
        self._cut_off = cut_off
        self._redaction = Remembering()
        self._bodies = Bodies(max_body_bytes)
        self._one_large = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        return [web.post(path, self.receive) for path in PATHS]

    async def receive(self, request: web.Request) -> web.Response:
        """One webhook request, from its headers to the answer."""
        status = 500
        try:
            answer = await self._answer(request)
            status = answer.status
        finally:
            self._telemetry.webhook_answered(status)
        if status >= 400:
            # Not to read the rest of a body that was refused; and so that a drained peer finds another pod.
            answer.force_close()
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        if self._stopping.is_set():
            return _problem(503, "shutting down")
        if refusal := self._refused(request):
            return refusal
        try:
            if request.content.is_eof():  # it came with its headers
                return await self._answer_to(await request.read(), request)
            async with self._bodies.read(request) as body:
                return await self._answer_to(body, request)
        except NoRoom:
            _log.warning("webhook body refused: too much of others is in memory", peer=request.remote)
            return _problem(503, "too many large bodies at once")
        except TimeoutError as error:  # the server's watchdog set it
            return _problem(503, str(error))
        except web.HTTPRequestEntityTooLarge:
            return self._too_large(request)
        except (web.RequestPayloadError, ConnectionError):
            return _problem(400, "the body broke off")

    async def _answer_to(self, body: bytes, request: web.Request) -> web.Response:
        sender = request[PRINCIPAL].credential
        try:
            payload = await self._read(body, sender)
        except BadBody as error:
            _log.warning("webhook body refused", place=error.place, problem=error.problem, peer=request.remote)
            return _problem(400, error.problem, place=error.place)
        try:
            async with asyncio.timeout(STORE_TIMEOUT_SECONDS):
                accepted = await self._keep(payload, sender)
        except TooManyOpen as error:
            _log.error("webhook refused: max_waiting is reached", problem=str(error), alerts=len(payload.alerts))
            self._telemetry.alerts_refused("max_waiting", len(payload.alerts))
            return _problem(503, "too many remediations are open")
        except (StoreUnavailable, TimeoutError) as error:
            problem = str(error) or f"no commit within {STORE_TIMEOUT_SECONDS:g} s"
            self._telemetry.alerts_refused("store", len(payload.alerts))
            _log.error("webhook not stored", problem=problem, alerts=len(payload.alerts))
            return _problem(503, "cannot store the alerts now")
        if any(alert.truncated for alert in payload.alerts):
            self._cut_off()
        aside = [{"place": item.place, "error": item.problem} for item in payload.quarantined]
        if accepted.foreign:
            aside.append({"place": "alerts", "error": FOREIGN.format(accepted.foreign)})
        return _json(
            200,
            {
                "accepted": len(payload.alerts) - accepted.foreign,
                "queued": accepted.queued,
                "repeated": accepted.repeated,
                "resolved": accepted.resolved,
                "quarantined": aside,
            },
        )

    async def take(self, body: bytes, sender: Credential) -> Accepted:
        """A body that no request brought (`alertmanager/reconcile.py`): read, admitted and counted as any other.
        Raises BadBody, StoreUnavailable."""
        return await self._keep(read(body, self._redaction, sender=sender), sender)

    async def _keep(self, payload: Payload, sender: Credential) -> Accepted:
        if payload.quarantined:
            await self._set_aside(payload.quarantined)
        accepted = await self._admit(payload.alerts, sender.authority)
        self._tell(payload, accepted, sender.name)
        return accepted

    async def _read(self, body: bytes, sender: Credential) -> Payload:
        if len(body) <= LARGE_BODY_BYTES:
            return read(body, self._redaction, sender=sender)
        async with self._one_large:
            return await asyncio.to_thread(read, body, self._redaction, sender=sender)

    def _refused(self, request: web.Request) -> web.Response | None:
        """The answer to a request that its headers already rule out."""
        if request.headers.get(hdrs.CONTENT_TYPE) != JSON and request.content_type != JSON:
            # A web page can post anything else across origins without asking first.
            return _problem(415, "Content-Type must be application/json")
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            # Alertmanager never compresses, and a small bomb would stop the event loop.
            return _problem(415, "compressed bodies are not accepted")
        if request.content_length is not None and request.content_length > self._max_body_bytes:
            return self._too_large(request)
        return None

    def _too_large(self, request: web.Request) -> web.Response:
        # Alertmanager does not retry it, and will send the group again just as large: someone must see it.
        _log.error(
            "webhook body too large: its alerts are lost to us until the group shrinks; raise max_body_bytes or set "
            "max_alerts on the Alertmanager receiver",
            bytes=request.content_length,
            max_body_bytes=self._max_body_bytes,
            peer=request.remote,
        )
        return _problem(413, f"the body is larger than {self._max_body_bytes} bytes (max_body_bytes)")

    def _tell(self, payload: Payload, accepted: Accepted, credential: str) -> None:
        """Count what was accepted, and log what was not."""
        for status, count in Counter(alert.status for alert in payload.alerts).items():
            self._telemetry.alerts_received(status, count)
        if aside := payload.aside + accepted.foreign:
            self._telemetry.alerts_quarantined(aside)
        outside = sum(bool(item.credential) for item in payload.quarantined) + accepted.foreign
        if outside:
            self._telemetry.alerts_outside_credential(credential, outside)
        for item in payload.quarantined[:MAX_TOLD]:
            _log.error("alert quarantined", place=item.place, problem=item.problem, element=item.element)
        if payload.aside > MAX_TOLD:
            _log.error("more alerts of this body quarantined", count=payload.aside - MAX_TOLD)
        if accepted.foreign:
            _log.error("alert quarantined", problem=FOREIGN.format(accepted.foreign), credential=credential)


def _json(status: int, value: object) -> web.Response:
    return web.Response(body=json.dumps(value).encode("ascii"), status=status, headers={hdrs.CONTENT_TYPE: JSON})


def _problem(status: int, error: str, *, place: str | None = None) -> web.Response:
    return _json(status, {"error": cut(error)} | ({"place": place} if place is not None else {}))
