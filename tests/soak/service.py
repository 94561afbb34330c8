"""The service as the soak starts it: `serve.py` with a quick clock, a pulse on stdout, and, if asked, a planted fault.

`python -m tests.soak.service SETTINGS.json`. It ends with whoever started it: stdin is a pipe that closes then.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import remediator.app
import remediator.pipeline
from remediator.app import Service, open_service
from remediator.log_format import configure_logging
from remediator.settings import Settings
from remediator.store.base import Accepted
from remediator.store.database import Database
from tests.soak.clock import SharedClock

PULSE_SECONDS = 0.5
EVERY = 7
"""Of so many calls one goes wrong, where a fault is planted."""


async def serve(given: Mapping[str, Any]) -> None:
    clock = SharedClock(Path(given["clock"]), origin=given["origin"], speed=given["speed"])
    # A pass is bounded in real seconds and a lease in the clock's: the bound must stay within the lease.
    remediator.app.PASS_SHARE /= given["speed"]
    settings = Settings.load(None, given["settings"])
    configure_logging("warning", log_format="logfmt")
    loop = asyncio.get_running_loop()
    async with open_service(settings, clock=clock) as service:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stop)
        loop.add_signal_handler(signal.SIGHUP, service.request_reload)
        async with asyncio.TaskGroup() as group:
            pulse = group.create_task(_pulse(service))
            await service.run()
            pulse.cancel()


async def _pulse(service: Service) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(PULSE_SECONDS)
        late = loop.time() - began - PULSE_SECONDS
        print(json.dumps({"port": service.port, "tasks": len(asyncio.all_tasks()), "late": late}), flush=True)


def lose() -> None:
    """Answers 200 to what it forgets."""
    accept, count = Database.accept, [0]

    async def forgetful(self: Database, alerts: Any, **more: Any) -> Accepted:
        count[0] += 1
        return Accepted(queued=len(alerts)) if count[0] % EVERY == 0 else await accept(self, alerts, **more)

    Database.accept = forgetful  # type: ignore[method-assign]


def deaf() -> None:
    """Writes in silent mode, and while the kill switch is engaged."""

    async def nothing(*_: Any, **__: Any) -> None:
        return None

    remediator.pipeline.stopped = nothing
    remediator.pipeline.GUARDS = tuple(  # type: ignore[attr-defined]
        guard for guard in remediator.pipeline.GUARDS if guard.name not in ("kill-switch", "mode")
    )


def twice() -> None:
    """Sends every write twice, without what it was decided on."""
    act = remediator.pipeline.act

    async def again(plan: Any, number: int, *, cluster: Any, **more: Any) -> Any:
        request = plan.steps[number].request
        if isinstance(request.body, list):
            bare = [one for one in request.body if one["op"] != "test"]
            await cluster.send(_with(request, body=bare, audit_id=more["audit_id"]), dry_run=False)
        return await act(plan, number, cluster=cluster, **more)

    remediator.pipeline.act = again  # type: ignore[assignment]


def _with(request: Any, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(request, **changes)


PLANTS: Mapping[str, Callable[[], None]] = {"lose": lose, "deaf": deaf, "twice": twice}
"""What the soak must find."""


def _end_with_the_parent() -> None:
    while os.read(0, 4096):  # not by `sys.stdin`: its lock would be held at the end
        pass
    os._exit(3)


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if given["plant"]:
        PLANTS[given["plant"]]()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    asyncio.run(serve(given))
