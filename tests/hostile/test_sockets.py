"""Clients that connect and then do nothing, or nearly nothing: how long they stay, and who is served meanwhile (X2)."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from remediator.api import connections
from remediator.api.connections import PROMPT_SECONDS, Connections, Standing, request_answered, request_arrived
from remediator.api.server import HttpServer
from tests.hostile.client import HEAD, Seen, answer_of, connected, posting
from tests.hostile.serving import served
from tests.unit.receive.bodies import body

GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
STALLED, STALLED_LONG = 200, 1_000
HALVES = (b"", b"P", HEAD[:40], HEAD + b"Content-Length: 500\r\n\r\n", HEAD + b"Content-Length: 500\r\n\r\n{")


class Desk:
    """A server whose time the test moves, and what it said of those it did not let in."""

    def __init__(self, *, at_most: int = 100, per_peer: int = 100) -> None:
        self.refused: list[str] = []
        self.release = asyncio.Event()
        self.release.set()
        self.is_delivery = False
        self.size = 2
        application = web.Application(middlewares=[self._around()])
        application.router.add_route("*", "/x", self._answer)
        self.server = HttpServer(
            application,
            grace_seconds=0.1,
            max_connections=at_most,
            max_connections_per_peer=per_peer,
            refused=self.refused.append,
        )
        self.connections: Connections = self.server.connections

    async def _answer(self, request: web.Request) -> web.Response:
        await request.read()
        await self.release.wait()
        return web.Response(body=b"x" * self.size)

    def _around(self) -> Any:
        @web.middleware
        async def around(request: web.Request, handler: Any) -> web.StreamResponse:
            request_arrived(request)
            try:
                answer: web.StreamResponse = await handler(request)
                return answer
            except connections.BodyTooSlow as error:
                return web.Response(status=408, text=str(error), headers={"Connection": "close"})
            except ConnectionError:
                return web.Response(status=400)
            finally:
                request_answered(request, is_delivery=self.is_delivery)

        return around

    def after(self, seconds: float) -> None:
        """Look at all connections as if so much time had gone by."""
        self.connections.look(asyncio.get_running_loop().time() + seconds)

    async def opened(self, data: bytes = b"", *, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port, local_addr=(source, 0))
        writer.write(data)
        await asyncio.sleep(0.01)  # real sockets: the server sees it when the loop turns
        return reader, writer


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    await made.server.start("127.0.0.1", 0)
    yield made
    made.release.set()
    await made.server.stop()


async def is_open(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.05):
            return await reader.read(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False


@pytest.mark.parametrize("begun", [b"", b"G", GET[:-2]], ids=["nothing", "one byte", "half the headers"])
async def test_headers_have_five_seconds(desk: Desk, begun: bytes) -> None:
    reader, writer = await desk.opened(begun)
    desk.after(connections.HEADERS_SECONDS - 1)
    assert await is_open(reader)
    desk.after(connections.HEADERS_SECONDS)
    assert not await is_open(reader)
    assert desk.refused == ["headers"]
    writer.close()


async def test_the_headers_of_a_later_request_have_no_longer(desk: Desk) -> None:
    """Whoever was let in for a good first request is no exception, also where bytes come now and then."""
    reader, writer = await desk.opened(GET)
    assert (await reader.readuntil(b"xx")).startswith(b"HTTP/1.1 200")
    for byte in GET[:3]:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.01)
    desk.after(connections.HEADERS_SECONDS)
    assert not await is_open(reader)
    writer.close()


async def test_a_body_that_stalls_is_answered_and_its_connection_closed(desk: Desk) -> None:
    reader, writer = await desk.opened(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    desk.after(connections.REQUEST_SECONDS - 1)
    assert await is_open(reader)
    desk.after(connections.REQUEST_SECONDS)
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 408"), "and the end of the connection"
    writer.close()


async def test_a_request_that_is_worked_on_has_all_the_time(desk: Desk) -> None:
    """What takes long is ours, not the client's."""
    desk.release.clear()
    reader, writer = await desk.opened(GET)
    desk.after(1000)
    desk.release.set()
    assert (await reader.readuntil(b"xx")).startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.parametrize("is_delivery", [False, True])
async def test_only_who_delivered_alerts_may_be_idle_for_long(desk: Desk, is_delivery: bool) -> None:
    """Alertmanager keeps a connection for five minutes, and meets an error where it is closed under its POST."""
    desk.is_delivery = is_delivery
    reader, writer = await desk.opened(GET)
    await reader.readuntil(b"xx")
    desk.after(connections.IDLE_SECONDS - 1)
    assert await is_open(reader)
    desk.after(300)
    assert await is_open(reader) == is_delivery
    assert connections.KEEPALIVE_SECONDS > 300
    assert desk.refused == [], "to be idle is no fault"
    writer.close()


async def test_an_answer_that_nobody_reads_is_given_up(desk: Desk) -> None:
    desk.size = 30_000_000
    _, writer = await desk.opened(GET)
    writer.transport.pause_reading()
    async with asyncio.timeout(5):
        await reading_stopped(desk)
    desk.after(0)
    desk.after(connections.UNREAD_SECONDS - 1)
    assert desk.refused == []
    desk.after(connections.UNREAD_SECONDS + 1)
    assert desk.refused == ["unread"]
    writer.close()


