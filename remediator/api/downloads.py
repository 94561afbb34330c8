"""Answers that are files: sent in pieces as they are made, or whole, with a name to save them by."""

from __future__ import annotations

from collections.abc import AsyncIterator

import structlog
from aiohttp import hdrs, web

from remediator.errors import RemediatorError

_log = structlog.get_logger(__name__)

PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
"""For a page of ours that a browser shows instead of saving it: its own style sheet, and nothing else."""


async def streamed(pieces: AsyncIterator[bytes], *, name: str, media_type: str) -> web.Response:
    """The pieces as one file. Raises what the first piece raises; a later failure breaks the connection off, so that
    nobody takes a part for the whole."""
    first = await anext(pieces, b"")
    return _file(web.Response(body=_unbroken(first, pieces)), name=name, media_type=media_type)


def whole(content: bytes, *, name: str, media_type: str) -> web.Response:
    return _file(web.Response(body=content), name=name, media_type=media_type)


def _file(response: web.Response, *, name: str, media_type: str) -> web.Response:
    charset = "" if media_type.startswith("application/") else "; charset=utf-8"
    response.headers[hdrs.CONTENT_TYPE] = f"{media_type}{charset}"
    response.headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{name}"'
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response


async def _unbroken(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    try:
        async for piece in pieces:
            if piece:
                yield piece
    except RemediatorError as error:
        _log.error("an export broke off", problem=str(error))
        raise ConnectionResetError("the export broke off") from error
