"""What a replica of Alertmanager says of itself: version, since when, and the configuration in force, secrets hidden.

Called by `doctor/`. Source: prometheus/alertmanager `api/v2/openapi.yaml` (`/status`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from remediator.alertmanager.base import AlertmanagerUnavailable
from remediator.alertmanager.trust import trusting
from remediator.bodies import TooLarge, decoded, whole
from remediator.errors import cut
from remediator.proxies import proxy_of_environment

MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Replica:
    """`configuration` is YAML; addresses of webhooks are hidden in it, as all secrets are."""

    version: str
    configuration: str


async def status_of(url: str, *, token_file: Path | None, ca_file: Path | None, limit_seconds: float) -> Replica:
    """Raises AlertmanagerUnavailable, and ConfigError for a CA file that is none."""
    place = url.rpartition("@")[2]
    trusted = await asyncio.to_thread(trusting, ca_file)
    try:
        headers = {}
        if token_file is not None:
            token = await asyncio.to_thread(token_file.read_text, encoding="ascii")
            headers["Authorization"] = f"Bearer {token.strip()}"
        async with (
            asyncio.timeout(limit_seconds),
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted or True)) as session,
            session.get(
                f"{url.rstrip('/')}/api/v2/status",
                headers=headers,
                proxy=proxy_of_environment(url),
                allow_redirects=False,
            ) as answer,
        ):
            if answer.status != 200:
                raise AlertmanagerUnavailable(f"Alertmanager {place} answered {answer.status}")
            said = decoded(await whole(answer.content.iter_any(), max_bytes=MAX_BYTES))
            return Replica(str(said["versionInfo"]["version"]), str(said["config"]["original"]))
    except TooLarge as error:
        raise AlertmanagerUnavailable(f"Alertmanager {place} answered with {error}") from error
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError, LookupError, TypeError) as error:
        why = cut(str(error)) or type(error).__name__
        raise AlertmanagerUnavailable(f"Alertmanager {place}: {why}") from error
