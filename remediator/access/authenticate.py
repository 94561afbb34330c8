"""Who sends a request: its `Authorization` header and client certificate against what is known."""

from __future__ import annotations


def bearer(authorization: str | None) -> bytes | None:
    """The token of an `Authorization` header, as bytes; None: it holds none. Never raises, whatever it holds."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        return token.strip().encode("utf-8", "surrogateescape")  # aiohttp's way to keep what is not UTF-8
    except UnicodeEncodeError:
        return None
