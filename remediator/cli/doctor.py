"""`remediator doctor`: every integration tried, read-only; printed in the order of importance.

Called by the command line's wiring (`diagnosing.py`), which passes the flags on and exits with what is returned: 0 what
is needed works, 1 something needed failed, 2 misuse.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from remediator.cli.http_config import HttpClient, read_http_config
from remediator.cli.output import Output
from remediator.cli.reading import FAILED, GOOD, MISUSED
from remediator.clock import SystemClock
from remediator.doctor.base import Answer, Asked, Result, Running
from remediator.doctor.examine import examine, read_rules, read_settings, unexamined
from remediator.errors import ConfigError
from remediator.log_format import configure_logging
from remediator.units import parse_duration

WORDS: Mapping[Answer, str] = {
    Answer.OK: "ok",
    Answer.WARNING: "WARNING",
    Answer.FAILED: "FAILED",
    Answer.SKIPPED: "skipped",
}
LONGEST_SECONDS = 600.0
WIDTH = 118


@dataclass(frozen=True, slots=True)
class Where:
    """What to look at besides the settings: a running service, namespaces for the right to act, our receiver."""

    url: str | None = None
    token_file: str | None = None
    namespaces: tuple[str, ...] = ()
    receiver: str | None = None


def run(
    config_file: Path | None,
    overrides: Mapping[str, Any],
    output: Output,
    *,
    where: Where,
    lasts: str,
    is_verbose: bool = False,
) -> int:
    """Try everything within `lasts` (a duration), and print what was found."""
    configure_logging("critical", log_format="console")
    try:
        seconds = parse_duration(lasts).total_seconds()
        running = _running(where)
    except (ValueError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return MISUSED
    if not 0 < seconds <= LONGEST_SECONDS:
        print(f"error: --timeout {lasts}: expected more than 0 and at most {LONGEST_SECONDS:g}s", file=sys.stderr)
        return MISUSED
    results = _found(config_file, overrides, where=where, running=running, seconds=seconds)
    is_good = all(result.answer is not Answer.FAILED for result in results)
    if output is Output.JSON:
        print(json.dumps({"ok": is_good, "checks": [asdict(result) for result in results]}, indent=2))
    else:
        print("\n".join(lines(results, is_verbose=is_verbose)))
    return GOOD if is_good else FAILED


def _found(
    config_file: Path | None, overrides: Mapping[str, Any], *, where: Where, running: Running | None, seconds: float
) -> Sequence[Result]:
    settings, of_settings = read_settings(config_file, overrides)
    if settings is None:
        return [of_settings, *unexamined("the settings cannot be used")]
    table, of_rules = read_rules(settings)
    asked = Asked(
        settings=settings,
        rules=table,
        clock=SystemClock(),
        limit_seconds=seconds,
        namespaces=where.namespaces,
        receiver=where.receiver,
        running=running,
    )
    return [of_settings, of_rules, *asyncio.run(examine(asked))]


def _running(where: Where) -> Running | None:
    """Raises ConfigError."""
    if where.url is None:
        return None
    if not where.url.startswith(("http://", "https://")):
        raise ConfigError(f"--url {where.url!r}: expected http://host:port")
    file = os.environ.get("REMEDIATOR_HTTP_CONFIG_FILE")
    client = read_http_config(Path(file)) if file else HttpClient()
    header = client.authorization
    if where.token_file is not None:
        try:
            header = f"Bearer {Path(where.token_file).read_text(encoding='ascii').strip()}"
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the token file {where.token_file}: {error}") from error
    return Running(where.url, header, client.context)


def lines(results: Sequence[Result], *, is_verbose: bool = False) -> Iterator[str]:
    """For people: what was found, under each problem what to do, and at the end how many of each."""
    width = max(len(result.name) for result in results)
    indent = " " * (9 + width + 2)
    for result in results:
        head = f"{WORDS[result.answer]:<7}  {result.name:<{width}}  "
        text = _printable(result.detail)
        yield from textwrap.wrap(head + text, WIDTH, subsequent_indent=indent, break_long_words=False) or [
            head.rstrip()
        ]
        for line in result.lines if is_verbose else ():
            yield from textwrap.wrap(
                _printable(line),
                WIDTH,
                initial_indent=f"{indent}  ",
                subsequent_indent=f"{indent}    ",
                break_long_words=False,
            )
        if result.remedy:
            yield from textwrap.wrap(
                f"-> {result.remedy}",
                WIDTH,
                initial_indent=indent,
                subsequent_indent=f"{indent}   ",
                break_long_words=False,
            )
    counts = Counter(result.answer for result in results)
    yield ", ".join(
        f"{counts[answer]} {answer.value}" for answer in (Answer.FAILED, Answer.WARNING, Answer.OK, Answer.SKIPPED)
    )


def _printable(text: str) -> str:
    """Text that cannot move the terminal's cursor."""
    return "".join(char if char.isprintable() else " " for char in text)
