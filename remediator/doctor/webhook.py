"""The webhook that is told every decision: whether its name is known and its port open. Nothing is posted."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from remediator.doctor.base import Asked, Examination, Result, failed, ok, skipped, warning

NAME = "webhook"
PORTS = {"http": 80, "https": 443}


async def run(asked: Asked) -> AsyncIterator[Result]:
    settings = asked.settings
    if settings.webhook_url is None:
        yield skipped(
            NAME, "not configured: people hear of decisions by Events, logs and metrics only", "set webhook_url"
        )
        return
    if settings.webhook_token_file is not None:
        try:
            await asyncio.to_thread(settings.webhook_token_file.read_text, encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not ASCII"
            yield failed(
                NAME, f"token file {settings.webhook_token_file}: {why}", "give the service the right to read it"
            )
            return
    parts = urlsplit(settings.webhook_url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    if proxy := os.environ.get(f"{parts.scheme.upper()}_PROXY") or os.environ.get(f"{parts.scheme}_proxy"):
        yield warning(
            NAME, f"{host} is reached by a proxy, which is not tried", f"try it by hand: {urlsplit(proxy).hostname}"
        )
        return
    yield await _connected(host, port, is_tls=parts.scheme == "https")


async def _connected(host: str, port: int, *, is_tls: bool) -> Result:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "no name that DNS could know"
        return failed(NAME, f"{host} is not known: {why}", "check webhook_url, and DNS from the pod")
    addresses = ", ".join(sorted({str(one[4][0]) for one in found}))
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context() if is_tls else None)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return failed(NAME, f"{host}:{port} ({addresses}): {why}", "open the way out in the network policy, or the CA")
    writer.close()
    return ok(NAME, f"{host}:{port} ({addresses}) takes connections; nothing was posted")


WEBHOOK = Examination((NAME,), run)
