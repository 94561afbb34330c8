"""Values that want to be more stay values in the log; see `injection.py`."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import pytest
import structlog

from remediator import log_format
from remediator.log_format import configure_logging
from remediator.redact.forms import MASK
from remediator.sinks.log import LogSink
from remediator.store.base import CommittedRecord
from tests.hostile.corpora import HOSTILE, POISONED
from tests.hostile.injection import FEW
from tests.hostile.readers import acting, fields_of
from tests.unit.export.stories import NOON

PLACES = ("alert", "target", "rule", "action", "contact", "tell", "reason", "detail")


def records_of(values: Sequence[str]) -> Iterator[CommittedRecord]:
    """As many values as a line has places for, in each record."""
    for first in range(0, len(values), len(PLACES)):
        chunk = values[first : first + len(PLACES)]
        told = dict(zip(("alertname", *PLACES[1:]), chunk, strict=False))
        yield CommittedRecord(first + 1, NOON, "escalation.opened", None, None, told, b"")


async def logged(values: Sequence[str], log_format: Any) -> tuple[list[str], int]:
    """What the log says of the values, and how many events that were."""
    stream = io.StringIO()
    configure_logging("debug", log_format=log_format, stream=stream)
    sink, library, count = LogSink(), logging.getLogger("library"), 0
    for one in records_of(values):
        await sink.tell(one)
        count += 1
    for value in values[::10]:
        library.warning("said %s", value)
        structlog.get_logger("ours").warning(value)
        try:
            raise ValueError(value)
        except ValueError:
            structlog.get_logger("ours").exception("failed")
        count += 3
    return stream.getvalue().removesuffix("\n").split("\n"), count


def forged(lines: Sequence[str], count: int, read: Callable[[str], Mapping[str, Any]]) -> Iterator[str]:
    """What in these lines is not as it was written: one for each event, with the fields of ours and no others."""
    if len(lines) != count:
        yield f"{len(lines)} lines of {count} events"
    ours = {"ts", "level", "event", "logger", "exception", "seq", *PLACES}
    for line in lines:
        if found := acting(line):
            yield f"{found!r} in {line[:80]!r}"
        try:
            if extra := read(line).keys() - ours:
                yield f"fields {sorted(extra)}"
        except ValueError as error:
            yield str(error)


READERS: Mapping[str, Callable[[str], Mapping[str, Any]]] = {"logfmt": fields_of, "json": json.loads}


@pytest.mark.parametrize("log_format", READERS)
async def test_an_event_is_one_line_with_our_own_fields(log_format: str) -> None:
    lines, count = await logged([*HOSTILE, *POISONED], log_format)
    assert list(islice(forged(lines, count, READERS[log_format]), FEW)) == []
    assert count > 4000


async def test_a_line_in_json_has_the_values_as_they_are() -> None:
    """What looks like a template is what was written; but for the few that look like a secret."""
    values = [value for value in HOSTILE if len(value) <= log_format.MAX_VALUE_LENGTH]
    lines, _ = await logged(values, "json")
    pairs = [
        (json.loads(line).get(name), value)
        for one, line in zip(records_of(values), lines, strict=False)
        for name, value in zip(PLACES, one.body.values(), strict=False)
    ]
    changed = [pair for pair in pairs if pair[0] != pair[1]]
    assert len(pairs) == len(values)
    assert [pair for pair in changed if MASK not in str(pair[0])][:FEW] == []
    assert len(changed) < len(values) / 100


async def test_the_control_a_log_without_escapes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_format, "_escaped", lambda value: value)
    assert list(forged(*await logged(HOSTILE[:400], "logfmt"), fields_of))
    raw = partial(structlog.processors.JSONRenderer, ensure_ascii=False)
    monkeypatch.setattr(structlog.processors, "JSONRenderer", raw)
    assert list(forged(*await logged(HOSTILE[:400], "json"), json.loads))


def test_the_control_a_line_whose_quotes_do_not_close_is_found_out() -> None:
    line = 'level=info event=x detail="x \\\\" forged="y"'
    assert list(forged([line], 1, fields_of)) == ["fields ['forged']"]
