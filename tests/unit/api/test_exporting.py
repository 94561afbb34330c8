"""Exports and reports over HTTP, over a real store, and the commands that fetch them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import sys
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from remediator.api.openapi import document
from remediator.audit.findings import Answer
from remediator.audit.verify import anchors, trusted_keys, verify
from remediator.cli.export import export, report
from remediator.cli.main import app
from remediator.export import stream
from remediator.export.table import FORMATS
from remediator.model import State
from remediator.reasons import Reason
from remediator.store.base import Change, Record, StoreUnavailable
from remediator.store.exporting_base import Page
from remediator.store.pauses_base import Pause, PauseOf
from tests.logkeys import KEYS
from tests.unit.api.service import NOW, Service, running
from tests.unit.api.test_escalations import CALL
from tests.unit.api.test_reading import TARGET, alert
from tests.unit.store.examples import escalated, firing, target

HOUR = timedelta(hours=1)
RULE = {"rule": "crash-loop", "rule_digest": "d" * 64, "target": str(TARGET)}


async def brought(service: Service) -> None:
    """One incident that was held, one that was declined, and a pause; then the clock goes on for an hour."""
    store = service.store
    for number in (1, 2):
        await store.accept([alert(number)], at=NOW)
    first, second = await store.claim(owner="test", at=NOW, lease=HOUR, limit=2)
    for mine, to, kind, change in (
        (first, State.HELD, "decision.held", Change(reason=Reason.COOLDOWN, due_at=NOW + 2 * HOUR)),
        (second, State.DECLINED, "decision.declined", Change(reason=Reason.NO_RULE)),
    ):
        known = Change(rule="crash-loop", severity=1, target=TARGET) if to is State.HELD else Change()
        mine = await store.advance(
            mine, to=State.DIAGNOSING, record=Record("step.diagnosing", RULE), at=NOW, change=known
        )
        said = {**RULE, "detail": "said «so»", "reason": change.reason.value if change.reason else ""}
        await store.advance(mine, to=to, record=Record(kind, said), at=NOW, change=change)
    await store.set_pause(Pause(PauseOf.NAMESPACE, "shop", "ada", "a migration", NOW, None))
    service.clock.instant = NOW + HOUR


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with running() as service:
        await brought(service)
        yield service


async def got(service: Service, query: str, path: str = "/api/v1/export") -> tuple[int, str, Any]:
    async with service.client.get(f"{path}?{query}") as answer:
        return answer.status, await answer.text(), answer.headers


async def test_every_format_of_an_incident_is_a_file_with_a_name(service: Service) -> None:
    for name, form in FORMATS.items():
        status, text, headers = await got(service, f"incident=inc-1&format={name}")
        assert status == 200
        assert text
        assert headers["Content-Disposition"] == f'attachment; filename="incident-1.{form.suffix}"'
        assert headers["Content-Type"].startswith(form.media_type)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"]
    assert (await got(service, "incident=1"))[1] == (await got(service, "incident=inc-1&format=markdown"))[1]


async def test_a_period_in_rows_holds_every_record_and_says_how_many(service: Service) -> None:
    status, text, headers = await got(service, "since=2h&format=jsonl")
    seqs = [json.loads(line)["record"]["seq"] for line in text.splitlines()]
    assert (status, seqs, headers["X-Total-Count"]) == (200, list(range(1, 8)), "7")
    hour = "since=2026-11-23T12:00:00Z&until=2026-11-23T12:30:00Z"
    status, text, headers = await got(service, f"{hour}&format=csv&all=true")
    assert len(list(csv.DictReader(io.StringIO(text)))) == 7
    assert headers["Content-Disposition"].endswith('"incidents-20261123T120000Z-20261123T123000Z.csv"')
    events = json.loads((await got(service, "since=2h&format=cloudevents&rule=crash-loop"))[1])
    assert [event["type"] for event in events] == ["io.remediator.decision.held", "io.remediator.pause.set"]


async def test_a_period_as_a_document_tells_its_incidents_and_what_is_beside(service: Service) -> None:
    _, text, _ = await got(service, "since=2h&tz=Europe/Berlin")
    assert "| inc-1 |" in text
    assert "| inc-2 |" in text
    assert "## Beside the incidents" in text
    assert "`namespace shop: a migration`" in text
    _, only, _ = await got(service, "since=2h&namespace=pay")
    assert "No incident was open" in only
    told = json.loads((await got(service, "since=2h&format=json"))[1])
    assert [one["facts"]["ref"] for one in told["incidents"]] == ["inc-1", "inc-2"]
    assert [event["kind"] for event in told["beside"]] == ["pause.set"]


async def test_a_pause_stands_in_the_story_of_what_it_held(service: Service) -> None:
    _, text, _ = await got(service, "incident=1")
    assert "**Paused** by `ada`" in text


BAD = {
    "": (400, "incident or since: name an incident, or the begin of a period like since=24h"),
    "incident=seven": (400, "incident: 'seven' is no incident: expected a number or inc-<number>"),
    "incident=1&since=1h": (400, "since: an incident is exported whole"),
    "incident=1&format=pdf": (400, "format: expected one of markdown, html, csv, jsonl, cloudevents, json"),
    "incident=1&all=yes": (400, "all: expected true or false"),
    "incident=1&tz=Mars/Olympus": (400, "tz: not a time zone that this machine knows"),
    "incident=1&incident=2": (400, "incident: given twice"),
    "incident=1&color=red": (400, "color: not a parameter here; there are incident, since, until"),
    "since=yesterday": (400, "since: expected a duration like 24h or a time like 2026-11-23T12:00:00Z"),
    "since=1h&until=2h": (400, "until: must be later than since"),
    "since=1h&rule=Crash%20Loop": (400, "rule: expected a name of small letters, digits and dashes"),
    "since=1h&namespace=%25": (400, "namespace: expected a name of small letters, digits and dashes"),
    "incident=999": (404, "there is no incident inc-999"),
}
BAD_REPORTS = {
    "handoff?since=32d": "since: must be in the past, at most 31d",
    "handoff?since=2030-01-01T00:00:00Z": "since: must be in the past",
    "handoff?format=csv": "format: expected one of markdown, html, json",
    "monthly?month=November": "month: expected a month like 2026-11",
    "monthly?month=2026-13": "month: expected a month like 2026-11",
    "monthly?month=2026-12": "month: it has not begun yet",
    "monthly?tz=UTC": "tz: not a parameter here; there are month, format",
}


async def test_a_question_that_cannot_be_answered_names_what_is_wrong(service: Service) -> None:
    for query, (status, error) in BAD.items():
        answered, text, _ = await got(service, query)
        assert (answered, error in json.loads(text)["error"]) == (status, True), (query, text)
    for query, error in BAD_REPORTS.items():
        answered, told = await service.get(f"/api/v1/report/{query}")
        assert (answered, error in told["error"]) == (400, True), (query, told)


async def test_the_handoff_begins_with_what_a_shift_begins_with(service: Service) -> None:
    _, text, headers = await got(service, "since=8h", "/api/v1/report/handoff")
    assert headers["Content-Disposition"] == 'attachment; filename="handoff-20261123T130000Z.md"'
    assert "# Handoff" in text
    assert "| inc-1 | 2026-11-23 12:00:00Z | 1 | `shop/deployment/api` |" in text
    assert "| R-1 | `shop/deployment/api` | `crash-loop` | cooldown | `said «so»` | 2026-11-23 14:00:00Z |" in text
    assert "| pause of a namespace | `shop` | - | `ada` | `a migration` |" in text
    told = json.loads((await got(service, "format=json", "/api/v1/report/handoff"))[1])
    assert [one["remediation"] for one in told["held"]] == [1]
    assert told["counted"]["alert.received"] == 2
    _, page, _ = await got(service, "format=html&tz=Europe/Berlin", "/api/v1/report/handoff")
    assert "2026-11-23 15:00:00 CET" in page


async def test_the_handoff_names_who_is_called_for_what(service: Service) -> None:
    await escalated(service.store, firing(2), CALL, on=target("web"), at=NOW)
    _, text, _ = await got(service, "since=8h", "/api/v1/report/handoff")
    title = f"`{firing(2).name}`"
    row = f"| E-1 | 2026-11-23 12:00:00Z | {CALL.severity} | {title} | `{CALL.tell} was told` |"
    assert row in text
    told = json.loads((await got(service, "since=8h&format=json", "/api/v1/report/handoff"))[1])
    assert [(one["id"], one["told"]) for one in told["escalations"]] == [(1, CALL.tell)]


async def test_the_month_is_there_as_far_as_it_went(service: Service) -> None:
    _, text, headers = await got(service, "", "/api/v1/report/monthly")
    assert headers["Content-Disposition"] == 'attachment; filename="monthly-2026-11.md"'
    assert "# November 2026\n\nFrom 2026-11-01 00:00:00Z until 2026-11-23 13:00:00Z." in text
    assert "| `crash-loop` | 1 | 0 | 0 | 0 | 0 | 0 | 0 |" in text
    told = json.loads((await got(service, "month=2026-10&format=json", "/api/v1/report/monthly"))[1])
    assert told["rules"] == []


def test_the_document_names_the_parameters() -> None:
    paths = document("1")["paths"]
    names = [one["name"] for one in paths["/api/v1/export"]["get"]["parameters"]]
    assert names == ["incident", "since", "until", "rule", "namespace", "format", "all", "tz"]
    assert [one["name"] for one in paths["/api/v1/report/monthly"]["get"]["parameters"]] == ["month", "format"]


# -- long ones


async def many(service: Service, count: int) -> None:
    await service.store.note([Record("switch.noted", {"n": n}) for n in range(count)], at=NOW + HOUR / 2)


async def test_a_long_export_is_read_in_pages_and_nothing_is_held(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await many(service, 1000)
    sizes: list[int] = []
    real = service.store.exports.records_of

    async def counted(*args: Any, **kwargs: Any) -> Page:
        page = await real(*args, **kwargs)
        sizes.append(len(page.records))
        return page

    monkeypatch.setattr(service.store.exports, "records_of", counted)
    _, text, _ = await got(service, "since=2h&format=jsonl")
    assert text.count("\n") == 1007
    assert max(sizes) == 200
    assert len(sizes) == 6


async def test_what_breaks_off_is_not_taken_for_the_whole(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await many(service, 1000)
    real, calls = service.store.exports.records_of, 0

    async def fails(*args: Any, **kwargs: Any) -> Page:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StoreUnavailable("the disk is gone")
        return await real(*args, **kwargs)

    monkeypatch.setattr(service.store.exports, "records_of", fails)
    file = tmp_path / "all.jsonl"
    code = await command(service, to=str(file), since="2h", format="jsonl")
    assert code == 1
    assert os.listdir(tmp_path) == []
    assert "broke off" in capsys.readouterr().err


async def test_a_store_that_cannot_answer_at_first_is_503(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any, **__: Any) -> Page:
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(service.store.exports, "incident", fails)
    assert (await got(service, "incident=1"))[0] == 503


async def test_a_period_of_too_many_incidents_says_that_there_are_more(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_INCIDENTS", 1)
    _, text, _ = await got(service, "since=2h")
    assert "There are more; ask for a shorter time." in text
    assert "| inc-2 |" not in text


# -- the commands


async def command(service: Service, *, to: str | None = None, **query: str) -> int:
    url = f"http://127.0.0.1:{service.port}"
    return await asyncio.to_thread(export, url, query=query, to=to)


async def test_the_command_writes_a_file_and_names_it(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "post-mortem.md"
    file.write_text("an older one")
    assert await command(service, to=str(file), incident="inc-1") == 0
    assert file.read_text().startswith("# Incident inc-1")
    assert capsys.readouterr().out.startswith(str(file))
    assert os.listdir(tmp_path) == ["post-mortem.md"]  # and nothing of it in parts


class Pipe(io.TextIOWrapper):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(("is_terminal", "to"), [(False, None), (True, "-"), (False, "-")])
async def test_into_a_pipe_it_goes_as_it_is(
    service: Service, monkeypatch: pytest.MonkeyPatch, is_terminal: bool, to: str | None
) -> None:
    out = Pipe(is_terminal)
    monkeypatch.setattr(sys, "stdout", out)
    assert await command(service, to=to, incident="1", format="jsonl") == 0
    assert [json.loads(line)["record"]["seq"] for line in out.text().splitlines()] == [1, 3, 4, 7]


async def test_on_a_terminal_it_is_a_file_of_its_own_name_that_is_never_replaced(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """People write into these files."""
    monkeypatch.chdir(tmp_path)
    out = Pipe(True)
    monkeypatch.setattr(sys, "stdout", out)
    assert await command(service, incident="1") == 0
    assert out.text().startswith("incident-1.md")
    (tmp_path / "incident-1.md").write_text("edited")
    assert await command(service, incident="1") == 1
    assert (tmp_path / "incident-1.md").read_text() == "edited"
    assert "is there already" in capsys.readouterr().err


async def test_a_bar_is_drawn_on_a_terminal_only_and_for_long_exports_only(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await many(service, 3000)
    shown: list[str] = []
    for is_terminal, query in ((True, {"since": "2h"}), (False, {"since": "2h"}), (True, {"incident": "1"})):
        err = Pipe(is_terminal)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", err)
            patch.setattr("remediator.cli.export.LARGE_BYTES", 300_000)
            assert await command(service, to=str(tmp_path / "x"), format="jsonl", **query) == 0
        shown.append(err.text())
    assert "exporting" in shown[0]
    assert "of 3,007 records" in shown[0]
    assert shown[1:] == ["", ""]


@pytest.mark.parametrize(("query", "code"), [({"incident": "999"}, 1), ({"format": "pdf", "incident": "1"}, 2)])
async def test_exit_codes_tell_failure_from_misuse(
    service: Service, capsys: pytest.CaptureFixture[str], query: dict[str, str], code: int
) -> None:
    assert await command(service, **query) == code
    assert capsys.readouterr().err.startswith("error: ")


def test_no_service_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert export("http://127.0.0.1:1", query={"incident": "1"}) == 1
    assert "is it running?" in capsys.readouterr().err


async def test_the_report_command_writes_what_the_service_says(service: Service, tmp_path: Path) -> None:
    url, file = f"http://127.0.0.1:{service.port}", tmp_path / "h.md"
    query: dict[str, str | None] = {"since": "8h", "format": "markdown", "tz": None}
    assert await asyncio.to_thread(report, url, "handoff", query=query, to=str(file)) == 0
    assert file.read_text().startswith("# Handoff")


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["export", "inc-1", "--format", "csv"], "record,at,"),
        (["export", "--since", "2h", "--rule", "crash-loop", "--all", "--tz", "UTC"], "# Incidents"),
        (["report", "handoff", "--since", "8h", "--tz", "Europe/Berlin"], "# Handoff"),
        (["report", "monthly", "--month", "2026-11"], "# November 2026"),
    ],
)
async def test_the_command_line_hands_on_what_was_asked(
    service: Service, tmp_path: Path, words: list[str], begins: str
) -> None:
    file = tmp_path / "x"
    asked = [*words, "--url", f"http://127.0.0.1:{service.port}", "-o", str(file)]
    done = await asyncio.to_thread(CliRunner().invoke, app, asked)
    assert done.exit_code == 0, done.output
    assert file.read_text().startswith(begins)


@pytest.mark.parametrize(
    ("query", "name", "scope", "seqs"),
    [
        ("incident=1", "incident-1.zip", "incident inc-1", [2, 4, 5, 8]),
        (
            "since=2026-11-23T12:00:00Z&namespace=shop",
            "incidents-20261123T120000Z-20261123T130000Z.zip",
            "records from 2026-11-23T12:00:00Z until 2026-11-23T13:00:00Z, namespace shop",
            [2, 3, 4, 5, 6, 7, 8],
        ),
    ],
)
async def test_a_bundle_proves_what_its_files_tell(
    tmp_path: Path, query: str, name: str, scope: str, seqs: list[int]
) -> None:
    async with running(keys=KEYS) as service:
        await brought(service)
        async with service.client.get(f"/api/v1/export?{query}&format=bundle") as answer:
            assert (answer.status, answer.content_type) == (200, "application/zip")
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
            (tmp_path / name).write_bytes(await answer.read())
        note = (await service.store.log_standing()).note
    report = verify(tmp_path / name, trusted=trusted_keys(str(KEYS.known[0])), anchored=anchors(note.decode()))
    assert (report.answer, report.scope) == (Answer.VERIFIED, scope), report.reason
    with zipfile.ZipFile(tmp_path / name) as bundle:
        records = [json.loads(line) for line in bundle.read("records.jsonl").splitlines()]
        told = [json.loads(line)["record"]["seq"] for line in bundle.read("events.jsonl").splitlines()]
        assert [record["seq"] for record in records] == told == seqs
        assert "said «so»" in bundle.read("timeline.html").decode()


async def test_a_bundle_of_no_incident_is_no_file(service: Service) -> None:
    status, text, _ = await got(service, "incident=9&format=bundle")
    assert (status, json.loads(text)["error"]) == (404, "there is no incident inc-9")


async def test_a_bundle_by_command_verifies_by_command(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a service without a key: nothing was changed, but nobody has signed for it."""
    file = tmp_path / "b.zip"
    url = f"http://127.0.0.1:{service.port}"
    query = {"incident": "1", "format": "bundle"}
    assert await asyncio.to_thread(export, url, query=query, to=str(file)) == 0
    done = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "verify", str(file)])
    assert (done.exit_code, done.output.splitlines()[0][:6]) == (4, "AUTHOR"), done.output
