"""The whole service as a process that dies: `app.open_service` on a file, against servers that outlive it.

Started by `zygote.py`, or as `python -m tests.crash.service_child '<spec as JSON>'`. What is wrapped here, is wrapped
in this process only: one call, for the point at which it kills itself, and what tells the test that nothing is left to
do. `control` makes it a worse service, for the negative controls.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import remediator.app as app
import remediator.pipeline as pipeline
import remediator.store.database as database
import remediator.store.opening as opening
from remediator.actions.write import act, undo
from remediator.clock import Clock, SystemClock
from remediator.log_format import configure_logging
from remediator.settings import Settings
from remediator.store import duties
from remediator.store.sqlite import SQLITE
from tests.clocks import open_gate
from tests.crash.board import PID, POLL_SECONDS, PORT, ROUND, Board, micros
from tests.crash.points import POINTS, Point, Side


@dataclass(frozen=True, slots=True)
class Spec:
    """`settings` by name, `board` is the file of the shared page, `stderr` where the log goes. `point`: where it dies,
    empty: nowhere. `is_stepped`: its time is the board's."""

    settings: dict[str, Any]
    board: str
    stderr: str
    point: str = ""
    control: str = ""
    is_stepped: bool = True

    def text(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), default=str)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: Point) -> None:
    """Wrap the point's call so that the process dies there."""
    module, _, path = point.call.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    setattr(owner, name, _mortal(getattr(owner, name), point))


def _mortal(inner: Callable[..., Any], point: Point) -> Callable[..., Any]:
    seen = 0

    def hit(subject: Any) -> None:
        nonlocal seen
        seen += bool(point.counts(subject))
        if seen >= point.nth:
            die()

    @wraps(inner)
    def plain(*args: Any, **kwargs: Any) -> Any:
        if point.side is Side.BEFORE:
            hit(args)
        result = inner(*args, **kwargs)
        if point.side is Side.AFTER:
            hit(result)
        return result

    @wraps(inner)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        if point.side is Side.BEFORE:
            hit(args)
        result = await inner(*args, **kwargs)
        if point.side is Side.AFTER:
            hit(result)
        return result

    return awaited if inspect.iscoroutinefunction(inner) else plain


class _Idleness:
    """Says on the board when nothing is under way and nothing is due."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._passes = 0
        self._claim = database.Database.claim
        self._one = pipeline.remediate

    def watch(self) -> None:
        watcher = self

        async def claim(self: database.Database, **kwargs: Any) -> Any:
            round_, passes = watcher._board[ROUND], watcher._passes
            found = await watcher._claim(self, **kwargs)
            if not found and not passes and not watcher._passes:
                due = [await self.next_due()]
                # What another's lease holds is done when it has run out, which the dead do not say.
                due += [duty.until for duty in await self.duties() if duty.owner != kwargs["owner"]]
                watcher._board.rest(round_, min((micros(at) for at in due if at is not None), default=0))
            return found

        database.Database.claim = claim  # type: ignore[method-assign]
        traced = app.Service._traced

        async def counted(self: app.Service, remediation: Any, work: Any) -> None:
            watcher._passes += 1
            try:
                await traced(self, remediation, work)
            finally:
                watcher._passes -= 1

        app.Service._traced = counted  # type: ignore[method-assign]


# --- worse services


def _blind() -> None:
    """Recovery that does not look: it sends again, without the tests that bind a request to its object."""

    async def again(plan: Any, number: int, *, cluster: Any) -> Any:
        return await act(
            _unbound(plan), number, audit_id="", gate=open_gate, cluster=cluster, clock=SystemClock()
        )

    async def undo_again(plan: Any, number: int, *, cluster: Any) -> Any:
        return await undo(_unbound(plan), number, audit_id="", gate=open_gate, cluster=cluster)

    pipeline.read_back, pipeline.read_back_undo = again, undo_again


def _unbound(plan: Any) -> Any:
    def free(request: Any) -> Any:
        if not isinstance(request.body, list):
            return request
        return replace(request, body=[part for part in request.body if part["op"] != "test"])

    steps = [
        replace(step, request=free(step.request), inverse=step.inverse and free(step.inverse)) for step in plan.steps
    ]
    return replace(plan, steps=tuple(steps))


def _hasty() -> None:
    """It answers 200 first and stores afterwards."""
    admit = app.admit

    async def later(alerts: Any, **kwargs: Any) -> Any:
        async def store() -> None:
            await asyncio.sleep(0.2)
            await admit(alerts, **kwargs)

        later.tasks.append(asyncio.create_task(store()))  # type: ignore[attr-defined]
        return app.Accepted(queued=len(alerts))

    later.tasks = []  # type: ignore[attr-defined]
    app.admit = later


def _unsynced(level: str) -> Callable[[], None]:
    """The store's commits are not synced, after it has looked that they are."""

    def weaken() -> None:
        def weaker(url: Any) -> Any:
            connection = SQLITE.connect(url)
            connection.connection.driver_connection.execute(f"PRAGMA synchronous={level}")
            return connection

        opening.backend_of = lambda _: replace(SQLITE, connect=weaker)

    return weaken


CONTROLS: dict[str, Callable[[], None]] = {
    "blind": _blind,
    "hasty": _hasty,
    "synchronous-off": _unsynced("OFF"),
    "synchronous-normal": _unsynced("NORMAL"),
}


async def serve(spec: Spec, board: Board) -> None:
    clock: Clock = board if spec.is_stepped else SystemClock()
    if spec.is_stepped:  # the database's own clock is not the story's, and a replica whose clock is off claims nothing
        duties._clock_ahead = lambda connection, clock: timedelta()
    settings = Settings.load(None, spec.settings)
    async with app.open_service(settings, clock=clock) as service:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, service.stop)
        board[PORT] = service.port
        waking = asyncio.create_task(_wake_each_round(service, board))
        await service.run()
        waking.cancel()


async def _wake_each_round(service: app.Service, board: Board) -> None:
    """The worker looks at once when the test has something new; what it looks for by itself would cost all the time. So
    does the replica for the duties that another one had."""
    seen = board[ROUND]
    while True:
        await asyncio.sleep(POLL_SECONDS)
        if board[ROUND] != seen:
            seen = board[ROUND]
            if len(service._replica.held) < len(service._replica._duties):
                await service._replica.look()
            service._worker.wake()


def run(spec: Spec) -> None:
    """Until SIGTERM, or as far as the point."""
    log = os.open(spec.stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    configure_logging("info", log_format="logfmt")
    board = Board(Path(spec.board))
    board[PID] = os.getpid()
    if spec.control:
        CONTROLS[spec.control]()
    if spec.is_stepped:
        _Idleness(board).watch()
    if spec.point:
        arm(POINTS[spec.point])
    asyncio.run(serve(spec, board))


if __name__ == "__main__":
    run(Spec(**json.loads(sys.argv[1])))
