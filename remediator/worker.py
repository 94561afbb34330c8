"""The loops: claim due remediations and take each on its way; tell committed records to the sinks, and the next contact
what nobody acknowledged; drain on stop.

The only place that decides on retries. A pass over one remediation is bounded by its lease, so that a claim that ran
out is never written under.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from remediator.errors import RemediatorError, TransientError, cut
from remediator.journal import Journal
from remediator.model import Remediation
from remediator.parts import Parts
from remediator.pipeline import pass_on, publish, remediate
from remediator.sinks.base import Sink
from remediator.store.base import LostClaim, StoreUnavailable
from remediator.store.reading import IncidentReader

RETRY_PAUSE = timedelta(seconds=5)

YIELD_SECONDS = 1.0
YIELD_STEP_SECONDS = 0.02

Around = Callable[[Remediation, Awaitable[None]], Awaitable[None]]
"""Wraps a pass, for a trace span: given the remediation and the pass, awaits the pass."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How the loops run. `lease` is of the injected clock, the others are real seconds; `pass_seconds` bounds one pass
    over one remediation and must end well before the lease does."""

    owner: str
    workers: int
    lease: timedelta
    poll_seconds: float
    grace_seconds: float
    pass_seconds: float


class Worker:
    """Claims and remediates until told to stop. Owns the wake-up signal and the set of passes under way."""

    def __init__(
        self,
        parts: Parts,
        pace: Pace,
        *,
        around: Around,
        is_receiving: Callable[[], bool] = lambda: False,
        may_claim: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_receiving`: alerts are being stored now, which goes before deciding on them. `may_claim`: leases mean
        here what they mean to the other replicas."""
        self._is_receiving = is_receiving
        self._may_claim = may_claim
        self._parts = parts
        self._pace = pace
        self._around = around
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._log = structlog.get_logger("remediator.worker")

    def wake(self) -> None:
        """New work was accepted: do not wait for the next poll."""
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more; `run` ends when the passes under way are done, or cuts them after the grace period."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks: set[asyncio.Task[None]] = set()
            while not self._stopping.is_set():
                await self._yield_to_receiver()
                self._wake.clear()  # before the claim: what arrives during it wakes the next round
                until = self._pass_ends_at()  # before the claim: a commit that takes long uses up the lease
                for remediation in await self._claim(self._pace.workers - len(tasks)):
                    task = group.create_task(self._one(remediation, until=until))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                    task.add_done_callback(lambda _: self._wake.set())
                await self._idle()
            if tasks:
                _, late = await asyncio.wait(tasks, timeout=self._pace.grace_seconds)
                for task in late:
                    task.cancel()

    async def once(self) -> int:
        """Take what is due now as far as it goes, one after the other; how many. For callers that move the time."""
        due = await self._claim(self._pace.workers)
        for remediation in due:
            await self._one(remediation, until=self._pass_ends_at())
        return len(due)

    def _pass_ends_at(self) -> float:
        return asyncio.get_running_loop().time() + self._pace.pass_seconds

    async def _yield_to_receiver(self) -> None:
        """Let a burst of alerts be stored first: an alert that is not accepted may be lost, one that waits is not. In a
        storm that does not end something is still decided every `YIELD_SECONDS`, the most severe first."""
        for _ in range(int(YIELD_SECONDS / YIELD_STEP_SECONDS)):
            if not self._is_receiving() or self._stopping.is_set():
                return
            await asyncio.sleep(YIELD_STEP_SECONDS)

    async def _claim(self, free: int) -> Sequence[Remediation]:
        if free <= 0 or not self._may_claim():
            return ()
        now = self._parts.clock.now()
        try:
            return await self._parts.store.claim(
                owner=self._pace.owner, at=now, lease=self._pace.lease, limit=free
            )
        except StoreUnavailable as error:
            self._log.error("the store cannot be read: nothing is decided", error=cut(str(error)))
            await self._parts.clock.sleep(1.0)
            return ()

    async def _idle(self) -> None:
        """Until woken, or for one poll. Real time: how often we look is not part of any decision."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pace.poll_seconds):
                await self._wake.wait()

    async def _one(self, remediation: Remediation, *, until: float) -> None:
        """One pass, until that instant of the loop's time. Lets no Exception out: a fault of one remediation must not
        stop the others."""
        parts = self._parts
        journal = Journal(remediation, store=parts.store, clock=parts.clock, rules=parts.rules())
        log = self._log.bind(remediation=remediation.id, alert=remediation.alert.name)
        try:
            async with asyncio.timeout_at(until):
                await self._around(remediation, remediate(journal, self._parts))
        except LostClaim as lost:
            log.info("someone else has it, or it moved on", detail=cut(str(lost)))
            await self._release(journal, RETRY_PAUSE)
        except StoreUnavailable as error:
            log.error("the store failed: the lease will run out", error=cut(str(error)))
        except (TransientError, TimeoutError) as error:
            detail = cut(str(error)) or f"no end within {self._pace.pass_seconds:.0f} s"
            log.warning("will try again", error=detail)
            await self._release(journal, RETRY_PAUSE)
        except asyncio.CancelledError:
            # Stopping: make the row claimable at once for the next process.
            await asyncio.shield(self._release(journal, timedelta()))
            raise
        except Exception as error:
            log.exception("a fault of ours: handing it to people")
            with contextlib.suppress(RemediatorError):
                await journal.broken(f"{type(error).__name__}: {cut(str(error))}")

    async def _release(self, journal: Journal, pause: timedelta) -> None:
        due = self._parts.clock.now() + pause
        with contextlib.suppress(RemediatorError):
            await self._parts.store.release(
                journal.remediation, due_at=due, progress=journal.remediation.progress
            )


class Escalator:
    """Tells the next contact of what nobody acknowledged in time, while the service runs and it is its duty."""

    def __init__(self, parts: Parts, *, poll_seconds: float, is_ours: Callable[[], bool] = lambda: True) -> None:
        """`is_ours`: it is this replica's duty now. Of two that tell one, the store lets only one pass it on."""
        self._is_ours = is_ours
        self._parts = parts
        self._poll_seconds = poll_seconds
        self._log = structlog.get_logger("remediator.escalator")

    async def run(self) -> None:
        """Until cancelled. What was due meanwhile is told by the next process: when it is due stands in the store."""
        while True:
            try:
                if self._is_ours():
                    await pass_on(self._parts)
            except RemediatorError as error:
                self._log.error("nobody further is told now", error=cut(str(error)))
            await asyncio.sleep(self._poll_seconds)


