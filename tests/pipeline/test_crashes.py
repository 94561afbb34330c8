"""The process dies at every single call to the store and to the cluster, before it or just after it took effect.

Whoever claims the remediation next goes on from what was committed: nothing is lost, and nothing is done twice.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from remediator.model import TERMINAL, State
from remediator.rules.ruleset import rule_set
from tests.pipeline.world import LEASE, World, rule, world

MOST_CALLS = 200
PROOF = {"expect": ["rollout-complete", "pods-ready", "alert-clear"], "within": "2m", "stable_for": "5s"}
QUICK = rule_set([rule(verify={**PROOF, "otherwise": "revert"})])
"""A short verification: fewer looks, each of which is ten calls."""


class Crash(BaseException):
    """SIGKILL, as far as one coroutine can tell."""


class Countdown:
    """Counts calls over several objects; at number `at` the process dies, before or after the call took effect."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at = at
        self.after = after
        self.calls = 0

    def wrap(self, inner: Any) -> Any:
        return _Mortal(inner, self)


class _Mortal:
    def __init__(self, inner: Any, countdown: Countdown) -> None:
        self._inner = inner
        self._countdown = countdown

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def called(*args: Any, **kwargs: Any) -> Any:
            countdown = self._countdown
            countdown.calls += 1
            dies = countdown.calls == countdown.at
            if dies and not countdown.after:
                raise Crash(f"before {name}")
            try:
                return await found(*args, **kwargs)
            finally:
                if dies:
                    raise Crash(f"after {name}")

        return called


async def live_through(one: World, countdown: Countdown, *, cluster: Any = None) -> bool:
    """Run until it ends or the process dies; whether it died."""
    before = one.cluster
    one.store, one.cluster = countdown.wrap(one.database), countdown.wrap(cluster or one.shop)
    try:
        await one.run()
    except BaseExceptionGroup as group:  # a collector's task died with it
        if group.split(Crash)[0] is None:
            raise
    except Crash:
        pass
    else:
        return False
    finally:
        one.store, one.cluster = None, before
    return True


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
async def test_a_crash_at_any_call_loses_nothing_and_repeats_nothing(after: bool) -> None:
    died = 0
    for at in range(1, MOST_CALLS):
        async with world(rules=QUICK) as one:
            await one.receive()
            if not await live_through(one, Countdown(at, after=after)):
                break
            died += 1
            one.clock.at += LEASE  # the dead process's claim runs out
            state = await one.run()

            assert state is State.VERIFIED, (at, state, await one.kinds())
            assert one.shop.image == "shop/checkout:1.4", at
            assert (await one.kinds()).count("action.applied") == 1, (at, await one.kinds())
            assert one.shop.live["metadata"]["generation"] == 8, f"call {at}: the object changed more than once"
    else:
        raise AssertionError(f"still dying after {MOST_CALLS} calls")
    assert died > 40, "the wrapper did not see the calls"


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
async def test_a_crash_while_reverting_reverts_once(after: bool) -> None:
    """The same for an action that does not help: two changes in all, whatever dies."""
    for at in range(1, MOST_CALLS * 20):
        async with world() as one:
            one.shop.heals = False
            await one.receive()
            await one.run(until=lambda state: state is State.VERIFYING)
            one.clock.jump(minutes=10)
            if not await live_through(one, Countdown(at, after=after)):
                break
            one.clock.at += LEASE
            state = await one.run()

            assert state in TERMINAL
            assert state in (State.REVERTED, State.UNKNOWN, State.ESCALATED), (at, state)
            assert [r.kind for r in await one.told()] == ["escalation.opened"], "people are called, once"
            changes = one.shop.live["metadata"]["generation"] - 7
            assert changes == (2 if state is State.REVERTED else 1), (at, state, await one.kinds())
