"""A real Alertmanager, or two, and the real service in this process, with as little around them as a trap needs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from remediator.app import Service, open_service
from remediator.clock import SystemClock
from remediator.receive.payload import fingerprint
from remediator.settings import Settings
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.workloads import deployment
from remediator.store.base import CommittedRecord
from tests.alertmanager.front import Front
from tests.cluster.binaries import Binaries
from tests.cluster.monitoring import Alertmanager
from tests.cluster.waiting import wait_for_async

PATIENCE_SECONDS = 45.0
"""How long a condition is waited for: many times what it takes, so that a slow machine fails nothing."""

EXTERNAL_URL = "http://alertmanager.example:9093"
RECEIVER = "remediator"
RULES = """\
rules:
  - name: any
    match: ['alertname=~"T.+"']
    severity: 1
    respond: [{do: escalate}]
"""


class Replica(Alertmanager):
    """An Alertmanager with flags of its own, that can also be killed."""

    def __init__(self, binaries: Binaries, folder: Path, config: dict[str, Any], *, flags: Sequence[str] = ()) -> None:
        self._extra = list(flags)
        self._data = "data-0"
        super().__init__(binaries, folder, config)

    def kill(self) -> None:
        """SIGKILL: what it has not written is lost."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.stop()

    def forget(self) -> None:
        """From the next start on it has an empty storage."""
        self._data = f"data-{int(self._data[5:]) + 1}"

    def _flags(self) -> list[str]:
        cluster = [] if any("cluster." in flag for flag in self._extra) else ["--cluster.listen-address="]
        storage = f"--storage.path={self._folder / self._data}"
        return [storage, f"--web.external-url={EXTERNAL_URL}", "--web.route-prefix=/", *cluster, *self._extra]


def webhook(url: str, **fields: Any) -> dict[str, Any]:
    return {"url": url, "send_resolved": True, **fields}


def config(url: str, *, route: Mapping[str, Any] | None = None, **hook: Any) -> dict[str, Any]:
    """One route to one receiver, at a pace that a test can wait for."""
    times = {"group_wait": "200ms", "group_interval": "1s", "repeat_interval": "1h"}
    return {
        "route": {"receiver": RECEIVER, "group_by": ["case"], **times, **(route or {})},
        "receivers": [{"name": RECEIVER, "webhook_configs": [webhook(url, **hook)]}],
    }


def at(seconds: float) -> str:
    """So many seconds from now, RFC 3339 with all its digits."""
    whole, part = divmod(time.time() + seconds, 1)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int(part * 1e6):06d}789Z"


@dataclass
class Fact:
    """An alert as Prometheus would send it, again and again."""

    name: str = "TCrash"
    workload: str = "checkout"
    labels: dict[str, str] = field(default_factory=dict)
    starts_at: str = field(default_factory=lambda: at(-60))

    @property
    def all_labels(self) -> dict[str, str]:
        own = {"alertname": self.name, "namespace": "shop", "deployment": self.workload, "case": "x"}
        return own | self.labels

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.all_labels)

    def fires(self) -> dict[str, Any]:
        return {"labels": self.all_labels, "startsAt": self.starts_at, "endsAt": at(600)}

    def ends(self) -> dict[str, Any]:
        return {"labels": self.all_labels, "startsAt": self.starts_at, "endsAt": at(-0.001)}


@dataclass
class Running:
    """The service, and what the tests ask it."""

    service: Service
    token: str = ""
    """Of somebody who may read, where that is asked for."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.service.port}"

    async def records(self, kind: str = "") -> list[CommittedRecord]:
        found = await self.service.database.records(after=0, limit=10_000)
        return [record for record in found if record.kind.startswith(kind)]

    async def begun(self) -> list[str]:
        """Names of the alerts that began something, in order."""
        return [str(record.body["labels"]["alertname"]) for record in await self.records("alert.received")]

    async def incidents(self) -> int:
        return len(await self.service.database.incidents(limit=100, open_only=False))

    async def times_received(self, fact: Fact) -> int:
        """How often the alert stood in a body that was kept."""
        [known] = await self.service.database.known.of([fact.fingerprint])
        return known.times_received

    async def is_firing(self, fact: Fact) -> list[bool]:
        return [one.is_firing for one in await self.service.database.known.of([fact.fingerprint])]

    async def metric(self, name: str) -> float:
        """Of one series as `/metrics` shows it, 0: it is not there."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with ClientSession() as client, client.get(f"{self.url}/metrics", headers=headers) as answer:
            lines = (await answer.text()).splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    async def part(self, name: str) -> dict[str, Any]:
        """A part of `/-/ready`."""
        headers = {"Accept": "application/json"}
        async with ClientSession() as client, client.get(f"{self.url}/-/ready", headers=headers) as answer:
            parts = json.loads(await answer.read())["parts"]
        return next(part for part in parts if part["name"] == name)


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[Running]:
    """The real service on a free port, its database in the folder; its cluster has two Deployments in `shop`."""
    rules = folder / "rules.yaml"
    rules.write_text(RULES, encoding="utf-8")
    async with EmbeddedCluster(SystemClock()) as cluster:
        for name in ("checkout", "cart"):
            cluster.apply(deployment("shop", name, image="shop:1"))
        given = {
            "web_listen_address": "127.0.0.1:0",
            "storage_url": f"sqlite:///{folder / 'remediator.db'}",
            "rules": (rules,),
            "kube_server": cluster.url,
            "poll_seconds": 0.05,
            "events": False,
            "rollout_poll_seconds": 0,
            "score_poll_seconds": 0,
            **settings,
        }
        made = Settings.load(None, given)
        async with open_service(made, clock=SystemClock()) as service, asyncio.TaskGroup() as group:
            running = group.create_task(service.run())
            try:
                yield Running(service)
            finally:
                service.stop()
                await running


async def until(predicate: Any, what: str) -> Any:
    return await wait_for_async(predicate, timeout_seconds=PATIENCE_SECONDS, what=what)


async def arrived(front: Front, count: int) -> None:
    """Wait until so many requests came to the front."""
    await until(lambda: len(front.arrivals) >= count, f"{count} requests")


async def passed(front: Front, count: int) -> None:
    """Wait until the service has answered so many."""
    await until(lambda: len(front.answered) >= count, f"{count} answers")
