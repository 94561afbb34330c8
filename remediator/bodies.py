"""The bodies of others' answers: read up to a bound, and decoded so that nobody else waits for it.

Called by the clients of Prometheus, Alertmanager and the API server, and by the commands that ask the service. The
decoder of the standard library gives no other thread a turn before it is through: 16 MiB stop the event loop for
300 ms, also from a thread. With a function of ours at each object it lets others in between.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, Iterable
from typing import Any

from remediator.errors import RemediatorError

LARGE_BYTES = 256 * 1024
"""Of one body; what has more is decoded so that others need not wait. As it is, it takes 3 ms."""

Json = Any


class TooLarge(RemediatorError):
    """More bytes than the reader takes; whoever reads says whose they were."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"more than {max_bytes >> 20} MiB")


async def whole(chunks: AsyncIterable[bytes], *, max_bytes: int) -> bytes:
    """A body until its end: one `read` of a stream gives what has arrived by then. Raises TooLarge, and stops there."""
    body = bytearray()
    async for chunk in chunks:
        _add(body, chunk, max_bytes)
    return bytes(body)


def whole_of(chunks: Iterable[bytes], *, max_bytes: int) -> bytes:
    """As `whole`, on a thread."""
    body = bytearray()
    for chunk in chunks:
        _add(body, chunk, max_bytes)
    return bytes(body)


def _add(body: bytearray, chunk: bytes, max_bytes: int) -> None:
    if len(body) + len(chunk) > max_bytes:
        raise TooLarge(max_bytes)
    body += chunk


def decoded(body: bytes) -> Json:
    """What the body holds; for a caller on a thread of its own. Raises ValueError, RecursionError."""
    return json.loads(body) if len(body) <= LARGE_BYTES else json.loads(body, object_hook=_as_it_is)


async def decoded_apart(body: bytes) -> Json:
    """As `decoded`, for a caller in the event loop: in a thread where it is large."""
    return decoded(body) if len(body) <= LARGE_BYTES else await asyncio.to_thread(decoded, body)


def _as_it_is(item: dict[str, Json]) -> dict[str, Json]:
    return item
