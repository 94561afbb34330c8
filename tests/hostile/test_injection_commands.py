"""Values that want to be more stay values on the terminal; see `injection.py`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from remediator.api.answers import Incident, IncidentDetail, Incidents
from remediator.cli import explain as explaining
from remediator.cli import incidents as telling
from remediator.cli.explain import explain, explain_incident
from remediator.cli.incidents import list_incidents, show_incident
from remediator.cli.output import Output
from remediator.cli.simulate import Wanted
from remediator.cli.simulate import run as simulate
from tests.hostile.corpora import HOSTILE, POISONED, twin
from tests.hostile.injection import FEW, turned, unchanged
from tests.hostile.readers import acting
from tests.unit.export.stories import record, view
from tests.unit.receive.bodies import body, element

RULES = """rules:
  - name: in-shop
    match: ['alertname=~".*a.*"', 'namespace="shop"']
    severity: 1
    respond: [{do: escalate}]
  - name: of-a-pod
    match: ['alertname=~".*x.*"', 'pod!="", pod!~"y.*"']
    severity: 1
    respond: [{do: escalate}]
"""


@contextmanager
def answering(answers: Mapping[str, str]) -> Iterator[str]:
    """A service that knows these paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answers[self.path.partition("?")[0]].encode())

        def log_message(self, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def listed(values: Sequence[str]) -> str:
    row = view(()).row
    rows = [
        Incident.of(replace(row, title=one, target=two, outcome=three, reason=four))
        for one, two, three, four in turned(values, 4)
    ]
    return Incidents(incidents=rows).model_dump_json()


def shown(values: Sequence[str]) -> str:
    """An incident with ten of the values in each of its records."""
    records = [
        record(
            seq,
            0,
            "decision.escalated",
            detail=v[0],
            cause=v[1],
            reason=v[2],
            advice=v[3],
            runbook_url=v[4],
            contact=v[5],
            evidence=[v[6], v[7]],
            labels={v[8]: v[9]},
            request={"method": v[0], "path": v[1]},
            rule=v[2],
        )
        for seq, v in enumerate(turned(values, 10), start=1)
    ]
    return IncidentDetail.of(view(records, title=values[0], target=values[1], rule=values[2])).model_dump_json()


def explained(values: Sequence[str], folder: Path, output: str) -> None:
    """Explain alerts whose labels have the values, names among them."""
    file, table = folder / "payload.json", folder / "rules.yaml"
    labels = [{"alertname": one, "pod": two, three: "x"} for one, two, three in turned(values, 3)]
    file.write_text(json.dumps({"alerts": [{"labels": one} for one in labels]}), encoding="ascii")
    table.write_text(RULES, encoding="ascii")
    explain(str(file), table, output, shows_all=True)


def told(
    values: Sequence[str], folder: Path, read: Callable[[], str], *, outputs: Sequence[str] = ("simple", "json")
) -> dict[str, str]:
    """Command and output -> what it prints of the values."""
    answers = {"/api/v1/incidents": listed(values), "/api/v1/incidents/inc-1": shown(values)}
    printed = {}
    with answering(answers) as url:
        for output in outputs:
            commands: Mapping[str, Callable[[], object]] = {
                "list": partial(list_incidents, url, output),
                "show": partial(show_incident, url, "inc-1", output),
                "explain": partial(explained, values, folder, output),
                "explain incident": partial(explain_incident, "inc-1", folder / "rules.yaml", output, url=url),
            }
            for name, command in commands.items():
                command()
                printed[f"{name} {output}"] = read()
    return printed


def test_no_command_prints_what_moves_the_cursor_or_more_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For scripts as well: their JSON is looked at on terminals too."""

    def read() -> str:
        seen = capsys.readouterr()
        assert seen.err == ""
        return seen.out

    printed = told(HOSTILE, tmp_path, read)
    assert {name: found for name, text in printed.items() if (found := acting(text)[:FEW])} == {}
    of_twins = told([twin(one) for one in HOSTILE], tmp_path, read, outputs=("simple",))
    for name in ("list simple", "show simple"):
        assert printed[name].count("\n") == of_twins[name].count("\n") > len(HOSTILE) / 4
    assert all(json.loads(text) for name, text in printed.items() if name.endswith("json"))


@pytest.mark.parametrize("output", list(Output))
def test_a_simulation_prints_nothing_that_moves_the_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: Output
) -> None:
    file, table = tmp_path / "body.json", tmp_path / "rules.yaml"
    file.write_bytes(body(*(element(labels={"alertname": one, "pod": one}) for one in HOSTILE[:100])))
    table.write_text(RULES, encoding="ascii")
    assert simulate(Wanted(bodies=(file,), rules=(table,)), output) == 0
    text = capsys.readouterr().out
    assert acting(text)[:FEW] == ""
    assert text.count("\n") > 100


@pytest.mark.parametrize("output", list(Output))
def test_half_a_surrogate_pair_in_a_file_is_explained_like_any_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: Output
) -> None:
    explained(POISONED, tmp_path, output)
    seen = capsys.readouterr()
    assert (acting(seen.out)[:FEW], seen.err) == ("", "")
    assert seen.out


def test_the_control_a_command_that_prints_values_as_they_are_is_found_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "clean", unchanged)
    monkeypatch.setattr(explaining, "cut", unchanged)
    printed = told(HOSTILE[:400], tmp_path, lambda: capsys.readouterr().out)
    assert [name for name, text in printed.items() if not acting(text) and name.endswith("simple")] == []