class Publisher:
    """Tells one sink what was committed, for as long as the service runs and it is its duty."""

    def __init__(
        self,
        sink: Sink,
        *,
        reader: IncidentReader,
        poll_seconds: float,
        is_ours: Callable[[], bool] = lambda: True,
        went: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`is_ours`: it is this replica's duty now. Two at once would tell everything twice. `went` hears whether the
        sink could be told."""
        self._is_ours = is_ours
        self._went = went
        self._sink = sink
        self._reader = reader
        self._poll_seconds = poll_seconds
        self._stopping = asyncio.Event()
        self._log = structlog.get_logger("remediator.publisher").bind(sink=sink.name)

    def stop(self) -> None:
        """Tell what is committed by now, then end."""
        self._stopping.set()

    async def run(self) -> None:
        while True:
            told = await self._publish()
            if told:
                continue
            if self._stopping.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._stopping.wait()

    async def _publish(self) -> int:
        """Lets no Exception out: a sink's fault must not stop the service; the cursor stays, so nothing is lost."""
        if not self._is_ours():
            return 0
        try:
            told = await publish(self._sink, reader=self._reader, is_ours=self._is_ours)
        except StoreUnavailable as error:
            self._log.warning("will tell again", error=cut(str(error)))
        except TransientError as error:
            self._log.warning("will tell again", error=cut(str(error)))
            self._went(False)
        except Exception:
            self._log.exception("a fault of ours while telling")
            self._went(False)
        else:
            if told:
                self._went(True)
            return told
        await asyncio.sleep(min(5.0, 10 * self._poll_seconds))
        return 0
