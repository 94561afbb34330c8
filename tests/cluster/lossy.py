"""A loopback proxy between the service and the API server that does what a network and an API server at its limits do
to a write: lose it, its reply or both, refuse it, hold it, break off, and answer later reads with what was before."""

from __future__ import annotations

import http.client
import json
import select
import socket
import ssl
import struct
import sys
import threading
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

from tests.cluster.controlplane import ControlPlane

PASSED_ON = ("Accept", "Audit-ID", "Authorization", "Content-Type", "User-Agent")
HANDED_BACK = ("Content-Type", "Retry-After", "Warning")
SUBRESOURCES = ("/scale", "/eviction", "/resize")
STALE_READS = 3
"""How often the object is read as it was before, with STALE."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


def refusal(code: int, reason: str, **headers: str) -> Reply:
    """A `metav1.Status` as the API server and the filters before it send one."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(code, {"Content-Type": "application/json", **named}, json.dumps(status).encode())


class Fate(Enum):
    """What becomes of a real write that is to be lost. Everything else goes through."""

    REPLY_LOST = "it arrives, and its reply never comes back"
    RESET = "the connection is reset before it arrives"
    LATE = "it arrives when the test says so, and its reply never comes back"
    SLOW = "it arrives when whoever sent it has given up waiting"
    RESET_AFTER = "it arrives, and the connection is reset before the reply"
    CUT = "it arrives, and the connection is reset in the middle of the reply"
    ERROR_BEFORE = "500, and it was not done"
    ERROR_AFTER = "500, and it was done"
    CONFLICT = "409, and it was not done"
    TOO_MANY = "429 with Retry-After: it was not looked at"
    STALE = "500, and it was done, and the next reads say that it was not"

    @property
    def is_answered(self) -> bool:
        """Whether a whole HTTP answer comes back."""
        return self in ANSWERS

    @property
    def arrives(self) -> bool:
        """Whether the API server does it."""
        return self not in (Fate.RESET, Fate.ERROR_BEFORE, Fate.CONFLICT, Fate.TOO_MANY)


