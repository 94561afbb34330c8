"""The `webhook` sink: every decision and deed as a CloudEvent to one URL of the operator's, at least once and in order.

Structured mode, JSON (cloudevents/spec `http-protocol-binding.md`). `source` and `id` name a record for good, and so
does the header `Idempotency-Key`: who gets one twice can tell. What the receiver refuses for good (4xx) is passed over;
what it cannot take now is told again, from the store, for as long as it takes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import aiohttp

from remediator.errors import PermanentError, TransientError, cut
from remediator.proxies import proxy_of_environment
from remediator.sinks.base import LEADS_UP
from remediator.sinks.cloud_event import QUIET, cloud_event
from remediator.store.base import CommittedRecord

TIMEOUT_SECONDS = 10.0
Count = Callable[[Exception | None], None]
AGAIN = frozenset({408, 425, 429})
"""Client errors that are not for good."""

class WebhookSink:
    """`token_file` holds a bearer token, read again for each call. `cluster` is part of the source. `count` hears of
    each attempt: None, or the error that it ended with."""

    name = "webhook"
    silent_on = LEADS_UP

    def __init__(
        self, url: str, *, cluster: str, token_file: Path | None = None, count: Count = lambda _: None
    ) -> None:
        self._url = url
        self._count = count
        self._source = f"/remediator/{cluster}"
        self._token_file = token_file

    async def tell(self, record: CommittedRecord) -> None:
        if record.kind.startswith(QUIET):
            return
        try:
            await self._post(record)
        except (TransientError, PermanentError) as error:
            self._count(error)
            raise
        self._count(None)

    async def _post(self, record: CommittedRecord) -> None:
        body = json.dumps(cloud_event(record, source=self._source)).encode()
        headers = {"Content-Type": "application/cloudevents+json", "Idempotency-Key": f"{self._source}/{record.seq}"}
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                if self._token_file is not None:
                    token = await asyncio.to_thread(self._token_file.read_text, encoding="ascii")
                    headers["Authorization"] = f"Bearer {token.strip()}"
                # One call every now and then: a session of its own leaves no connection behind that may have died.
                proxy = proxy_of_environment(self._url)
                async with (
                    aiohttp.ClientSession() as session,
                    session.post(self._url, data=body, headers=headers, allow_redirects=False, proxy=proxy) as answer,
                ):
                    status = answer.status
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise TransientError(f"webhook: {cut(str(error)) or type(error).__name__}") from error
        if 200 <= status < 300:
            return
        if status >= 500 or status in AGAIN:
            raise TransientError(f"webhook answered {status}")
        raise PermanentError(f"webhook answered {status}")
