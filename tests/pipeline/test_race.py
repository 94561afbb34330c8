"""Something changes at every single call between the alert and the write: nothing is done that the change forbids.

The calls of one undisturbed pass are counted first. Then, for each event and each call up to the last look that could
see it, the event comes right before that call. After the last look only the object itself can refuse, by its
preconditions, and does.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from remediator.alertmanager.base import Listed
from remediator.model import AlertStatus
from remediator.prometheus.base import PrometheusUnavailable
from remediator.store.base import KillSwitch
from remediator.store.pauses_base import Pause, PauseOf
from tests.pipeline.history import Lists
from tests.pipeline.world import DEPLOYMENT, LEASE, World, world
from tests.workloads import alert

Event = Callable[[World], Awaitable[None]]
WRITE = "send for real"


class Counter:
    """Counts the calls of store, cluster, Prometheus and Alertmanager; right before call `at` the event comes."""

    def __init__(self, one: World, event: Event | None, at: int) -> None:
        self._one = one
        self._event = event
        self._at = at
        self.calls: list[str] = []

    async def before(self, name: str) -> None:
        self.calls.append(name)
        if self._event is not None and len(self.calls) == self._at:
            await self._event(self._one)


class Watched:
    def __init__(self, inner: Any, counter: Counter) -> None:
        self._inner = inner
        self._counter = counter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def called(*args: Any, **kwargs: Any) -> Any:
            is_write = name == "send" and not kwargs["dry_run"]
            told = f"get {args[0]}" if name == "get" else name
            await self._counter.before(WRITE if is_write else told)
            return await found(*args, **kwargs)

        return called


@asynccontextmanager
async def disturbed(event: Event | None, at: int, *, has_gate: bool = True) -> Any:
    async with world() as one:
        counter = Counter(one, event, at)
        one.alertmanager = Lists(Listed(()))
        await one.receive()
        database = one.database if has_gate else NoGate(one.database)
        store, cluster, metrics = (Watched(part, counter) for part in (database, one.shop, one.metrics))
        one.store, one.cluster = store, cluster  # type: ignore[assignment]
        one.metrics, real = metrics, one.metrics  # type: ignore[assignment]
        one.alertmanager, lists = Watched(one.alertmanager, counter), one.alertmanager  # type: ignore[assignment]
        one.shop.heard, one.shop.asked = lists, real  # type: ignore[attr-defined]
        await one.one_pass()
        one.metrics = real
        yield one, counter.calls


async def resolved(one: World) -> None:
    await one.receive(replace(alert(), status=AlertStatus.RESOLVED, ends_at=one.clock.now()))


async def silenced(one: World) -> None:
    one.shop.heard._listed = Listed(("silence 5e6a",))  # type: ignore[attr-defined]


async def inhibited(one: World) -> None:
    one.shop.heard._listed = Listed(("inhibited by 4b56b2b678ba6979",))  # type: ignore[attr-defined]


async def not_listed(one: World) -> None:
    one.shop.heard._listed = None  # type: ignore[attr-defined]


async def unanswered(one: World) -> None:
    one.shop.asked.failure = PrometheusUnavailable("refused")  # type: ignore[attr-defined]


async def recovered(one: World) -> None:
    one.shop.peek("Pod", "shop", "checkout-3-a")["status"]["containerStatuses"][0]["ready"] = True


async def edited(one: World) -> None:
    one.shop.live["metadata"]["generation"] += 1


async def replaced(one: World) -> None:
    one.shop.live["metadata"]["uid"] = "d-2"


async def killed(one: World) -> None:
    await one.database.set_kill_switch(KillSwitch(True, "stop", "me", one.clock.now(), None))


async def paused(one: World) -> None:
    await one.database.set_pause(Pause(PauseOf.TARGET, "shop/deployment/checkout", "me", "x", one.clock.now(), None))


def opts_out(kind: str, namespace: str | None, name: str) -> Event:
    """Its owner writes it on the workload or the namespace, which changes no generation."""

    async def event(one: World) -> None:
        metadata = one.shop.peek(kind, namespace, name)["metadata"]
        metadata["annotations"] = {**metadata.get("annotations", {}), "remediator.io/mode": "off"}

    return event


async def healed(one: World) -> None:
    """By the status of the Deployment; Prometheus has not noticed yet."""
    one.shop.live["status"] |= {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


async def slept(one: World) -> None:
    """The process was stopped for twice its lease, and nobody took what it had."""
    one.clock.at += 2 * LEASE


async def taken_over(one: World) -> None:
    """The same, and another replica took it."""
    one.clock.at += 2 * LEASE
    await one.database.claim(owner="another", at=one.clock.now(), lease=LEASE, limit=10)


async def taken_too_early(one: World) -> None:
    """By a replica whose clock is far ahead: here the lease lives, and only the epoch says that it is not ours."""
    ahead = one.clock.now() + 2 * LEASE
    await one.database.claim(owner="another", at=ahead, lease=LEASE, limit=10)


WORKLOAD, NAMESPACE = f"get {DEPLOYMENT}", "get /api/v1/namespaces/shop"
EVENTS: dict[str, tuple[Event, str]] = {
    "resolved": (resolved, "is_resolved"),
    "silenced": (silenced, "look_up"),
    "inhibited": (inhibited, "look_up"),
    "not listed": (not_listed, "look_up"),
    "Prometheus away": (unanswered, "query"),
    "recovered": (recovered, "query"),
    "edited": (edited, WRITE),
    "replaced": (replaced, WRITE),
    "kill switch": (killed, "kill_switch"),
    "paused": (paused, "pauses"),
    "opted out": (opts_out("Deployment", "shop", "checkout"), WORKLOAD),
    "healed": (healed, WORKLOAD),
    "namespace opted out": (opts_out("Namespace", None, "shop"), NAMESPACE),
    "slept": (slept, "renew"),
    "taken over": (taken_over, "renew"),
    "taken too early": (taken_too_early, "renew"),
}
"""Each with the call that sees it last."""


async def baseline() -> list[str]:
    async with disturbed(None, 0) as (one, calls):
        assert len(one.shop.writes()) == 1
        assert one.shop.image == "shop/checkout:1.4"
        return list(calls)


def last_look(calls: list[str], name: str) -> int:
    """The number of the last such call before, or at, the write."""
    write = calls.index(WRITE)
    return max(number for number, call in enumerate(calls[: write + 1], start=1) if call == name)


@pytest.mark.parametrize("name", EVENTS)
async def test_no_write_is_done_after_it(name: str) -> None:
    event, seen_by = EVENTS[name]
    last = last_look(await baseline(), seen_by)
    for at in range(1, last + 1):
        async with disturbed(event, at) as (one, _):
            assert one.shop.image == "shop/checkout:1.5", f"{name} before call {at} of {last}"


@pytest.mark.parametrize(
    "name",
    [
        "resolved",
        "silenced",
        "kill switch",
        "opted out",
        "namespace opted out",
        "healed",
        "slept",
        "taken over",
        "taken too early",
    ],
)
async def test_what_comes_after_the_last_look_comes_too_late(name: str) -> None:
    """The negative control: it is the look that keeps it from being done."""
    write = (await baseline()).index(WRITE) + 1
    async with disturbed(EVENTS[name][0], write) as (one, _):
        assert one.shop.image == "shop/checkout:1.4"


async def test_the_race_is_run_more_than_500_times_and_the_last_looks_are_right_before_the_write() -> None:
    calls = await baseline()
    write = calls.index(WRITE) + 1
    lasts = {name: last_look(calls, seen_by) for name, (_, seen_by) in EVENTS.items()}
    assert sum(lasts.values()) > 500
    assert max(write - last for last in lasts.values()) < 12
    assert write - lasts["kill switch"] == 3, "the kill switch and the pauses are read last, but for the gate"
    assert write - lasts["taken over"] == 1, "the gate is asked in the last moment"


class NoGate:
    """A store that lets everybody write."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def renew(self, *_: object, **__: object) -> None:
        pass


async def test_without_the_gate_it_would_be_done() -> None:
    """The negative control: nothing else sees that another replica has it."""
    last = last_look(await baseline(), "renew")
    async with disturbed(taken_too_early, last, has_gate=False) as (one, _):
        assert one.shop.image == "shop/checkout:1.4"
