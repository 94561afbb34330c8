"""The protocol `Cluster` on a real API server (or the embedded one), over kubernetes_asyncio's session and raw JSON.

`app.py` and the commands that need a cluster call `connect`; everything else sees `kube/base.py`. Only this module's
neighbours `credentials.py` and `session.py` import kubernetes_asyncio, by `library.py`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from remediator.bodies import decoded_apart
from remediator.clock import Clock, SystemClock
from remediator.errors import PermanentError, RemediatorError
from remediator.kube.base import Logs, ReplyLost, Unreachable, path_of
from remediator.kube.credentials import SERVICE_ACCOUNT, find_source
from remediator.kube.exchange import Call, Exchange, Transport
from remediator.kube.replies import Expired
from remediator.kube.session import Session
from remediator.model import Json, Request

PAGE_SIZE = 100
"""Items per page of a list. kubectl asks for 500; but nodes of 20 KB each are then 10 MB of JSON, ten times that much
as objects, and all of it at once."""

PLAIN = {"Accept": "application/json"}
METADATA_LIST = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}


async def connect(
    *,
    name: str,
    kubeconfig: Path | None = None,
    context: str | None = None,
    server: str | None = None,
    request_timeout_seconds: float = 10,
    total_timeout_seconds: float = 45,
    max_concurrent: int = 20,
    user_agent: str = "remediator",
    service_account: Path = SERVICE_ACCOUNT,
    disable_strict_ssl_verification: bool = False,
    clock: Clock | None = None,
) -> KubernetesCluster:
    """The cluster called `name`, reached by `server` (no authentication), `kubeconfig`, or as `find_source` finds it.

    `request_timeout_seconds` bounds one attempt, `total_timeout_seconds` all attempts of one call and their pauses
    (a list: all its pages). Nothing is sent yet. Raises ConfigError that says what was tried.
    """
    # The library prints whole response bodies at DEBUG, Secrets and tokens of its login flows included.
    logging.getLogger("kubernetes_asyncio").setLevel(logging.WARNING)
    source = find_source(
        kubeconfig=kubeconfig,
        context=context,
        server=server,
        service_account=service_account,
        strict_tls=not disable_strict_ssl_verification,
    )
    session = await Session.open(
        source, max_connections=max_concurrent, user_agent=user_agent, limit_seconds=request_timeout_seconds
    )
    clock = clock or SystemClock()
    exchange = Exchange(
        session,
        clock,
        limit_seconds=request_timeout_seconds,
        total_seconds=total_timeout_seconds,
        max_concurrent=max_concurrent,
    )
    return KubernetesCluster(name, exchange=exchange, session=session, clock=clock)


class KubernetesCluster:
    """One API server; made by `connect`."""

    def __init__(self, name: str, *, exchange: Exchange, session: Transport, clock: Clock) -> None:
        self._name = name
        self._exchange = exchange
        self._session = session
        self._clock = clock

    @property
    def name(self) -> str:
        return self._name

    @property
    def clock_offset_seconds(self) -> float | None:
        """Our clock minus the API server's, by its last answer, to about a second; None: it has not answered yet."""
        return self._exchange.clock_offset_seconds

    async def get(self, path: str) -> Json:
        """The object at `path`, read from the quorum (no resourceVersion)."""
        return await self._read(path, query={}, headers=PLAIN)

    async def list(
        self,
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int | None = None,
    ) -> Sequence[Json]:
        """All items at `path`, or the first `limit`; never a part of them because something broke in between.

        Raises PermanentError when `metadata_only` was asked and the server sent whole objects.
        """
        query = {"limit": str(min(limit, PAGE_SIZE) if limit is not None else PAGE_SIZE)}
        if label_selector:
            query["labelSelector"] = label_selector
        if field_selector:
            query["fieldSelector"] = field_selector
        started_at = self._clock.now()
        try:
            return await self._pages(path, query, metadata_only, limit, started_at)
        except Expired:
            # The continue token outlived the server's history (5 minutes): what was read so far is of no use.
            pass
        try:
            return await self._pages(path, query, metadata_only, limit, started_at)
        except Expired as error:
            raise Unreachable(f"GET {path}: the list expired twice while it was read") from error

    async def _pages(
        self, path: str, query: Mapping[str, str], metadata_only: bool, limit: int | None, started_at: datetime
    ) -> Sequence[Json]:
        items: list[Json] = []
        token = ""
        while True:
            asked = {**query, "continue": token} if token else query
            page = await self._read(path, query=asked, headers=METADATA_LIST if metadata_only else PLAIN)
            if metadata_only and page.get("kind") != "PartialObjectMetadataList":
                raise PermanentError(f"GET {path}: asked for metadata, got {page.get('kind')}; nothing of it was kept")
            found = page.get("items", ())
            if not isinstance(found, list | None):
                raise Unreachable(f"GET {path}: the answer is not a list")
            items += found or ()
            token = (page.get("metadata") or {}).get("continue") or ""
            if limit is not None and len(items) >= limit:
                return items[:limit]
            if not token:
                return items
            if (self._clock.now() - started_at).total_seconds() >= self._exchange.total_seconds:
                raise Unreachable(f"GET {path}: list not complete within {self._exchange.total_seconds:g} s")

    async def logs(
        self, *, namespace: str, pod: str, container: str, previous: bool, tail_lines: int, limit_bytes: int
    ) -> Logs:
        """The end of a container's log. Raises NotFound also for "waiting to start" and "no previous container".

        The kubelet seeks to the start of the tail and then stops after `limit_bytes`, so that a limit cuts off the
        newest lines (kubernetes `pkg/kubelet/kuberuntime/logs/logs.go`): ask for fewer lines until they fit.
        """
        path = path_of("Pod", namespace=namespace, name=pod, subresource="log")
        query = {"container": container, "limitBytes": str(limit_bytes)}
        if previous:
            query["previous"] = "true"
        while True:
            call = Call("GET", path, True, query={**query, "tailLines": str(tail_lines)}, headers={"Accept": "*/*"})
            body = await self._exchange.perform(call)
            if len(body) < limit_bytes or tail_lines <= 1:
                return Logs(body[:limit_bytes].decode(errors="replace"), complete_tail=len(body) < limit_bytes)
            tail_lines //= 2

    async def send(self, request: Request, *, dry_run: bool) -> Json:
        """Send one write once; a dry run changes nothing and is repeated like a read.

        Raises ValueError for a request without a content type, or one that sets `dryRun` itself.
        """
        in_body = request.method == "DELETE" and "dryRun" in (request.body or {})
        if "dryRun" in request.query or in_body or not request.content_type:
            raise ValueError(f"not a sendable request: {request.method} {request.path}")
        headers = {**PLAIN, **({"Audit-ID": request.audit_id} if request.audit_id else {})}
        body = None
        if request.body is not None:
            headers["Content-Type"] = request.content_type
            options = request.body
            if dry_run and request.method == "DELETE":
                # A deletion with a body has its options there, and the API server does not look at the query then
                # (kubernetes/apiserver `pkg/endpoints/handlers/delete.go`): it would be a real one.
                options = {**options, "dryRun": ["All"]}
            body = canonical(options)
        call = Call(
            request.method,
            request.path,
            is_repeatable=dry_run,
            query={**request.query, "dryRun": "All"} if dry_run else request.query,
            headers=headers,
            body=body,
            not_after=request.not_after,
        )
        answer = await self._exchange.perform(call)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            what = f"{call}: the answer is not JSON"
            raise (Unreachable(what) if dry_run else ReplyLost(f"{what}; it may have been done")) from error

    async def is_ready(self) -> bool:
        """Whether the API server answers `/readyz` now; asked once."""
        try:
            await self._exchange.attempt(Call("GET", "/readyz", True, headers={"Accept": "*/*"}))
        except RemediatorError:
            return False
        return True

    async def close(self) -> None:
        await self._session.close()

    async def _read(self, path: str, *, query: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Json]:
        body = await self._exchange.perform(Call("GET", path, True, query=query, headers=headers))
        try:
            parsed = await decoded_apart(body)
        except (ValueError, RecursionError) as error:
            raise Unreachable(f"GET {path}: the answer is not JSON") from error
        if not isinstance(parsed, dict):
            raise Unreachable(f"GET {path}: the answer is not a JSON object")
        return parsed


def canonical(body: Json) -> bytes:
    """JSON as it goes out: sorted keys, no spaces, UTF-8. Raises ValueError for NaN and infinities."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
