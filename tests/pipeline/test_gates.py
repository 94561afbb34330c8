"""A common cause is told once, however many share it, and again when it comes back after a calm."""

from __future__ import annotations

from datetime import timedelta

from remediator.journal import Journal
from remediator.model import Mode, State
from remediator.pipeline import remediate
from remediator.reasons import Reason
from tests.pipeline.history import others_alert
from tests.pipeline.world import world
from tests.workloads import alert


async def told(one: object) -> list[str]:
    records = await one.records()  # type: ignore[attr-defined]
    return [record.body["gate"] for record in records if record.kind == "gate.entered"]


async def test_a_storm_is_told_once_and_nothing_is_done() -> None:
    async with world() as one:
        await others_alert(5)(one)
        assert await one.run() is State.RECOMMENDED
        await one.receive(alert(fingerprint="f" * 16, starts_at=one.clock.now()))
        assert await one.run() is State.RECOMMENDED

        assert (await one.last_body())["reason"] == Reason.STORM
        assert one.shop.writes() == []
        assert await told(one) == ["storm"]
        [gate] = await one.database.gates(at=one.clock.now())
        assert (gate.key, gate.reason, gate.cluster) == ("storm", "storm", "test")


async def test_a_storm_is_over_after_ten_minutes_of_calm() -> None:
    async with world() as one:
        await others_alert(5)(one)
        await one.run()
        for minutes, state in ((9, State.RECOMMENDED), (2, State.VERIFYING)):
            one.clock.jump(minutes=minutes)
            await one.receive(alert(fingerprint=f"{minutes:016d}", starts_at=one.clock.now()))
            assert await one.one_pass() is state
        assert await one.database.gates(at=one.clock.now()) == []


async def test_a_storm_that_comes_back_is_told_again() -> None:
    async with world() as one:
        for _ in range(2):
            await others_alert(5)(one)
            assert await one.run() is State.RECOMMENDED
            one.clock.jump(minutes=11)
        assert await told(one) == ["storm", "storm"]


async def test_the_first_target_waits_until_somebody_looked_at_the_others() -> None:
    async with world() as one:
        await one.receive()
        [mine] = await one.claim()
        others = [alert(fingerprint=f"{n:016x}", labels=alert().labels | {"pod": f"other-{n}"}) for n in range(4)]
        await one.receive(*others)
        journal = Journal(mine, store=one.database, clock=one.clock, rules=one.rules)
        await remediate(journal, one.parts)

        assert journal.state is State.HELD
        assert (await one.last_body())["reason"] == Reason.STORM
        assert one.shop.writes() == []
        # There are no such pods: those others were nothing.
        await one.one_pass()
        one.clock.jump(seconds=5)
        assert await one.one_pass() is State.VERIFYING
        assert await told(one) == []


async def test_silent_mode_tells_of_it_too() -> None:
    async with world(mode=Mode.SILENT) as one:
        await others_alert(5)(one)
        assert await one.run() is State.RECOMMENDED
        assert (await one.last_body())["reason"] == Reason.STORM
        assert await told(one) == ["storm"]


async def test_without_the_others_it_acts() -> None:
    """The negative control."""
    async with world() as one:
        await others_alert(3)(one)
        assert await one.one_pass() is State.VERIFYING
        one.clock.jump(seconds=timedelta(minutes=1).seconds)
        assert await told(one) == []
