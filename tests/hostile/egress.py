"""Who this process connects to and whose names it looks up: by the audit events of the interpreter (PEP 578), which no
library can pass by that uses its sockets, and a listener that stands for a host that nobody configured."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
LOOKS_UP = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"})
OPENS = frozenset({"open", "subprocess.Popen", "os.system", "urllib.Request", "ftplib.connect"})


@dataclass
class Egress:
    """What was seen. `connected` are addresses as they were given, `asked` are names, `opened` are files and programs
    by their names."""

    connected: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in CONNECTS:
            self.connected.append(arguments[1])
        elif event in LOOKS_UP:
            self.asked.append(str(arguments[0]))
        elif event in OPENS:
            self.opened.append(str(arguments[0]))

    @property
    def ports(self) -> set[int]:
        """Of connections to loopback. Raises AssertionError for any other."""
        assert all(address[0] == "127.0.0.1" for address in self.connected), self.connected
        return {address[1] for address in self.connected}


@cache
def _heard_by() -> list[Egress]:
    """Those that listen now. A hook stays for as long as the process."""
    listening: list[Egress] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        for one in listening:
            one.hear(event, arguments)

    sys.addaudithook(hook)
    return listening


@contextmanager
def watched_egress() -> Iterator[Egress]:
    """All that happens meanwhile, on every thread."""
    one, listening = Egress(), _heard_by()
    listening.append(one)
    try:
        yield one
    finally:
        listening.remove(one)


@dataclass
class Stranger:
    """A listener on loopback that nobody has a reason to connect to."""

    port: int = 0
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def stranger() -> AsyncIterator[Stranger]:
    one = Stranger()

    async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one.connections += 1
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        one.port = server.sockets[0].getsockname()[1]
        yield one
