"""A service that runs: what it says of its own parts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping

import aiohttp

from remediator.bodies import TooLarge, whole
from remediator.doctor.base import Asked, Examination, Result, Running, failed, ok, skipped, warning
from remediator.errors import cut
from remediator.model import Json

NAME = "service"
READY = (200, 503)
MAX_BYTES = 1024 * 1024


async def run(asked: Asked) -> AsyncIterator[Result]:
    if asked.running is None:
        yield skipped(NAME, "not asked for", "name a running one with --url http://HOST:9095")
        return
    running = asked.running
    try:
        async with aiohttp.ClientSession() as session:
            status, said = await _get(session, running, "/-/ready", limit_seconds=asked.limit_seconds * 0.8)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        why = cut(str(error)) or type(error).__name__
        yield failed(
            NAME, f"no answer from {running.url}: {why}", "is it running? kubectl -n remediator get pods; port-forward"
        )
        return
    if status in (401, 403):
        yield failed(NAME, f"{running.url} answered {status}", "give --token-file, or REMEDIATOR_HTTP_CONFIG_FILE")
        return
    if status not in READY or not isinstance(said, dict) or "parts" not in said:
        yield failed(NAME, f"{running.url} answered {status}, and not as remediator does", "is this its address?")
        return
    yield judged(running.url, said)


def judged(url: str, said: Mapping[str, Json]) -> Result:
    """Its readiness as a result. Pure."""
    parts = said["parts"]
    lines = tuple(
        f"{one['name']}: {'ready' if one['ready'] else 'not ready'} {one['detail']}".rstrip() for one in parts
    )
    wrong = [one for one in parts if not one["ready"]]
    told = "; ".join(cut(f"{one['name']}: {one['detail'] or 'not ready'}") for one in wrong)
    if any(one["required"] for one in wrong):
        return failed(
            NAME, f"{url} is not ready: {told}", "see the result of that part here, from where it runs", lines=lines
        )
    if wrong:
        return warning(
            NAME,
            f"{url} is ready, with less than there could be: {told}",
            "see the result of that part here",
            lines=lines,
        )
    return ok(NAME, f"{url} is ready: {', '.join(str(one['name']) for one in parts)}", lines=lines)


async def _get(
    session: aiohttp.ClientSession, running: Running, path: str, *, limit_seconds: float
) -> tuple[int, Json]:
    headers = {"Accept": "application/json"}
    if running.authorization is not None:
        headers["Authorization"] = running.authorization
    async with (
        asyncio.timeout(limit_seconds),
        session.get(
            running.url.rstrip("/") + path,
            headers=headers,
            allow_redirects=False,
            ssl=True if running.context is None else running.context,
        ) as answer,
    ):
        try:
            return answer.status, json.loads(await whole(answer.content.iter_any(), max_bytes=MAX_BYTES))
        except (ValueError, RecursionError, TooLarge):
            return answer.status, None


SERVICE = Examination((NAME,), run)
