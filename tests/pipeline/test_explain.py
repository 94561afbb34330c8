"""`explain --incident`: the recorded facts give the same answer from a service and from a bundle, whatever changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from remediator.api.answers import IncidentDetail
from remediator.cli.explain import explain_incident
from remediator.export.bundling import bundle
from remediator.export.stream import Labels, Wanted
from remediator.export.table import FORMATS
from remediator.model import Mode, State
from remediator.rules.conditions import Evidence
from tests.pipeline.world import World, world

OTHERS = """rules:
  - name: earlier
    match: ['alertname="KubePodCrashLooping"', 'namespace="pay"']
    severity: 1
    respond: [{when: {deployed_within: 3m}, do: recommend}, {do: escalate}]
  - name: crash-loop
    match: ['alertname="Renamed"']
    severity: 1
    respond: [{do: escalate}]
"""


@contextmanager
def serving(detail: str) -> Iterator[str]:
    """A service that knows this one incident."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/api/v1/incidents/inc-1"
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(detail.encode() if known else b'{"error": "there is no such incident"}')

        def log_message(self, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def recorded(one: World, folder: Path) -> tuple[str, Path]:
    """An incident that was decided on, as the API gives it and as a bundle."""
    await one.receive()
    assert await one.run() is State.RECOMMENDED
    [row] = await one.database.incidents(limit=1, open_only=False)
    view = await one.database.incident(row.id)
    assert view is not None
    file = folder / "inc-1.zip"
    labels = Labels(made_at=one.clock.now(), cluster="test", version="0")
    with file.open("wb") as out:
        await bundle(out, Wanted(FORMATS["markdown"], incident=row.id), one.database.exports, one.database, labels)
    return IncidentDetail.of(view).model_dump_json(), file


def rules_of(folder: Path) -> Path:
    file = folder / "rules.yaml"
    file.write_text(OTHERS, encoding="utf-8")
    return file


async def test_service_and_bundle_give_the_same_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with world(mode=Mode.SILENT) as one:
        detail, file = await recorded(one, tmp_path)
    table = rules_of(tmp_path)
    assert explain_incident(str(file), table, "json", url=None) == 0
    of_bundle = json.loads(capsys.readouterr().out)
    with serving(detail) as url:
        assert explain_incident("inc-1", table, "json", url=url) == 0
    of_service = json.loads(capsys.readouterr().out)
    of_bundle[0]["recorded"].pop("at")
    of_service[0]["recorded"].pop("at")  # microseconds are written differently
    assert of_bundle == of_service
    [answer] = of_bundle
    assert answer["rule"] == "crash-loop"
    assert (answer["recorded"]["decision"], answer["recorded"]["reason"]) == ("decision.recommended", "mode-silent")


async def test_the_rule_is_shown_as_it_was_and_the_others_on_the_recorded_facts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rule of that name is another one by now; what it was and how it was weighed stands in the records."""
    async with world(mode=Mode.SILENT) as one:
        _, file = await recorded(one, tmp_path)
    assert explain_incident(str(file), rules_of(tmp_path), "json", url=None) == 0
    [answer] = json.loads(capsys.readouterr().out)
    earlier, taken = answer["rules"]
    assert taken["as_it_was"] is True
    assert [matcher["holds"] for matcher in taken["matchers"]] == [True]
    assert [row["holds"] for row in taken["rows"]] == ["yes", "no", "yes"]
    assert taken["rows"][0]["conditions"][0] == {
        "name": "cause",
        "wanted": "code-error",
        "holds": "yes",
        "seen": "code-error",
    }
    [condition] = earlier["rows"][0]["conditions"]
    assert (condition["holds"], earlier["rows"][1]["holds"]) == ("no", "yes")
    assert condition["seen"].endswith(" ago")
    assert answer["recorded"]["rule_now"] is None
    assert explain_incident(str(file), rules_of(tmp_path), "simple", url=None) == 0
    out = capsys.readouterr().out
    assert "inc-1 R-1  decided " in out
    assert "crash-loop  yes  all matchers hold  as it was" in out
    assert "row 1 rollback <- taken" in out
    assert "  -> by the table as it is now: no rule" in out


async def test_a_bundle_that_was_changed_explains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with world(mode=Mode.SILENT) as one:
        _, file = await recorded(one, tmp_path)
    changed = file.read_bytes().replace(b'"crash-loop"', b'"crash-l00p"', 1)
    file.write_bytes(changed)
    assert explain_incident(str(file), None, "simple", url=None) == 2
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize(("incident", "code"), [("inc-9", 1), ("none.zip", 2)])
async def test_what_is_not_there_is_said(incident: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with serving("{}") as url:
        assert explain_incident(incident, None, "simple", url=url) == code
    assert capsys.readouterr().err.startswith("error: ")


async def test_facts_come_back_as_they_were() -> None:
    async with world(mode=Mode.SILENT) as one:
        await one.receive()
        await one.run()
        facts = next(record.body["facts"] for record in await one.records() if record.body.get("facts"))
    evidence = Evidence.from_json(facts)
    assert evidence.as_json() == facts
    assert evidence.kind == "Deployment"
    assert evidence.deployed_ago is not None
    assert evidence.deployed_ago > timedelta()
