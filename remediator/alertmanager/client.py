"""Alertmanager's API v2 over HTTP, of all replicas of one cluster of them.

Alerts are not gossiped between replicas and silences are, so an alert that one replica has is there, and one that any
replica calls suppressed is muted. Source: prometheus/alertmanager `api/v2/openapi.yaml`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import aiohttp

from remediator.alertmanager.base import AlertmanagerUnavailable, Listed, Listing
from remediator.alertmanager.trust import trusting
from remediator.bodies import TooLarge, decoded_apart, whole
from remediator.clock import parse_rfc3339
from remediator.errors import ConfigError, cut
from remediator.loaded import Loaded
from remediator.model import Alert, Json
from remediator.prometheus.base import label_value
from remediator.proxies import proxy_of_environment
from remediator.together import together

TIMEOUT_SECONDS = 5.0
MAX_BYTES = 16 * 1024 * 1024
ALERTS, STATUS = "/api/v2/alerts", "/api/v2/status"
FILTERED_BY = ("alertname", "namespace")
"""Labels that narrow the list; the fingerprint decides."""

STATES = ("unprocessed", "active", "suppressed")
MUTED_BY = (("silencedBy", "silence"), ("inhibitedBy", "inhibited by"), ("mutedBy", "mute time"))


class AlertmanagerApi:
    """Every replica in `urls` is asked. `token_file` holds a bearer token, read again for each question; `ca_file` the
    authorities (PEM) that may vouch for a replica, None: the system's. They are read again when `trust` is reloaded."""

    def __init__(
        self, urls: Sequence[str], *, token_file: Path | None = None, ca_file: Path | None = None
    ) -> None:
        """Raises ConfigError for an address that is none, and a CA file that is none."""
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ConfigError(f"not a URL of an Alertmanager: {cut(url)!r}; write http://host:port")
        self._urls = [url.rstrip("/") for url in urls]
        try:
            self._proxies = {url: proxy_of_environment(url) for url in self._urls}
        except ValueError as error:
            raise ConfigError(f"not a URL of an Alertmanager: {cut(str(error))}; write http://host:port") from error
        self._token_file = token_file
        self.trust: Loaded[ssl.SSLContext | None] = Loaded(
            lambda _: trusting(ca_file), files=lambda: () if ca_file is None else (ca_file,)
        )
        self._session: aiohttp.ClientSession | None = None

    async def look_up(self, alert: Alert) -> Listed | None:
        filters = [
            ("filter", f"{name}={label_value(alert.labels[name])}") for name in FILTERED_BY if name in alert.labels
        ]
        same = [item for item in await self._of_all(filters) if item.get("fingerprint") == alert.fingerprint]
        if not same:
            return None
        if not all(map(_is_understood, same)):
            raise AlertmanagerUnavailable("Alertmanager lists the alert in a state that its API does not have")
        return Listed(tuple(dict.fromkeys(name for item in same for name in _muted_by(item))))

    async def alerts(self) -> list[Json]:
        """All that fire and that nobody quieted, each once, of all replicas that answer. Raises
        AlertmanagerUnavailable."""
        wanted = [("active", "true"), ("silenced", "false"), ("inhibited", "false")]
        found = await self._of_all(wanted)
        return list({str(item.get("fingerprint")): item for item in found}.values())

    async def listing(self) -> Listing:
        """Of two replicas that list the same alert, the one that calls it suppressed is right: silences are gossiped,
        and take a moment."""
        lists = await self._answers(ALERTS, ())
        starts = await self._answers(STATUS, ())
        found: dict[str, Json] = {}
        for item in _items(lists):
            key = str(item.get("fingerprint"))
            if key not in found or _muted_by(item):
                found[key] = item
        since = [_started(answer) for answer in starts]
        is_whole = None not in since and all(not isinstance(one, BaseException) for one in lists)
        return Listing(list(found.values()), max(one for one in since if one is not None) if is_whole else None)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _of_all(self, asked: Sequence[tuple[str, str]]) -> list[Json]:
        """What the replicas list that answer."""
        return _items(await self._answers(ALERTS, asked))

    async def _answers(self, path: str, asked: Sequence[tuple[str, str]]) -> list[Json | AlertmanagerUnavailable]:
        """What each replica said, or why it did not answer. Raises AlertmanagerUnavailable if none did."""
        answers = await together(*(self._answer_or_why(url, path, asked) for url in self._urls))
        if all(isinstance(one, AlertmanagerUnavailable) for one in answers):
            raise AlertmanagerUnavailable("; ".join(str(error) for error in answers))
        return answers

    async def _answer_or_why(
        self, url: str, path: str, asked: Sequence[tuple[str, str]]
    ) -> Json | AlertmanagerUnavailable:
        try:
            return await self._ask(url, path, asked)
        except AlertmanagerUnavailable as error:
            return error

    async def _ask(self, url: str, path: str, asked: Sequence[tuple[str, str]]) -> Json:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                headers = await asyncio.to_thread(self._headers)
                session = self._open()
                async with session.get(
                    f"{url}{path}",
                    params=asked,
                    headers=headers,
                    proxy=self._proxies[url],
                    allow_redirects=False,
                    ssl=self.trust.current or True,  # a connection that another context opened is not used for this
                ) as answer:
                    if answer.status != 200:
                        raise AlertmanagerUnavailable(f"Alertmanager {_place(url)} answered {answer.status}")
                    said = await decoded_apart(await whole(answer.content.iter_any(), max_bytes=MAX_BYTES))
        except TooLarge as error:
            raise AlertmanagerUnavailable(f"Alertmanager {_place(url)} answered with {error}") from error
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
            why = cut(str(error)) or type(error).__name__
            raise AlertmanagerUnavailable(f"Alertmanager {_place(url)}: {why}") from error
        is_list = isinstance(said, list) and all(isinstance(item, dict) for item in said)
        if not (is_list if path == ALERTS else isinstance(said, dict)):
            raise AlertmanagerUnavailable(f"Alertmanager {_place(url)} does not answer as its API says")
        return said

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        return {"Authorization": f"Bearer {self._token_file.read_text(encoding='ascii').strip()}"}


def _items(answers: Sequence[Json | AlertmanagerUnavailable]) -> list[Json]:
    return [item for items in answers if isinstance(items, list) for item in items]


def _started(answer: Json | AlertmanagerUnavailable) -> datetime | None:
    """When a replica started, which its API calls `uptime`; None: nobody knows."""
    if isinstance(answer, BaseException):
        return None
    try:
        return parse_rfc3339(str(answer.get("uptime")))
    except ValueError:
        return None


def _is_understood(item: Json) -> bool:
    """Whether it says what keeps the alert quiet, if anything: what cannot be read could be a silence."""
    status = item.get("status")
    if not isinstance(status, dict) or status.get("state") not in STATES:
        return False
    return all(isinstance(status.get(key) or [], list) for key, _ in MUTED_BY)


def _muted_by(item: Json) -> list[str]:
    status = item.get("status")
    if not isinstance(status, dict) or status.get("state") != "suppressed":
        return []
    lists = [(word, status.get(key)) for key, word in MUTED_BY]
    named = [f"{word} {cut(str(one), max_length=80)}" for word, ids in lists if isinstance(ids, list) for one in ids]
    return named or ["suppressed"]


def _place(url: str) -> str:
    return url.rpartition("@")[2] if "@" in url else url
