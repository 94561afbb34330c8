"""A loopback HTTP server that answers from a script and keeps what it was asked, for the tests of our clients."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Answer:
    """`body` is sent as it is when bytes, else as JSON. `then` replaces it: hang, drop the connection, cut the body,
    send a byte of it now and then, or answer two at a time."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    then: str = "answer"

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


HANG = Answer(then="hang")
DROP = Answer(then="drop")
PAIR = Answer(then="pair")
DRIP = Answer(then="drip")
CUT = Answer(body={"metadata": {"name": "web"}}, then="cut")


def status(code: int, reason: str = "", message: str = "no", **details: Any) -> Answer:
    """A `metav1.Status` as the API server sends it."""
    body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "details": details}
    return Answer(code, {**body, "code": code})


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


Script = Callable[[Asked], Answer]


class ScriptedServer:
    """Answers in the order given to `answers`, the last one again and again; or whatever `script` decides."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.at_once = 0
        self.max_at_once = 0
        self._answers: list[Answer] = [Answer()]
        self._script: Script | None = None
        self._gate = asyncio.Event()
        self._first = asyncio.Event()
        self._pair = asyncio.Barrier(2)
        self._runner = web.AppRunner(self._application(), shutdown_timeout=0)
        self.port = 0
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def answers(self, *answers: Answer) -> None:
        self._answers = list(answers)

    def script(self, script: Script) -> None:
        self._script = script

    def open_gate(self) -> None:
        """Let the hanging requests be answered."""
        self._gate.set()

    async def was_asked(self) -> None:
        """Wait until the first request has arrived whole."""
        await self._first.wait()

    async def start(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.scheme = "https" if tls else "http"

    async def stop(self) -> None:
        self._gate.set()
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(
            request.method, request.path, dict(request.query), dict(request.headers), await request.read()
        )
        self.asked.append(asked)
        self._first.set()
        if self._script is not None:
            answer = self._script(asked)
        else:
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.at_once += 1
        self.max_at_once = max(self.max_at_once, self.at_once)
        try:
            return await self._play(request, answer)
        finally:
            self.at_once -= 1

    async def _play(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        match answer.then:
            case "drop":
                transport.abort()
            case "hang":
                await self._gate.wait()
            case "pair":
                await self._pair.wait()
            case "cut":
                response = web.StreamResponse(headers={"Content-Length": str(len(answer.content) + 100)})
                await response.prepare(request)
                await response.write(answer.content)
                transport.close()
                return response
            case "drip":
                response = web.StreamResponse(headers={"Content-Length": str(10**6)})
                await response.prepare(request)
                with suppress(ConnectionError):
                    while not self._gate.is_set():
                        await response.write(b" ")
                        await asyncio.sleep(0.05)
                return response
        return web.Response(status=answer.status, body=answer.content, headers=answer.headers)


class JumpingClock:
    """Time that passes only by sleeping, and then at once. `pauses` are the sleeps; `on_sleep` may act in one."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
        self.pauses: list[float] = []
        self.on_sleep: Callable[[], Any] | None = None

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.at += timedelta(seconds=seconds)
        if self.on_sleep is not None:
            await self.on_sleep()


def pages(*contents: list[Any], kind: str = "PodList") -> Iterator[Answer]:
    """A list in pages that are chained by continue tokens."""
    for number, items in enumerate(contents, start=1):
        more = {"continue": f"page-{number + 1}"} if number < len(contents) else {}
        yield Answer(body={"kind": kind, "metadata": more, "items": items})