ANSWERS = {
    Fate.ERROR_BEFORE: refusal(500, "InternalError"),
    Fate.ERROR_AFTER: refusal(500, "InternalError"),
    Fate.STALE: refusal(500, "InternalError"),
    Fate.CONFLICT: refusal(409, "Conflict"),
    Fate.TOO_MANY: refusal(429, "TooManyRequests", Retry_After="1"),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked has gone meanwhile, which is what some of the fates are for."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class LossyProxy:
    """Speaks plain HTTP; use as a context manager. `writes` and `reads` are (method and path) as they came in.

    Lost are the real writes of that method whose path has `under` in it: patches of Deployments, unless told otherwise;
    the first `times` of them, or all. `api` is the rig, or the address of the embedded cluster.
    """

    def __init__(
        self,
        api: ControlPlane | str,
        fate: Fate,
        *,
        losing: str = "PATCH",
        under: str = "/deployments/",
        times: int | None = None,
    ) -> None:
        self._losing = (losing, under)
        self._left = times
        self._api = urlsplit(api if isinstance(api, str) else api.url).netloc
        self._tls = None if isinstance(api, str) else ssl.create_default_context(cafile=str(api.ca_file))
        self._fate = fate
        self._is_over = threading.Event()
        self._may_arrive = threading.Event()
        self._lock = threading.Lock()
        self._stale: dict[str, tuple[Reply, int]] = {}
        self.has_arrived = threading.Event()
        self.writes: list[str] = []
        self.reads: list[str] = []
        self.stale_reads = 0
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="lossy-proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._may_arrive.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def kubeconfig(self, folder: Path, *, token: str) -> Path:
        """A kubeconfig that leads here, with the user's own token."""
        user, cluster = {"token": token}, {"server": self.url}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "rig", "cluster": cluster}],
            "users": [{"name": "service", "user": user}],
            "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": "service"}}],
            "current-context": "rig",
        }
        path = folder / "through-the-proxy.kubeconfig"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    def let_arrive(self) -> None:
        """With LATE: forward the write that is held."""
        self._may_arrive.set()

    def _is_to_lose(self, method: str, target: str) -> bool:
        """Whether this one is; counted."""
        path, _, query = target.partition("?")
        if method != self._losing[0] or self._losing[1] not in path or "dryRun" in query:
            return False
        with self._lock:
            self.writes.append(f"{method} {path}")
            if self._left == 0:
                return False
            if self._left is not None:
                self._left -= 1
        return True

    def _before(self, path: str) -> Reply | None:
        """What a stale read of the object says, for as long as it is one."""
        with self._lock:
            copy, left = self._stale.get(path, (None, 0))
            if copy is not None and left:
                self._stale[path] = (copy, left - 1)
                self.stale_reads += 1
                return copy
        return None

    def _forward(self, method: str, path: str, headers: Any, body: bytes | None) -> Reply:
        connection = (
            http.client.HTTPConnection(self._api, timeout=30)
            if self._tls is None
            else http.client.HTTPSConnection(self._api, context=self._tls, timeout=30)
        )
        try:
            passed = {name: headers[name] for name in PASSED_ON if name in headers}
            connection.request(method, path, body=body, headers=passed)
            answer = connection.getresponse()
            kept = {name: answer.headers[name] for name in HANDED_BACK if name in answer.headers}
            return Reply(answer.status, kept, answer.read())
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                proxy.reads.append(path)
                if (before := proxy._before(path)) is not None:
                    return self._answer(before)
                return self._pass()

            def do_POST(self) -> None:
                self._write()

            def do_PATCH(self) -> None:
                self._write()

            def do_DELETE(self) -> None:
                self._write()

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def _write(self) -> None:
                if not proxy._is_to_lose(self.command, self.path):
                    return self._pass()
                return self._lose(proxy._fate)

            def _body(self) -> bytes | None:
                length = self.headers.get("Content-Length")
                return self.rfile.read(int(length)) if length else None

            def _pass(self) -> None:
                self._answer(proxy._forward(self.command, self.path, self.headers, self._body()))

            def _answer(self, reply: Reply, *, cut_at: int | None = None) -> None:
                self.send_response(reply.status)
                for name, text in reply.headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body[:cut_at])

            def _lose(self, fate: Fate) -> None:
                body = self._body()
                if fate is Fate.STALE:
                    self._keep_a_copy()
                if fate is Fate.LATE:
                    proxy._may_arrive.wait()
                if fate is Fate.SLOW:
                    self._until_given_up()
                if fate.arrives and not proxy._is_over.is_set():
                    reply = proxy._forward(self.command, self.path, self.headers, body)
                    proxy.has_arrived.set()
                if fate.is_answered:
                    return self._answer(ANSWERS[fate])
                self.close_connection = True
                if fate is Fate.CUT:
                    self._answer(reply, cut_at=len(reply.body) // 2)
                    self.wfile.flush()
                if fate in (Fate.RESET, Fate.RESET_AFTER, Fate.CUT):
                    # Lingering for no time: the kernel sends RST instead of an orderly end.
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return self.connection.close()
                proxy._is_over.wait()
                return None

            def _keep_a_copy(self) -> None:
                path = self.path.partition("?")[0]
                for subresource in SUBRESOURCES:
                    path = path.removesuffix(subresource)
                before = proxy._forward("GET", path, {**self.headers}, None)
                with proxy._lock:
                    proxy._stale[path] = (before, STALE_READS)

            def _until_given_up(self) -> None:
                while not proxy._is_over.is_set():
                    readable, _, _ = select.select([self.connection], [], [], 0.05)
                    if readable and not self.connection.recv(1, socket.MSG_PEEK):
                        return

        return Handler
