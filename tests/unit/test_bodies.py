"""Bodies of others' answers: read up to a bound, decoded so that nobody else waits."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator

import pytest

from remediator.bodies import LARGE_BYTES, TooLarge, decoded, decoded_apart, whole

MIB = 1024 * 1024


async def chunks(count: int, given: list[int]) -> AsyncIterator[bytes]:
    for number in range(count):
        given.append(number)
        yield b"x" * MIB


async def test_a_body_that_is_just_as_large_is_read_and_a_larger_one_not_to_its_end() -> None:
    given: list[int] = []
    assert len(await whole(chunks(2, given), max_bytes=2 * MIB)) == 2 * MIB
    given.clear()
    with pytest.raises(TooLarge, match="more than 2 MiB"):
        await whole(chunks(100, given), max_bytes=2 * MIB)
    assert len(given) == 3


@pytest.mark.parametrize(("length", "is_apart"), [(LARGE_BYTES, False), (LARGE_BYTES + 1, True)])
async def test_a_large_body_is_decoded_in_a_thread(
    length: int, is_apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    loads = json.loads

    def noting(*given: object, **named: object) -> object:
        threads.append(threading.get_ident())
        return loads(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(json, "loads", noting)
    text = b'{"a": "' + b"x" * (length - 9) + b'"}'
    assert len(text) == length
    assert await decoded_apart(text) == {"a": "x" * (length - 9)}
    assert [one != threading.get_ident() for one in threads] == [is_apart]


async def test_others_have_their_turns_while_a_large_body_is_decoded() -> None:
    """A thread alone is not enough: the decoder in C keeps the interpreter to itself until it is through."""
    series = [{"metric": {"pod": f"web-{n}", "namespace": "shop"}, "value": [1.7e9, "0.25"]} for n in range(100_000)]
    text = json.dumps({"data": {"result": series}}).encode()
    given, done = 0, threading.Event()

    def decode() -> object:
        try:
            return decoded(text)
        finally:
            done.set()

    async with asyncio.TaskGroup() as group:
        said = group.create_task(asyncio.to_thread(decode))
        last = time.perf_counter()
        while not done.is_set():
            await asyncio.sleep(0)
            now = time.perf_counter()
            given += now - last > 0.001  # the thread had the interpreter, and gave it back
            last = now
    assert said.result() == {"data": {"result": series}}
    assert given > 4, "in one go it is twice: at its begin and at its end"
