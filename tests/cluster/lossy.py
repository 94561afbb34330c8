"""A loopback proxy between the service and the API server that loses what a network loses: the request or its reply."""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import threading
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

from tests.cluster.controlplane import ControlPlane

PASSED_ON = ("Accept", "Audit-ID", "Authorization", "Content-Type", "User-Agent")
HANDED_BACK = ("Content-Type", "Retry-After", "Warning")


class Fate(Enum):
    """What becomes of a real write that is to be lost. Everything else goes through."""

    REPLY_LOST = "it arrives, and its reply never comes back"
    RESET = "the connection is reset before it arrives"
    LATE = "it arrives when the test says so, and its reply never comes back"


class LossyProxy:
    """Speaks plain HTTP; use as a context manager. `writes` and `reads` are (method and path) as they came in.

    Lost are the real writes of that method whose path has `under` in it: patches of Deployments, unless told otherwise.
    """

    def __init__(
        self, control_plane: ControlPlane, fate: Fate, *, losing: str = "PATCH", under: str = "/deployments/"
    ) -> None:
        self._losing = (losing, under)
        self._api = urlsplit(control_plane.url).netloc
        self._tls = ssl.create_default_context(cafile=str(control_plane.ca_file))
        self._fate = fate
        self._is_over = threading.Event()
        self._may_arrive = threading.Event()
        self.has_arrived = threading.Event()
        self.writes: list[str] = []
        self.reads: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="lossy-proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._may_arrive.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def kubeconfig(self, folder: Path, *, token: str) -> Path:
        """A kubeconfig that leads here, with the user's own token."""
        user, cluster = {"token": token}, {"server": f"http://127.0.0.1:{self._server.server_port}"}
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

    def _forward(self, method: str, path: str, headers: Any, body: bytes | None) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPSConnection(self._api, context=self._tls, timeout=30)
        try:
            passed = {name: headers[name] for name in PASSED_ON if name in headers}
            connection.request(method, path, body=body, headers=passed)
            answer = connection.getresponse()
            kept = {name: answer.headers[name] for name in HANDED_BACK if name in answer.headers}
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy.reads.append(self.path.partition("?")[0])
                self._pass()

            def do_POST(self) -> None:
                self._write()

            def do_PATCH(self) -> None:
                self._write()

            def do_DELETE(self) -> None:
                self._write()

            def _write(self) -> None:
                path, _, query = self.path.partition("?")
                method, under = proxy._losing
                if self.command != method or under not in path or "dryRun" in query:
                    return self._pass()
                proxy.writes.append(f"{method} {path}")
                return self._lose()

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def _body(self) -> bytes | None:
                length = self.headers.get("Content-Length")
                return self.rfile.read(int(length)) if length else None

            def _pass(self) -> None:
                status, headers, body = proxy._forward(self.command, self.path, self.headers, self._body())
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _lose(self) -> None:
                body = self._body()
                self.close_connection = True
                if proxy._fate is Fate.RESET:
                    # Lingering for no time: the kernel sends RST instead of an orderly end.
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()
                    return
                if proxy._fate is Fate.LATE:
                    proxy._may_arrive.wait()
                if not proxy._is_over.is_set():
                    proxy._forward(self.command, self.path, self.headers, body)
                    proxy.has_arrived.set()
                    proxy._is_over.wait()

        return Handler
