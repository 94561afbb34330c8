"""The bytes of webhook bodies: no more of them in memory at once than there is room for.

The beginning of step 1; `server.py` reads each body with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

BODIES_AT_ONCE = 16
"""Of the largest size; of smaller ones as many more as fit into the same room."""


class NoRoom(Exception):
    """Others fill the room: the same body may be sent again."""


class Bodies:
    """Reads bodies of at most `max_body_bytes`."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._room = BODIES_AT_ONCE * max_body_bytes

    @asynccontextmanager
    async def read(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body, which counts until the block ends. Raises NoRoom, BodyTooSlow (a TimeoutError),
        HTTPRequestEntityTooLarge, and what aiohttp raises for a body that breaks off."""
        body = bytearray()
        try:
            async for chunk in request.content.iter_any():
                body += chunk
                self._room -= len(chunk)
                if len(body) > self._max_body_bytes:
                    raise web.HTTPRequestEntityTooLarge(self._max_body_bytes, len(body))
                if self._room < 0:
                    raise NoRoom
            yield bytes(body)
        finally:
            self._room += len(body)
