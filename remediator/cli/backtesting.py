"""`remediator backtest`: what a rule table would have done in the past. Reads Prometheus or a recorded file.

Called by the command's wiring in `cli/backtest.py`, which exits with what is returned: 0 good, 1 Prometheus cannot
answer or has nothing, 2 rules, files or flags cannot be used.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from remediator.backtest.against import changes
from remediator.backtest.decided import Result
from remediator.backtest.fetch import Wanted, fetch
from remediator.backtest.history import History
from remediator.backtest.recording import read, write
from remediator.backtest.report import against_lines, as_json, changes_as_json, lines
from remediator.backtest.run import backtest as played
from remediator.cli.output import Output
from remediator.clock import SystemClock, parse_rfc3339
from remediator.errors import ConfigError, PermanentError, TransientError, cut
from remediator.log_format import configure_logging
from remediator.prometheus.client import PrometheusMetrics
from remediator.rules.load import load_rules
from remediator.rules.ruleset import RuleSet
from remediator.rules.shipped import shipped_rules
from remediator.units import parse_duration

GOOD, FAILED, MISUSE = 0, 1, 2
BY_DEFAULT = timedelta(days=30)
LONGEST_STEP = timedelta(hours=1)
READ_SECONDS = 60.0
"""A day of many series takes Prometheus longer than what the service asks."""
MAX_BYTES = 64 * 1024 * 1024
"""A day of 2,000 series, a sample each minute: nobody else waits here. What has more is asked for in halves."""

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """The flags, as given."""

    url: str | None
    token_file: Path | None
    ca_file: Path | None
    recorded: Path | None
    record: Path | None
    since: str | None
    until: str | None
    step: str
    fact_step: str
    external: tuple[str, ...]


def backtest(paths: Sequence[Path], output: Output, *, asked: Asked, against: Sequence[Path]) -> int:
    """No paths: the shipped rules."""
    configure_logging("critical", log_format="console", stream=sys.stderr)
    try:
        table = load_rules(*(paths or [shipped_rules()]))
        other = load_rules(*against) if against else None
        history = asyncio.run(_history(asked))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return MISUSE
    except (PermanentError, TransientError) as error:
        print(f"remediator: {error}", file=sys.stderr)
        return FAILED
    with _seldom_collected():
        result = _played(history, table, _named(paths))
        before = None if other is None else _played(history, other, _named(against))
    told, text = as_json(result), list(lines(result))
    if before is not None:
        found = changes(before, result)
        told = {"result": told, "against": as_json(before), **changes_as_json(found)}
        text += ["", *against_lines(found, before=before.table, after=result.table)]
    print(json.dumps(told, indent=2) if output is Output.JSON else "\n".join(text))
    return GOOD


def _named(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths) or "the shipped rules"


def _played(history: History, table: RuleSet, name: str) -> Result:
    with _progress(f"playing {name}") as told:
        return asyncio.run(played(history, table, name=name, told=told))


async def _history(asked: Asked) -> History:
    """Raises ConfigError, and what Prometheus' client raises."""
    clock = SystemClock()
    now = clock.now()
    until = _time("--until", asked.until, now) if asked.until else None
    since = _time("--since", asked.since, now) if asked.since else None
    if asked.recorded is not None:
        history = read(asked.recorded)
        return _within(history, since or history.begins, until or history.ends)
    begins, ends = since or (until or now) - BY_DEFAULT, until or now
    if begins >= ends:
        raise ConfigError("--since must be before --until")
    metrics = PrometheusMetrics(
        asked.url or "",
        clock,
        token_file=asked.token_file,
        ca_file=asked.ca_file,
        read_seconds=READ_SECONDS,
        max_bytes=MAX_BYTES,
    )
    wanted = Wanted(
        begins=begins,
        ends=ends,
        step=_step("--step", asked.step),
        fact_step=_step("--fact-step", asked.fact_step),
        external=dict(_label(text) for text in asked.external),
        source=re.sub(r"://[^/@\s]*@", "://", asked.url or ""),
    )
    try:
        with _progress("asking Prometheus") as told:
            history = await fetch(metrics, wanted, told)
    finally:
        await metrics.close()
    if asked.record is not None:
        write(history, asked.record)
    return history


def _within(history: History, begins: datetime, ends: datetime) -> History:
    begins, ends = max(begins, history.begins), min(ends, history.ends)
    if begins >= ends:
        raise ConfigError("nothing of the recorded time lies between --since and --until")
    return replace(history, begins=begins, ends=ends)


def _time(flag: str, text: str, now: datetime) -> datetime:
    """A duration before now, or a time. Raises ConfigError."""
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        return parse_rfc3339(text)
    except ValueError:
        wanted = "write a duration like 30d, or a time like 2026-11-01T00:00:00Z"
        raise ConfigError(f"{flag} {cut(text, max_length=60)!r}: {wanted}") from None


def _step(flag: str, text: str) -> timedelta:
    """Raises ConfigError."""
    try:
        step = parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"{flag}: {error}") from None
    if not timedelta(seconds=1) <= step <= LONGEST_STEP or step % timedelta(seconds=1):
        raise ConfigError(f"{flag} {text}: write whole seconds, 1s to 1h")
    return step


def _label(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) or not value:
        raise ConfigError(f"--external-label {cut(text, max_length=60)!r}: write NAME=VALUE")
    return name, value


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """What was read stays, and what is made while it is played is soon gone by itself: to look for more takes a sixth
    of the time."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def _progress(what: str) -> Iterator[Told]:
    """A bar on a terminal's stderr; nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)
