"""`remediator serve`: the service as a process. SIGTERM and SIGINT drain, SIGHUP reloads."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from remediator.app import open_service
from remediator.clock import SystemClock
from remediator.log_format import configure_logging
from remediator.settings import Settings


def run(config_file: Path | None, overrides: Mapping[str, Any]) -> None:
    """Serve until a signal ends it. Raises ConfigError for settings or rules that cannot be used."""
    gc.freeze()  # the modules stay until the end: the look before it serves has the rest of them to do
    settings = Settings.load(config_file, overrides)
    configure_logging(settings.log_level, log_format=settings.log_format)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    # Checkpoints of the audit log go to stdout, beside the log on stderr: what collects them is an anchor.
    async with open_service(settings, clock=SystemClock(), say=partial(print, flush=True)) as service:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stop)
        loop.add_signal_handler(signal.SIGHUP, service.request_reload)
        leave_alone_what_stands()
        await service.run()


def leave_alone_what_stands() -> None:
    """What is there until the end needs no looking over: it takes a tenth of a second, in which nobody is answered. Nor
    is a large body a reason to look over all of it again while it is read: hardly any of ours is garbage that only the
    collector finds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 20)
    gc.enable()