async def reading_stopped(desk: Desk) -> None:
    """Until as much of the answer lies with the server as twice in a row."""
    sizes = [-1, 0]
    while sizes[-1] != sizes[-2] or not sizes[-1]:
        await asyncio.sleep(0.1)
        sizes.append(sum(one.transport.get_write_buffer_size() for one in desk.connections.all() if one.transport))


async def test_a_peer_makes_room_for_itself_only() -> None:
    """The one that waits longest goes; other peers keep theirs, and so do requests that are worked on."""
    desk = Desk(per_peer=2)
    await desk.server.start("127.0.0.1", 0)
    desk.release.clear()
    first = ((b"", 2), (GET, 1), (b"", 1), (b"", 1))
    opened = [await desk.opened(data, source=f"127.0.0.{peer}") for data, peer in first]
    assert [await is_open(reader) for reader, _ in opened] == [True, True, False, True]
    opened.append(await desk.opened(GET))
    opened.append(await desk.opened(b""))
    assert not await is_open(opened[-1][0]), "both are worked on"
    assert desk.refused == ["connections_peer"] * 3
    desk.release.set()
    for _, writer in opened:
        writer.close()
    await desk.server.stop()


async def test_where_sockets_are_short_who_delivered_goes_last() -> None:
    desk = Desk(at_most=2)
    await desk.server.start("127.0.0.1", 0)
    desk.is_delivery = True
    good, other = await desk.opened(GET), await desk.opened(b"")
    for one in desk.connections.all():
        one.since -= PROMPT_SECONDS if one.standing is Standing.COMING else 0
    newest = await desk.opened(b"", source="127.0.0.2")
    assert [await is_open(one[0]) for one in (other, newest)] == [False, True]
    assert [one.standing for one in desk.connections.all()].count(Standing.DELIVERED) == 1
    assert desk.refused == ["connections_all"]
    for _, writer in (good, other, newest):
        writer.close()
    await desk.server.stop()


async def test_who_has_only_just_connected_is_not_sent_away_for_who_idles_after_a_delivery() -> None:
    """As of an Alertmanager that keeps many connections open, and a person behind the same address."""
    desk = Desk(at_most=2)
    await desk.server.start("127.0.0.1", 0)
    desk.is_delivery = True
    good, person = await desk.opened(GET), await desk.opened(b"")
    newest = await desk.opened(b"")
    assert [await is_open(one[0]) for one in (person, newest)] == [True, True]
    assert Standing.DELIVERED not in [one.standing for one in desk.connections.all()]
    for _, writer in (good, person, newest):
        writer.close()
    await desk.server.stop()


@pytest.mark.parametrize("waits", [False, True])
async def test_a_body_whose_connection_has_ended_is_no_fault_of_ours(
    desk: Desk, waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Where sockets are short it ends at any time: before its handler has a turn, or between two pieces of a body."""
    _, writer = await desk.opened()
    [one] = desk.connections.all()
    one.data_received(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
    if waits:
        await asyncio.sleep(0.05)
        one.data_received(b" ")
    one.end()
    await asyncio.sleep(0.05)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    writer.close()


def stall(count: int, port: int, stack: ExitStack) -> list[socket.socket]:
    """Sockets that begin and do not go on, from many peers."""
    opened = []
    for number in range(count):
        client = stack.enter_context(connected(port, source=f"127.0.1.{1 + number % 40}"))
        client.sendall(HALVES[number % len(HALVES)])
        opened.append(client)
    return opened


def ended(client: socket.socket) -> bool:
    """Whether the server has closed it, whatever it said before."""
    client.setblocking(False)
    try:
        while client.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def timed(port: int, seconds: float, stack: ExitStack) -> Sequence[tuple[float, Seen]]:
    """Good requests one after the other, each second one by a new connection."""
    seen = []
    kept = stack.enter_context(connected(port))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for is_new in (False, True):
            began = time.monotonic()
            if is_new:
                with connected(port, source="127.0.0.9") as client:
                    client.sendall(posting(body()))
                    seen.append((time.monotonic() - began, answer_of(client)))
            else:
                kept.sendall(posting(body()))
                seen.append((time.monotonic() - began, answer_of(kept)))
            seen[-1] = (time.monotonic() - began, seen[-1][1])
        time.sleep(0.02)
    return seen


def test_a_thousand_stalled_sockets_disturb_nobody(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    is_long = request.config.getoption("--long")
    count, limit = (STALLED_LONG, 10.0) if is_long else (STALLED, 11.0)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < count + 100:
        pytest.skip("too few file descriptors are allowed here")
    with served(tmp_path) as service, ExitStack() as stack:
        stalled = stall(count, service.port, stack)
        answers = timed(service.port, limit, stack)  # from the last of them on
        still = sum(not ended(client) for client in stalled)
        seconds = sorted(seconds for seconds, _ in answers)
        p99 = seconds[int(len(seconds) * 0.99)]
        print(f"\n{count} stalled, {still} left after {limit:g} s")
        print(f"{len(seconds)} good requests, p99 {p99 * 1000:.0f} ms")
        assert still == 0
        assert {seen.status for _, seen in answers} == {200}
        assert p99 < (0.25 if is_long else 2.5)
        assert service.faults() == []
        assert service.metric("remediator_connections_refused_total") >= count - 5
