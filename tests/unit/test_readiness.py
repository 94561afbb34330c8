"""What a stranger can make the service do by asking whether it is ready, and how old what is answered may be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from remediator.api.answers import Part
from remediator.readiness import SHARED_SECONDS, STORE_SECONDS, Shared
from tests.jumping import run_jumping

WELL, BAD = Part("store", True, ""), Part("store", False, "the disk is full")


class Store:
    """Answers so, after so many seconds; `asked` is how often it was asked."""

    def __init__(self, answer: Part = WELL, *, seconds: float = 0.01) -> None:
        self.answer = answer
        self.seconds = seconds
        self.asked = 0

    async def ask(self) -> Part:
        self.asked += 1
        answer = self.answer
        await asyncio.sleep(self.seconds)
        return answer


async def together(shared: Shared, count: int) -> Sequence[Part]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(shared.answer()) for _ in range(count)]
    return [task.result() for task in tasks]


def test_a_flood_of_probes_asks_once_a_second() -> None:
    store = Store()

    async def flood() -> None:
        shared = Shared(store.ask)
        for _ in range(100):
            assert await together(shared, 50) == [WELL] * 50
            await asyncio.sleep(0.1)

    _, seconds = run_jumping(flood())
    assert store.asked <= seconds / SHARED_SECONDS + 1
    assert store.asked >= seconds / SHARED_SECONDS / 2, "an answer does not stay"


def test_without_it_each_probe_asks() -> None:
    """The negative control."""
    store = Store()

    async def flood() -> None:
        for _ in range(100):
            await store.ask()

    run_jumping(flood())
    assert store.asked == 100


def test_what_fails_is_known_a_second_later_and_what_is_well_again_too() -> None:
    store = Store()

    async def changes() -> list[Part]:
        shared = Shared(store.ask)
        seen = [await shared.answer()]
        for answer in (BAD, WELL):
            store.answer = answer
            await asyncio.sleep(SHARED_SECONDS)
            seen.append(await shared.answer())
        return seen

    assert run_jumping(changes())[0] == [WELL, BAD, WELL]


def test_an_asking_that_has_no_end_is_no_answer() -> None:
    """The good answer before it is not repeated, and whoever is given up keeps nobody else from asking."""
    store = Store()

    async def hangs() -> bool:
        shared = Shared(store.ask)
        await shared.answer()
        store.seconds = 3600.0
        await asyncio.sleep(SHARED_SECONDS)
        for _ in range(2):
            try:
                async with asyncio.timeout(STORE_SECONDS):
                    await shared.answer()
            except TimeoutError:
                continue
            return False
        store.seconds = 0.01
        return await shared.answer() == WELL

    assert run_jumping(hangs())[0]
    assert store.asked == 4


def test_whoever_gives_up_early_does_not_make_an_old_answer_a_new_one() -> None:
    """A client that goes away within the second, again and again, would else keep the last good answer for ever."""
    store = Store()

    async def give_up() -> Part:
        shared = Shared(store.ask)
        await shared.answer()
        store.answer, store.seconds = BAD, SHARED_SECONDS / 2
        await asyncio.sleep(SHARED_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(SHARED_SECONDS / 10):
                await shared.answer()
        return await shared.answer()

    assert run_jumping(give_up())[0] == BAD


def test_a_slow_store_makes_nobody_wait_for_those_who_came_before() -> None:
    """Else a stranger's probes would push the kubelet's beyond its time."""
    store = Store(seconds=3.0)

    async def ask() -> float:
        shared, began = Shared(store.ask), asyncio.get_running_loop().time()
        await together(shared, 20)
        return asyncio.get_running_loop().time() - began

    assert run_jumping(ask())[0] < 2 * store.seconds
    assert store.asked == 1
