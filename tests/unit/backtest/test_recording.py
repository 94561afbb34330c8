"""A history in a file: what is written is read again, and what is wrong is named with its place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remediator.backtest.known import FACTS
from remediator.backtest.recording import FORMAT, read, write
from remediator.errors import ConfigError
from tests.unit.backtest.written import Town, firing, history, state

GOOD: dict[str, Any] = {
    "format": FORMAT,
    "begins": "2026-11-23T12:00:00Z",
    "ends": "2026-11-23T18:00:00Z",
    "series": {"ALERTS": [{"labels": {"alertname": "A"}, "spans": [[1, 2, 1], [4, 5, 1]]}]},
    "facts": {"pods": []},
}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    made = Town()
    made.deployment("shop", "web")
    kept = history(
        firing("A", (10, 20), team="shöp"),
        states=(state("A", (5, 20, 4.25), team="shöp"),),
        facts=made.facts,
        external={"cluster": "prod"},
    )
    write(kept, tmp_path / "history.json")
    found = read(tmp_path / "history.json")
    assert (found.begins, found.ends, found.step, found.external) == (kept.begins, kept.ends, kept.step, kept.external)
    assert (list(found.alerts), list(found.states)) == (list(kept.alerts), list(kept.states))
    assert {name: list(series) for name, series in found.facts.items()} == made.facts


def _put(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for part in path[:-1]:
            data = data[part]
        data[path[-1]] = value

    return change


SERIES = ("series", "ALERTS", 0)
WRONG: dict[str, tuple[Callable[[Any], None], str]] = {
    "another format": (_put("format", value="remediator.backtest/9"), 'format: expected "remediator.backtest/1"'),
    "an unknown field": (_put("serie", value={}), "unknown field 'serie'; there are begins, ends"),
    "no time": (
        _put("begins", value="yesterday"),
        "begins: expected a time like 2026-11-23T12:00:00Z, got 'yesterday'",
    ),
    "times in the wrong order": (_put("ends", value="2026-11-22T12:00:00Z"), "ends: must be after begins"),
    "no step": (_put("step_seconds", value=0), "step_seconds: expected seconds, 1 to 86400, got 0"),
    "an unknown series": (_put("series", "ALERT", value=[]), "series: unknown 'ALERT'; there are ALERTS and"),
    "an unknown fact": (_put("facts", "pod", value=[]), "facts: unknown 'pod'; there are pods, unready"),
    "labels that are no text": (
        _put(*SERIES, "labels", value={"a": 1}),
        "series.ALERTS[0].labels: expected label name",
    ),
    "no spans": (_put(*SERIES, "spans", value=[]), "series.ALERTS[0].spans: expected a list of [first, last, value]"),
    "a span of two": (
        _put(*SERIES, "spans", 1, value=[4, 5]),
        "series.ALERTS[0].spans[1]: expected [first, last, value]",
    ),
    "spans that overlap": (
        _put(*SERIES, "spans", 1, value=[2, 5, 1]),
        "series.ALERTS[0].spans[1]: expected runs in order",
    ),
    "a series without labels": (_put(*SERIES, value={"spans": []}), "series.ALERTS[0]: expected an object with labels"),
}


@pytest.mark.parametrize(("change", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, change: Callable[[Any], None], expected: str) -> None:
    data, file = copy.deepcopy(GOOD), tmp_path / "history.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    read(file)
    change(data)
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        read(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert expected in str(raised.value)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"format": ', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"cut.json is not JSON"):
        read(tmp_path / "cut.json")
    with pytest.raises(ConfigError, match="cannot be written"):
        write(history(), tmp_path / "no" / "folder.json")


def test_the_page_names_every_fact_with_its_metric_and_labels() -> None:
    """FORMAT.md is for whoever writes a file by another program."""
    page = (Path(__file__).parents[3] / "remediator" / "backtest" / "FORMAT.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(" `"): line for line in page.splitlines() if line.startswith("| `")}
    assert list(rows) == list(FACTS)
    for name, fact in FACTS.items():
        assert all(label in rows[name] for label in fact.key), name
