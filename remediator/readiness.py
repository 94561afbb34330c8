"""What `/-/ready` says: each part of the service, whether it is ready, and whether it is needed for good decisions.

`app.py` makes it of the parts that it has built; `/-/ready` and the status ask.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from remediator.access.loading import Access
from remediator.anchor.keeper import LogKeeper
from remediator.api.answers import Part
from remediator.clock import Clock, rfc3339
from remediator.errors import RemediatorError, cut
from remediator.kube.base import Cluster
from remediator.lasting import Lasting
from remediator.loaded import Loaded
from remediator.model import Mode
from remediator.prometheus.base import Metrics
from remediator.replica import Replica
from remediator.rules.ruleset import RuleSet
from remediator.store.database import Database
from remediator.store.place import Storage
from remediator.telemetry import Telemetry
from remediator.watchdog import Watchdog, absence_of

STORE_SECONDS = 5.0
"""Within what time a store that is ready commits."""

SHARED_SECONDS = 1.0
"""How old an answer of what is asked for it may be. Nobody has to say who they are at `/-/ready`: without this a
stranger could make this process commit, and ask the API server, as fast as it answers. A kubelet asks every few
seconds; what has failed it hears at the latest a second later."""

FOR_ANYONE = "whoever reaches the port can cause an action, approve it and pause: nobody has to say who they are"


class Shared:
    """One answer for all who ask while it is sought, or within `SHARED_SECONDS` of when it was begun to be. One that
    does not come, is none: who is given up waits for nobody, and the next one asks anew."""

    def __init__(self, ask: Callable[[], Awaitable[Part]]) -> None:
        self._ask = ask
        self._asking = asyncio.Lock()
        self._answer: Part | None = None
        self._begun_at = self._ended_at = 0.0

    async def answer(self) -> Part:
        """Raises what the asking does."""
        now = asyncio.get_running_loop().time
        came_at = now()
        async with self._asking:
            is_of_now = self._ended_at >= came_at or now() - self._begun_at < SHARED_SECONDS
            if self._answer is None or not is_of_now:
                self._answer, self._begun_at = None, now()
                self._answer = await self._ask()
                self._ended_at = now()
            return self._answer


class Readiness:
    """Asks the parts; `table`, `access` and `trust` know themselves why a file could not be loaded again. `trust` is
    whose certificates of Alertmanager are believed; None: no file says it."""

    def __init__(
        self,
        *,
        mode: Mode,
        clock: Clock,
        storage: Storage,
        database: Database,
        cluster: Cluster,
        metrics: Metrics | None,
        table: Loaded[RuleSet],
        access: Loaded[Access],
        trust: Loaded[Any] | None,
        replica: Replica,
        lasting: Lasting,
        keeper: LogKeeper,
        watchdog: Watchdog | None,
        telemetry: Telemetry,
    ) -> None:
        self._mode = mode
        self._clock = clock
        self._storage = storage
        self._database = database
        self._cluster = cluster
        self._metrics = metrics
        self._table = table
        self._access = access
        self._trust = trust
        self._replica = replica
        self._lasting = lasting
        self._keeper = keeper
        self._watchdog = watchdog
        self._telemetry = telemetry
        self._shared_store = Shared(self._store)
        self._shared_api_server = Shared(self._api_server)
        self._shared_prometheus = Shared(self._prometheus)

    async def parts(self) -> Sequence[Part]:
        """All of them, the needed ones first."""
        api_server = await self._shared_api_server.answer()
        parts = [
            await self._shared_store.answer(),
            api_server,
            _in_force("rules", self._table.problem),
            self._credentials(),
            self._own(),
        ]
        with contextlib.suppress(RemediatorError):  # the store says it itself
            if (watchdog := await self.watchdog()) is not None:
                parts.append(watchdog)
        if self._trust is not None:
            parts.append(_in_force("alertmanager-ca", self._trust.problem, is_required=False))
        parts.append(_in_force("duties", self._lasting.problems(), is_required=False))
        return [*parts, await self._audit(), await self._shared_prometheus.answer()]

    @property
    def is_for_anyone(self) -> bool:
        """Whether something may be done to the cluster for whoever reaches the port."""
        return self._mode in (Mode.APPROVE, Mode.ACTIVE) and self._access.current.credentials.is_open

    async def watchdog(self) -> Part | None:
        """How the watchdog stands, which its gauges are told too; None: none is awaited. Raises StoreUnavailable."""
        if self._watchdog is None:
            return None
        heard = await self._watchdog.last()
        if heard is None:
            self._telemetry.watchdog(last_seen_seconds=None, is_absent=False)
            return Part("watchdog", True, "never heard, so that none is awaited", is_required=False)
        absence = absence_of(heard, self._clock.now(), after=self._watchdog.patience.absent_after)
        self._telemetry.watchdog(last_seen_seconds=heard.seen_at.timestamp(), is_absent=absence is not None)
        if absence is not None:
            return Part("watchdog", False, f"{absence}: no resolution is believed", is_required=False)
        return Part("watchdog", True, f"last heard at {rfc3339(heard.seen_at)}", is_required=False)

    async def watchdog_in_words(self) -> str:
        part = await self.watchdog()
        return "none is awaited" if part is None else part.detail

    async def _store(self) -> Part:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                await self._database.check_writes()
        except (RemediatorError, TimeoutError) as error:
            return Part("store", False, cut(str(error)) or f"no commit within {STORE_SECONDS:g} s")
        return Part("store", True, self._storage.doubt)

    async def _api_server(self) -> Part:
        is_ready = await self._cluster.is_ready()
        return Part("api-server", is_ready, "" if is_ready else f"cluster {self._cluster.name} does not answer")

    def _credentials(self) -> Part:
        if not self._access.problem and self.is_for_anyone:
            return Part("credentials", False, FOR_ANYONE, is_required=False)
        return _in_force("credentials", self._access.problem)

    def _own(self) -> Part:
        if self._replica.problem:
            return Part("replica", False, f"{self._replica.name}: {self._replica.problem}")
        return Part("replica", True, f"{self._replica.name}, duties: {', '.join(self._replica.held) or 'none'}")

    async def _audit(self) -> Part:
        try:
            doubt = await self._keeper.why_not()
        except RemediatorError:
            doubt = None  # the store says it itself
        detail = "" if doubt is None else f"nothing is done to the cluster: {doubt.detail}"
        return Part("audit", doubt is None, detail, is_required=False)

    async def _prometheus(self) -> Part:
        if self._metrics is None:
            return Part("prometheus", False, "not configured: what needs metrics is unknown", is_required=False)
        return Part("prometheus", await self._metrics.is_ready(), is_required=False)


def _in_force(name: str, problem: str, *, is_required: bool = True) -> Part:
    return Part(name, not problem, problem.splitlines()[0] if problem else "", is_required=is_required)
