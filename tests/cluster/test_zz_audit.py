"""Two witnesses, asked at the end of the suite: the API server's own audit log, and ours, of every service that ran.

Every write of a service of this run has one record, every record of a write that was done has one line, and each of
the databases that the services left behind verifies, with the anchor beside it. Run alone it has nothing to compare.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from remediator.audit.commitments import put_together
from remediator.audit.findings import Answer
from remediator.audit.verify import anchors, verify
from tests.cluster import audit
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import SILENT
from tests.cluster.service import RunningService
from tests.logkeys import KEYS

SERVICE_AGENT = "remediator/"
TOLD = ("events", "configmaps")
"""What is written beside workloads: Events, and the anchor of the log."""

DONE = ("action.applied", "outcome.reverted", "outcome.verified")
INTENTS = ("action.intent", "revert.intent", "restore.intent")


@dataclass(frozen=True, slots=True)
class Intent:
    """One request that a record announces. `is_done`: a later record of that remediation says that it was done."""

    audit_id: str
    is_done: bool
    kind: str


def databases(base: Path) -> list[Path]:
    return sorted(path for path in base.rglob("remediator.db") if path.parent.joinpath("audit-key.pem").exists())


def records_of(database: Path) -> Iterator[tuple[int | None, str, dict[str, Any]]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT remediation_id, kind, canonical, beside FROM records ORDER BY seq")
        for remediation, kind, canonical, beside in rows:
            yield remediation, kind, put_together(json.loads(canonical)["body"], beside)


def intents_of(database: Path) -> Iterator[Intent]:
    by_remediation: dict[int | None, list[tuple[str, dict[str, Any]]]] = {}
    for remediation, kind, body in records_of(database):
        by_remediation.setdefault(remediation, []).append((kind, body))
    for history in by_remediation.values():
        for number, (kind, body) in enumerate(history):
            if kind in INTENTS:
                following = history[number + 1 : number + 2]
                is_next_step = bool(following) and following[0][0] == kind and following[0][1]["step"] > body["step"]
                is_done = is_next_step or (bool(following) and following[0][0] in DONE)
                yield Intent(body["audit_id"], is_done, kind)


def writes_of_services(control_plane: ControlPlane) -> list[audit.Event]:
    return [
        event
        for event in control_plane.audit_events()
        if event.get("userAgent", "").startswith(SERVICE_AGENT)
        and audit.is_write(event)
        and event["objectRef"]["resource"] not in TOLD
    ]


@pytest.fixture
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return databases(tmp_path_factory.getbasetemp())


def test_every_write_has_one_record_and_every_record_one_line(
    control_plane: ControlPlane, left_behind: list[Path], request: pytest.FixtureRequest
) -> None:
    lines = writes_of_services(control_plane)
    intents = {one.audit_id: one for database in left_behind for one in intents_of(database)}
    by_id: dict[str, list[int]] = {}
    for line in lines:
        by_id.setdefault(line["auditID"], []).append(audit.response_code(line))
    print(f"{len(lines)} lines of writes, {len(intents)} intents in {len(left_behind)} logs")
    unknown = [line for line in lines if line["auditID"] not in intents]
    assert unknown == [], "a write that no record announced"
    assert {name: codes for name, codes in by_id.items() if len(codes) > 1} == {}, "one record, several writes"
    silent = [one for one in intents.values() if one.is_done and one.audit_id not in by_id]
    assert silent == [], "a record of a write that the API server never saw"
    done = [one for one in intents.values() if one.is_done]
    assert all(200 <= by_id[one.audit_id][0] < 300 for one in done)
    others = [item for item in request.session.items if item.path.name == "test_table.py"]
    assert done or not others or RunningService.silently, "services ran, and nothing was compared"


def test_what_was_silent_asked_for_no_write_but_events(
    control_plane: ControlPlane, left_behind: list[Path], request: pytest.FixtureRequest
) -> None:
    """With the option --silent this is every service of the suite."""
    asked = [one for one in control_plane.audit_events(user=SILENT) if one["userAgent"].startswith(SERVICE_AGENT)]
    wrote = [one for one in asked if audit.is_write(one) and one["objectRef"]["resource"] != "events"]
    print(f"{len(asked)} requests of silent services, {sum(map(audit.is_dry_run, asked))} of them dry runs")
    assert [f"{one['verb']} {one['requestURI']}" for one in wrote] == []
    others = [item for item in request.session.items if item.path.name == "test_table.py"]
    assert any(map(audit.is_dry_run, asked)) or not others, "silent services ran, and proved nothing"


def test_every_log_that_a_service_left_verifies_with_its_anchor(left_behind: list[Path]) -> None:
    for database in left_behind:
        anchor = (database.parent / "audit-anchor").read_text(encoding="utf-8")
        report = verify(database, trusted=KEYS.known, anchored=anchors(anchor))
        assert report.answer is Answer.VERIFIED, f"{database}: {report.reason}"
