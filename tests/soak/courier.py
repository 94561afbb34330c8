"""The Alertmanager of the soak: it sends what fires and what ended, again until it is answered 200, some of it twice,
some late, some in another order; beside it a stream of alerts that no rule knows. It remembers what was answered."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import aiohttp

from remediator.clock import Clock
from remediator.model import Json
from remediator.simulate.alertmanager import SentAlert, fingerprint, webhook_bodies, wire_bytes
from remediator.simulate.prometheus import EmbeddedPrometheus

Episode = tuple[str, datetime]
ANSWER_SECONDS = 5.0
HEADERS = {"Content-Type": "application/json", "User-Agent": "Alertmanager/0.31.1"}


@dataclass
class Ledger:
    """What the service has answered 200 to: how often it was told of each episode, and of which it was told the end."""

    told: Counter[Episode] = field(default_factory=Counter)
    ended: set[Episode] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    acked_while_full: int = 0

    def keep(self, alerts: Sequence[SentAlert]) -> None:
        for alert in alerts:
            episode = (fingerprint(alert.labels), alert.starts_at)
            self.told[episode] += 1
            if alert.ends_at is not None:
                self.ended.add(episode)


class Courier:
    """`url` says where the service is now; `is_full` whether its disk is."""

    def __init__(
        self,
        prometheus: EmbeddedPrometheus,
        clock: Clock,
        *,
        chance: random.Random,
        url: Callable[[], str],
        noise_per_second: float,
    ) -> None:
        self._prometheus = prometheus
        self._clock = clock
        self._chance = chance
        self._url = url
        self._noise = noise_per_second
        self._number = 0
        self._firing: dict[Episode, SentAlert] = {}
        self._noisy: list[SentAlert] = []
        self.ledger = Ledger()
        self.is_full: Callable[[], bool] = lambda: False
        self.latest_ack = 0.0
        self.waiting = 0

    async def run(self) -> None:
        """Until cancelled; what has not been answered then is nobody's promise."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            while True:
                for alerts in [*self._groups(), *self._noise_now()]:
                    group.create_task(self._deliver(session, alerts))
                    if self._chance.random() < 0.1:
                        group.create_task(self._deliver(session, alerts))  # as the other of a pair would
                await asyncio.sleep(1.0)

    def end_noise(self) -> None:
        self._noise = 0.0

    @property
    def firing(self) -> int:
        return len(self._firing) + len(self._noisy)

    def _groups(self) -> list[list[SentAlert]]:
        """The groups in which something changed, or which are repeated now."""
        now = self._clock.now()
        seen = {
            (fingerprint(alert.labels), alert.fired_at): SentAlert(alert.labels, alert.fired_at, alert.annotations)
            for alert in self._prometheus.alerts()
            if alert.fired_at is not None
        }
        changed = [alert for episode, alert in seen.items() if episode not in self._firing]
        changed += [
            SentAlert(alert.labels, alert.starts_at, alert.annotations, ends_at=now)
            for episode, alert in self._firing.items()
            if episode not in seen
        ]
        self._firing = seen
        repeated = [alert for alert in seen.values() if self._chance.random() < 0.02]
        return _grouped([*changed, *repeated])

    def _noise_now(self) -> list[list[SentAlert]]:
        now, made = self._clock.now(), []
        for _ in range(int(self._noise + self._chance.random())):
            self._number += 1
            labels = {"alertname": "TownNoise", "namespace": "nowhere", "number": str(self._number)}
            made.append(SentAlert(labels, now - timedelta(seconds=1), {"summary": "nothing to be done"}))
        over = [one for one in self._noisy if not self._noise or now - one.starts_at > timedelta(minutes=5)]
        self._noisy = [one for one in self._noisy if one not in over] + made
        ended = [SentAlert(one.labels, one.starts_at, one.annotations, ends_at=now) for one in over]
        return [part for part in (made, ended) if part]

    async def _deliver(self, session: aiohttp.ClientSession, alerts: list[SentAlert]) -> None:
        self.waiting += 1
        if self._chance.random() < 0.1:
            await asyncio.sleep(self._chance.uniform(0.0, 4.0))  # what was sent after it arrives before
        body = webhook_bodies(alerts)[0]
        pause = 0.3
        try:
            while not await self._post(session, body, alerts):
                await asyncio.sleep(pause)
                pause = min(5.0, pause * 1.5)
        finally:
            self.waiting -= 1

    async def _post(self, session: aiohttp.ClientSession, body: Json, alerts: Sequence[SentAlert]) -> bool:
        url, was_full = self._url(), self.is_full()
        if not url:
            return False
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with session.post(
                f"{url}/api/v1/alerts", data=wire_bytes(body), headers=HEADERS, timeout=timeout
            ) as answer:
                status, said = answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            self.ledger.answers[0] += 1
            return False
        self.ledger.answers[status] += 1
        if status != 200 or said.get("quarantined"):
            return False
        self.latest_ack = time.monotonic()
        self.ledger.acked_while_full += was_full and self.is_full()
        self.ledger.keep(alerts)
        return True


def _grouped(alerts: Sequence[SentAlert]) -> list[list[SentAlert]]:
    groups: dict[tuple[str, str], list[SentAlert]] = {}
    for alert in alerts:
        groups.setdefault((alert.labels["alertname"], alert.labels["namespace"]), []).append(alert)
    return list(groups.values())
