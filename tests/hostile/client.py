"""Clients that write bytes as they are, where a library would mend them."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

HEAD = b"POST /api/v1/alerts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer. Status 0: the connection ended without one."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


NOTHING = Seen(0, {})


@contextmanager
def connected(port: int, *, source: str = "127.0.0.1", timeout_seconds: float = 60) -> Iterator[socket.socket]:
    """A connection; every address of 127/8 is a peer of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds, source_address=(source, 0)) as client:
        yield client


def posting(body: bytes, more: bytes = b"") -> bytes:
    return HEAD + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def asked(port: int, request: bytes, *, patience_seconds: float = 60) -> Seen:
    """The first answer to these bytes. After `patience_seconds` without one it is said that nothing more comes."""
    with connected(port) as client:
        with suppress(OSError):  # refused before all of it was sent: what was answered may still be there
            client.sendall(request)
            if not select.select([client], [], [], patience_seconds)[0]:
                client.shutdown(socket.SHUT_WR)
        return answer_of(client, has_body=not request.startswith(b"HEAD "))


def answer_of(client: socket.socket, *, kept: bytearray | None = None, has_body: bool = True) -> Seen:
    """The next answer; `kept` are the bytes that came with the one before."""
    data = bytearray() if kept is None else kept
    try:
        while b"\r\n\r\n" not in data:
            if not (more := client.recv(65536)):
                return NOTHING
            data += more
        head, _, rest = bytes(data).partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0)) if has_body else 0
        while len(rest) < length:
            if not (more := client.recv(65536)):
                return NOTHING
            rest += more
    except ConnectionError:
        return NOTHING
    data[:] = rest[length:]
    return Seen(int(lines[0].split()[1]), headers, rest[:length])
