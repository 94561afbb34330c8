"""What the gate stopped has not left, and is settled at once; what may have left is waited for until it cannot arrive.

The real loop and the real store; only the moment of the gate, or of the sending, is the test's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from remediator.journal import INTENT_LIVES
from remediator.kube.base import ReplyLost, TooLate
from remediator.model import Remediation, State
from remediator.worker import Pace, Worker
from tests.pipeline.world import LEASE, World, world

SHORT = timedelta(seconds=30)
PACE = Pace("test", workers=2, lease=SHORT, poll_seconds=0.01, grace_seconds=0.2, pass_seconds=60)
SOON = timedelta(seconds=15)
Moment = Callable[[], Awaitable[None]]


async def plain(_: Remediation, work: Awaitable[None]) -> None:
    await work


class Before:
    """A store or a cluster before whose call of that name something happens, once."""

    def __init__(self, inner: Any, name: str, happens: Moment) -> None:
        self._inner = inner
        self._name = name
        self._happens: Moment | None = happens

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)
        if name != self._name or self._happens is None:
            return call

        async def after(*args: Any, **kwargs: Any) -> Any:
            if self._happens is not None and (name != "send" or not kwargs["dry_run"]):
                happens, self._happens = self._happens, None
                await happens()
            return await call(*args, **kwargs)

        return after


async def settled_after(one: World) -> timedelta:
    """How long after the intent it was decided anew; the write is done then."""
    worker = Worker(replace(one.parts, lease=SHORT), PACE, around=plain)
    at: dict[str, Any] = {}
    for _ in range(200):
        await worker.once()
        for record in await one.records():
            at.setdefault(record.kind, record.at)
        if "action.applied" in at:
            break
        one.clock.jump(seconds=1)
    assert [answer for answer in await one.kinds() if answer == "action.applied"] == ["action.applied"]
    found: timedelta = at["action.not-applied"] - at["action.intent"]
    return found


async def test_a_claim_that_ran_out_at_the_gate_is_settled_at_once() -> None:
    """The process was stopped in the last moment, and nobody took the remediation."""
    async with world() as one:

        async def stops() -> None:
            one.clock.jump(seconds=SHORT.total_seconds() + 1)

        await one.receive()
        one.store = Before(one.database, "renew", stops)  # type: ignore[assignment]
        assert await settled_after(one) < SHORT + SOON
        assert len(one.shop.writes()) == 1


async def test_a_request_that_was_too_late_to_be_sent_is_settled_at_once() -> None:
    async with world() as one:

        async def is_late() -> None:
            raise TooLate("PATCH: not sent")

        await one.receive()
        one.cluster = Before(one.shop, "send", is_late)  # type: ignore[assignment]
        assert await settled_after(one) < SOON
        assert len(one.shop.writes()) == 1


async def test_a_request_whose_reply_was_lost_is_waited_for() -> None:
    """The negative control: it may be done after the object was read back."""
    async with world() as one:

        async def is_lost() -> None:
            raise ReplyLost("PATCH: no answer")

        await one.receive()
        one.cluster = Before(one.shop, "send", is_lost)  # type: ignore[assignment]
        assert await settled_after(one) >= INTENT_LIVES
        assert len(one.shop.writes()) == 1


async def test_of_another_s_claim_nothing_is_noted() -> None:
    """Whoever has it now does not know what we know, and waits: what we know is of our intent only."""
    async with world() as one:

        async def is_taken() -> None:
            one.clock.jump(seconds=SHORT.total_seconds() + 1)
            [taken] = await one.claim()
            assert (taken.state, "unsent" in taken.progress) == (State.ACTING, False)

        await one.receive()
        one.store = Before(one.database, "renew", is_taken)  # type: ignore[assignment]
        await Worker(replace(one.parts, lease=SHORT), PACE, around=plain).once()
        one.clock.jump(seconds=LEASE.total_seconds() + 1)
        [found] = await one.claim()
        assert (found.state, "unsent" in found.progress) == (State.ACTING, False)
        assert one.shop.writes() == []
