"""CSV, JSON Lines, CloudEvents and JSON: what machines and spreadsheets read."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence

import pytest

from remediator.audit.commitments import COMMITTED
from remediator.audit.tree import leaf_hash
from remediator.export.as_json import AsJson
from remediator.export.cloud_events import CloudEvents
from remediator.export.comma_separated import COLUMNS, CommaSeparated, safe
from remediator.export.files import document, files_of, rows
from remediator.export.json_lines import JsonLines
from remediator.export.table import FORMATS
from remediator.export.times import zone
from remediator.model import Json
from remediator.sinks.cloud_event import cloud_event
from tests.unit.export.hostile import CORPUS, FORMULAS, hostile_story
from tests.unit.export.stories import head, planned, received, record, step, story


def table(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode("utf-8"), newline="")))


def test_a_record_is_a_row_with_what_an_auditor_asks_for() -> None:
    one = story()
    found = table(rows(CommaSeparated(), one, head()))
    assert [row["record"] for row in found] == ["1", "3", "4", "5", "6", "7"]  # without what only leads up
    done = found[3]
    expected = {
        "at": "2026-11-23T12:00:00Z",
        "incident": "inc-1",
        "remediation": "R-1",
        "event": "Rolled back",
        "target": "shop/deployment/checkout",
        "uid": "uid-1",
        "rule": "crash-loop",
        "rule_digest": "d" * 64,
        "action": "rollback",
        "leaf_hash": leaf_hash(one.records[4].canonical).hex(),
    }
    assert {name: done[name] for name in expected} == expected


def test_everything_is_a_row_on_request_and_local_time_is_there_where_asked() -> None:
    found = table(rows(CommaSeparated(), story(), head(is_whole=True, tz=zone("Europe/Berlin"))))
    assert len(found) == 7
    assert found[0]["local_time"] == "2026-11-23 13:00:00 CET"


def test_the_table_is_rfc_4180() -> None:
    text = rows(CommaSeparated(), story([received(1), planned(2, detail='say "no", twice')]), head())
    assert text.startswith(",".join(COLUMNS).encode() + b"\r\n")
    assert text.endswith(b"\r\n")
    assert b'""no""' in text
    assert text.replace(b"\r\n", b"").count(b"\n") == 0


@pytest.mark.parametrize("text", FORMULAS[:-1])
def test_a_formula_is_text_in_a_spreadsheet(text: str) -> None:
    if text.strip(" ")[0] not in '"':
        assert safe(text).startswith("'")


@pytest.mark.parametrize("text", CORPUS)
def test_no_cell_begins_as_a_formula_and_a_record_stays_a_line(text: str) -> None:
    told = rows(CommaSeparated(), hostile_story(text), head(is_whole=True))
    found = table(told)
    assert len(found) == 8
    assert all(row.keys() == set(COLUMNS) and None not in row.values() for row in found)
    cells = [cell for row in found for cell in row.values() if cell]
    assert not [cell for cell in cells if re.match(r" *[=+\-@\t\r＝＋－＠]", cell)]  # noqa: RUF001
    assert told.count(b"\n") == 9


def test_the_control_an_unsafe_cell_would_be_found() -> None:
    assert re.match(r" *[=+\-@]", "=1+1")
    assert safe("1+1") == "1+1"


@pytest.mark.parametrize("text", ["plain", *CORPUS])
def test_a_line_holds_the_record_s_own_bytes_and_what_is_disclosed(text: str) -> None:
    one = hostile_story(text)
    found = rows(JsonLines(), one, head()).split(b"\n")
    assert found.pop() == b""
    assert len(found) == len(one.records)
    for line, record_ in zip(found, one.records, strict=True):
        assert record_.canonical in line  # byte for byte, so that its hash can be computed again
        parsed = json.loads(line)
        assert parsed["record"] == json.loads(record_.canonical)
        committed = parsed["record"]["body"].get(COMMITTED, {})
        assert set(parsed["disclosed"]) | set(parsed["taken_back"]) == set(committed)
        for name, value in parsed["disclosed"].items():
            assert value == record_.body[name]


def test_a_line_names_what_was_taken_back() -> None:
    one = story([received(1), planned(2, taken=["evidence", "plan"])])
    [_, line] = [json.loads(line) for line in rows(JsonLines(), one, head()).splitlines()]
    assert line["taken_back"] == ["evidence", "plan"]
    assert "evidence" not in line["disclosed"]


def test_events_are_those_of_the_webhook_in_a_batch_one_a_line() -> None:
    told = rows(CloudEvents(), story(), head())
    events = json.loads(told)
    assert [event["id"] for event in events] == ["4", "5", "6"]  # as the webhook: no alerts, no steps
    assert events[1] == cloud_event(story().records[4], source="/remediator/lab")
    assert told.count(b"\n{") == 3
    assert len(json.loads(rows(CloudEvents(), story(), head(is_whole=True)))) == 7


@pytest.mark.parametrize("pages", [([], []), ([], [5]), ([5], []), ([3, 4], [5], [6])])
def test_a_batch_in_pages_is_one_batch(pages: Sequence[Sequence[int]]) -> None:
    form, told, is_first = CloudEvents(), CloudEvents().begin(head()), True
    for numbers in pages:
        piece = form.rows([one for one in story().records if one.seq in numbers], head(), is_first=is_first)
        is_first = is_first and not piece
        told += piece
    wanted = [str(n) for numbers in pages for n in numbers if n != 3]
    assert [event["id"] for event in json.loads(told + form.end(head()))] == wanted


def test_what_was_taken_back_stands_in_the_event() -> None:
    one = story([received(1), step(2, 0, "decision.held", reason="storm", detail="x", taken=["detail"])])
    [event] = json.loads(rows(CloudEvents(), one, head()))
    assert event["data"]["taken_back"] == ["detail"]


def as_json(**changes: object) -> Json:
    return json.loads(document(AsJson(), story(), head(**changes)))


def test_the_story_as_json_has_the_facts_the_short_timeline_and_the_attempts() -> None:
    [one] = as_json()["incidents"]
    assert one["facts"]["time_to_recover_seconds"] == 420
    assert [event["title"] for event in one["timeline"]][-2:] == ["Verified", "Resolved"]
    assert one["attempts"][0]["diff"][-1] == "       name: app"
    assert "whole" not in one
    assert len(as_json(is_whole=True)["incidents"][0]["whole"]) == 7


def test_a_value_that_was_taken_back_is_an_object_of_its_own() -> None:
    redaction = record(3, 1, "audit.redacted", redacted=2, fields=["evidence"])
    records = [received(1), planned(2, taken=["evidence"]), redaction]
    [one] = json.loads(document(AsJson(), story(records), head()))["incidents"]
    assert one["attempts"][0]["evidence"]["taken_back"]["seq"] == 2


@pytest.mark.parametrize("text", CORPUS)
def test_json_is_ascii_and_holds_the_text_as_it_was(text: str) -> None:
    told = document(AsJson(), hostile_story(text), head(is_whole=True))
    assert told.isascii()
    [one] = json.loads(told)["incidents"]
    assert one["attempts"][0]["evidence"] == [text]


def test_the_formats_in_the_order_in_which_they_are_offered() -> None:
    assert list(FORMATS) == ["markdown", "html", "csv", "jsonl", "cloudevents", "json"]


# -- the files of a bundle


def test_the_files_of_a_bundle() -> None:
    found = dict(files_of(story(), head()))
    assert list(found) == [
        "timeline.md",
        "timeline.html",
        "timeline.csv",
        "events.jsonl",
        "diagnostics.json",
        "rule.yaml",
        "change.diff",
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in found)
    assert b"Looked at" in found["timeline.md"]
    assert json.loads(found["diagnostics.json"])["1"]["cause"] == "code-error"
    assert found["rule.yaml"].startswith(b"# SHA-256 " + b"d" * 64 + b"\nname: crash-loop\n")
    assert found["change.diff"].startswith(b"# R-1 rollback: made\n--- before/shop/deployment/checkout\n")
    assert found["timeline.html"] == dict(files_of(story(), head()))["timeline.html"]  # the same story, the same bytes


def test_what_was_never_decided_has_no_rule_and_no_change() -> None:
    found = dict(files_of(story([received(1)], diagnoses={}), head()))
    assert "rule.yaml" not in found
    assert "change.diff" not in found


@pytest.mark.parametrize("text", CORPUS)
def test_no_file_holds_a_control_character(text: str) -> None:
    """But for the log's own bytes, which are as they were hashed; there JSON escapes what is below a blank."""
    for name, content in files_of(hostile_story(text), head()):
        shown = content.decode("utf-8")
        if name == "events.jsonl":
            assert not re.search(r"[\x00-\x09\x0b-\x1f]", shown)
        else:
            assert [c for c in shown if not c.isprintable() and c not in "\r\n"] == []
