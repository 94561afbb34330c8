"""A history in a file, so that a backtest needs no Prometheus: JSON, described in `FORMAT.md` beside this file.

`cli/backtest.py` writes one for `--record` and reads one for `--from`. A file may come from anywhere, also from an
editor: what is wrong with it is named with its place, and nothing of it is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from remediator.backtest.history import History, Series, Span
from remediator.backtest.known import FACTS
from remediator.clock import parse_rfc3339, rfc3339
from remediator.errors import ConfigError, cut
from remediator.model import Json

FORMAT = "remediator.backtest/1"
FIELDS = frozenset(
    {"format", "source", "begins", "ends", "step_seconds", "fact_step_seconds", "external_labels", "series", "facts"}
)
MAX_BYTES = 1024 * 1024 * 1024


def write(history: History, file: Path) -> None:
    """Raises ConfigError when the file cannot be written."""
    told = {
        "format": FORMAT,
        "source": history.source,
        "begins": rfc3339(history.begins),
        "ends": rfc3339(history.ends),
        "step_seconds": history.step.total_seconds(),
        "fact_step_seconds": history.fact_step.total_seconds(),
        "external_labels": dict(history.external),
        "series": {"ALERTS": _written(history.alerts), "ALERTS_FOR_STATE": _written(history.states)},
        "facts": {name: _written(series) for name, series in history.facts.items()},
    }
    try:
        with file.open("w", encoding="utf-8") as opened:
            json.dump(told, opened, ensure_ascii=False, separators=(",", ":"))
            opened.write("\n")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}") from error


def read(file: Path) -> History:
    """Raises ConfigError, which names the file and the place in it."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{file}: larger than {MAX_BYTES >> 20} MiB")
        data = json.loads(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{file} is not JSON: {cut(str(error))}") from error
    try:
        return _history(data)
    except _Wrong as wrong:
        raise ConfigError(f"{file}: {wrong}") from None


class _Wrong(Exception):
    """What is wrong, and where."""


def _wrong(place: str, expected: str, got: Json) -> NoReturn:
    raise _Wrong(f"{place}: expected {expected}, got {cut(repr(got), max_length=60)}")


def _history(data: Json) -> History:
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        _wrong("format", f'"{FORMAT}"', data.get("format") if isinstance(data, dict) else data)
    if unknown := sorted(data.keys() - FIELDS):
        raise _Wrong(f"unknown field {cut(unknown[0])!r}; there are {', '.join(sorted(FIELDS))}")
    step, fact_step = _seconds(data, "step_seconds", 60), _seconds(data, "fact_step_seconds", 300)
    begins, ends = _time(data, "begins"), _time(data, "ends")
    if ends <= begins:
        raise _Wrong("ends: must be after begins")
    series, facts = _mapping(data, "series"), _mapping(data, "facts")
    if unknown := sorted(series.keys() - {"ALERTS", "ALERTS_FOR_STATE"}):
        raise _Wrong(f"series: unknown {cut(unknown[0])!r}; there are ALERTS and ALERTS_FOR_STATE")
    if unknown := sorted(facts.keys() - FACTS.keys()):
        raise _Wrong(f"facts: unknown {cut(unknown[0])!r}; there are {', '.join(FACTS)}")
    return History(
        begins=begins,
        ends=ends,
        step=step,
        fact_step=fact_step,
        alerts=_read(series.get("ALERTS", []), "series.ALERTS"),
        states=_read(series.get("ALERTS_FOR_STATE", []), "series.ALERTS_FOR_STATE"),
        facts={name: _read(value, f"facts.{name}") for name, value in facts.items()},
        external=_labels(data.get("external_labels", {}), "external_labels"),
        source=str(data.get("source", "")),
    )


def _mapping(data: Mapping[str, Json], name: str) -> Mapping[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, dict):
        _wrong(name, "an object", value)
    return value


def _seconds(data: Mapping[str, Json], name: str, default: float) -> timedelta:
    value = data.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 86_400:
        _wrong(name, "seconds, 1 to 86400", value)
    return timedelta(seconds=value)


def _time(data: Mapping[str, Json], name: str) -> datetime:
    try:
        return parse_rfc3339(data[name])
    except (KeyError, TypeError, ValueError, AttributeError):
        _wrong(name, "a time like 2026-11-23T12:00:00Z", data.get(name))


def _read(value: Json, place: str) -> tuple[Series, ...]:
    if not isinstance(value, list):
        _wrong(place, "a list of series", value)
    return tuple(_one(item, f"{place}[{number}]") for number, item in enumerate(value))


def _one(value: Json, place: str) -> Series:
    if not isinstance(value, dict) or value.keys() != {"labels", "spans"}:
        _wrong(place, "an object with labels and spans", value)
    spans = value["spans"]
    if not isinstance(spans, list) or not spans:
        _wrong(f"{place}.spans", "a list of [first, last, value]", spans)
    found: list[Span] = []
    for number, item in enumerate(spans):
        if not isinstance(item, list) or len(item) != 3 or not all(type(part) in (int, float) for part in item):
            _wrong(f"{place}.spans[{number}]", "[first, last, value] in Unix seconds", item)
        span = Span(*item)
        if span.last < span.first or (found and span.first <= found[-1].last):
            _wrong(f"{place}.spans[{number}]", "runs in order that do not overlap", item)
        found.append(span)
    return Series(_labels(value["labels"], f"{place}.labels"), tuple(found))


def _labels(value: Json, place: str) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        _wrong(place, "label name -> text", value)
    return value


def _written(series: Any) -> list[Json]:
    return [
        {"labels": dict(one.labels), "spans": [[_number(part) for part in span] for span in one.spans]}
        for one in series
    ]


def _number(value: float) -> float:
    return int(value) if float(value).is_integer() else round(value, 3)
