"""Values that want to be more than values stay values: in PromQL, in the log, on the terminal, in pages, in advice.

10,000 of them, the same each run (`corpora.py`), go through what the service itself uses, and what comes out is read by
readers of the tests (`readers.py`), most of it beside the same made of harmless values. All of them go through a rule's
queries, the log, the command line, the pages and the advice. What is slow gets a sample: each kind of the service's own
expressions, and backquotes, a quarter; Alertmanager's filters, over HTTP, and a running service four hundred each. For
each there is a control: with what makes values harmless taken out, the same reader finds the injection.
"""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog
from markupsafe import Markup

from remediator import telemetry
from remediator.actions.base import NoPlan
from remediator.alertmanager.client import FILTERED_BY, AlertmanagerApi
from remediator.api.answers import Incident, IncidentDetail, Incidents
from remediator.cli import explain as explaining
from remediator.cli import incidents as telling
from remediator.cli.explain import explain, explain_incident
from remediator.cli.incidents import list_incidents, show_incident
from remediator.cli.output import Output
from remediator.cli.simulate import Wanted
from remediator.cli.simulate import run as simulate
from remediator.diagnose import queries, rollout
from remediator.diagnose.resources import expressions
from remediator.export import pages
from remediator.export.comma_separated import safe
from remediator.export.html import Html
from remediator.export.report import Report, Section
from remediator.export.report_forms import HtmlReport
from remediator.export.story import Story
from remediator.kube.base import path_of
from remediator.model import Finding, Target
from remediator.prometheus import measures
from remediator.redact.forms import MASK
from remediator.rules import plan as planning
from remediator.rules.matcher import parse_matchers
from remediator.rules.plan import make_plan
from remediator.sinks.log import LogSink
from remediator.store.base import CommittedRecord
from remediator.telemetry import configure_logging
from tests.fakes import ScriptedMetrics
from tests.hostile.client import asked, posting
from tests.hostile.corpora import HOSTILE, HTML, POISONED, twin
from tests.hostile.readers import Page, Query, acting, fields_of, query_of, text_of_regex
from tests.hostile.serving import empty_cluster, served
from tests.hostile.test_burst import wait_for_decisions
from tests.unit.diagnose.scenes import collect, scene
from tests.unit.export.stories import CHECKS, LABELS, NOON, PLAN, head, planned, received, record, step, story, view
from tests.unit.receive.bodies import body, element
from tests.unit.rules.make import a_rule
from tests.unit.scripted_server import Answer, ScriptedServer
from tests.workloads import TARGET, alert, case

FEW = 5
"""Of what was found so much is shown: two thousand findings say no more, and take minutes to compare."""

MARK = "harmless"
"""Stands where the value will: no notation sees anything special in it."""


def unchanged(text: object, **_: Any) -> str:
    """What an escaper is when it is taken out."""
    return str(text)


# -- PromQL

RULES_OWN = (
    'sum(rate(a{namespace="$namespace",pod=~"$pod-.*",container=$container}[5m])) # $pod\n'
    " / on (pod) b{pod='<$pod>',workload!~'$workload',kind!=$kind,x=~$pod} > 0"
)
SCENE = scene()
IN_BACKQUOTES = "c{pod=`$pod`,workload=~`$workload.+`}"


def target_of(value: str) -> Target:
    return Target("test", value, value, value, "uid")


async def of_the_rule(value: str, expression: str = RULES_OWN) -> list[str]:
    metrics = ScriptedMetrics()
    firing = alert(labels={"pod": value, "container": value})
    of = replace(SCENE, metrics=metrics, target=target_of(value), alert=firing, queries={"own": expression})
    await collect("queries", of)
    return metrics.asked


async def of_measures(value: str) -> list[str]:
    metrics = ScriptedMetrics()
    await measures.measure(target_of(value), metrics)
    return metrics.asked


async def of_resources(value: str) -> list[str]:
    owner = {"kind": "ReplicaSet", "name": value, "controller": True}
    pods = expressions.pods_of(replace(SCENE.workload, pods=[{"metadata": {"ownerReferences": [owner]}}]))
    assert pods is not None
    moments = [getattr(expressions, name)(value, pods) for name in ("memory", "traffic", "cpu_of_pods")]
    return [
        *(expressions.over_time(one, (0, 300)) for one in moments),
        expressions.memory_peak_before(value, pods, 60),
        expressions.cpu(value, pods),
        expressions.throttled(value, pods),
    ]


async def of_nodes(value: str) -> list[str]:
    tolerations = [{"key": value, "effect": value, "value": value}, {"key": value, "operator": "Exists"}]
    requests = {"cpu": "1", "example.com/x": "1"}
    containers = [{"name": "app", "resources": {"requests": requests}}]
    room = expressions.room_on_nodes({"spec": {"containers": containers, "tolerations": tolerations}})
    assert isinstance(room, str)
    return [room]


async def of_revisions(value: str) -> list[str]:
    metrics = ScriptedMetrics()
    named = [
        {**one, "metadata": {**one["metadata"], "name": f"{value}{number}"}}
        for number, one in enumerate(SCENE.workload.replica_sets)
    ]
    of = replace(SCENE, metrics=metrics, target=replace(TARGET, namespace=value))
    await collect("rollout", replace(of, workload=replace(of.workload, replica_sets=named)))
    return metrics.asked


Asking = Callable[[str], Awaitable[list[str]]]
OWN: Mapping[str, Asking] = {
    "measures": of_measures,
    "resources": of_resources,
    "nodes": of_nodes,
    "revisions": of_revisions,
}
MAX_NAME = 57
"""Of an owner's name this much and a dash is a pod's; more of it is not compared here."""


def read_all(made: Sequence[str]) -> list[Query]:
    return [query_of(one) for one in made]


def intrusions(value: str, made: Sequence[str], harmless: Sequence[Query]) -> Iterator[str]:
    """What is not as it was written, when the value stands where the harmless one does."""
    if len(made) != len(harmless):
        yield f"{len(made)} expressions instead of {len(harmless)}"
    for one, wanted in zip(made, harmless, strict=False):
        try:
            found = query_of(one)
            if found.shape != wanted.shape:
                yield f"other tokens: {one}"
            elif any(not is_value(value, *pair) for pair in zip(found.matchers, wanted.matchers, strict=True)):
                yield f"another value: {one}"
        except ValueError as error:
            yield f"{error}: {one}"


def is_value(value: str, found: tuple[str, str, str], wanted: tuple[str, str, str]) -> bool:
    """Whether a matcher is the harmless one with the value in it. Raises ValueError for another expression."""
    (name, operator, text), (wanted_name, wanted_operator, pattern) = found, wanted
    if operator not in ("=~", "!~") or MARK not in pattern:
        return (name, operator, text) == (wanted_name, wanted_operator, pattern.replace(MARK, value))
    before, _, after = pattern.partition(MARK)
    inner = text.removeprefix(before).removesuffix(after)
    is_around = text == f"{before}{inner}{after}"
    return is_around and (name, operator) == (wanted_name, wanted_operator) and text_of_regex(inner) == value


async def test_a_value_in_a_rules_query_is_one_string_and_adds_no_matcher() -> None:
    harmless = read_all(await of_the_rule(MARK))
    assert len(harmless[0].matchers) == 7
    found = [one for value in HOSTILE for one in intrusions(value, await of_the_rule(value), harmless)]
    assert found[:FEW] == []


async def test_between_backquotes_a_value_stands_as_it_is_or_nothing_is_asked() -> None:
    harmless = read_all(await of_the_rule(MARK, IN_BACKQUOTES))
    for value in HOSTILE[::4]:
        made = await of_the_rule(value, IN_BACKQUOTES)
        assert list(intrusions(value, made, [] if "`" in value else harmless)) == []


@pytest.mark.parametrize("name", OWN)
async def test_a_name_in_an_expression_of_our_own_is_one_string_and_adds_no_matcher(name: str) -> None:
    ask = OWN[name]
    values = [value[:MAX_NAME] for value in HOSTILE[list(OWN).index(name) :: len(OWN)]]
    harmless = read_all(await ask(MARK))
    found = [one for value in values for one in intrusions(value, await ask(value), harmless)]
    assert harmless
    assert len(values) >= 2500
    assert found[:FEW] == []


async def test_a_filter_for_alertmanager_is_one_matcher_with_the_value() -> None:
    """As its two parsers read it; over HTTP, so for some hundreds."""
    server = ScriptedServer()
    await server.start()
    server.answers(Answer(body=[]))
    client = AlertmanagerApi([server.url])
    try:
        for number, value in enumerate(HOSTILE[::25]):
            name = FILTERED_BY[number % 2]
            await client.look_up(alert(labels={name: value}))
            found = parse_matchers(server.asked[-1].query["filter"])
            assert [(one.name, one.op.value, one.value) for one in found] == [(name, "=", value)]
    finally:
        await client.close()
        await server.stop()


@pytest.mark.parametrize(
    ("module", "escaper"),
    [(one, "label_value") for one in (queries, measures, expressions, rollout)]
    + [(one, "regex_literal") for one in (queries, measures, expressions)],
    ids=lambda one: one if isinstance(one, str) else one.__name__.rpartition(".")[2],
)
async def test_the_control_a_value_that_is_only_put_in_quotes_is_found_out(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, escaper: str
) -> None:
    asks = [of_the_rule, of_measures, of_resources, of_nodes, of_revisions]
    harmless = [read_all(await ask(MARK)) for ask in asks]
    monkeypatch.setattr(module, escaper, '"{}"'.format if escaper == "label_value" else unchanged)
    value = 'x"} or vector(1) #' if escaper == "label_value" else ".*"
    assert any([list(intrusions(value, await ask(value), one)) for ask, one in zip(asks, harmless, strict=True)])


# -- paths


def test_a_name_from_outside_is_one_segment_of_a_path_or_none() -> None:
    kept = 0
    for value in HOSTILE:
        try:
            path = path_of("Pod", namespace="shop", name=value)
        except ValueError:
            continue
        kept += 1
        assert path.split("/") == ["", "api", "v1", "namespaces", "shop", "pods", value]
        assert urlsplit(path).path == path
        assert value not in ("", ".", "..")
    assert kept > 0


# -- the log

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
    values = [value for value in HOSTILE if len(value) <= telemetry.MAX_VALUE_LENGTH]
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
    monkeypatch.setattr(telemetry, "_escaped", lambda value: value)
    assert list(forged(*await logged(HOSTILE[:400], "logfmt"), fields_of))
    raw = partial(structlog.processors.JSONRenderer, ensure_ascii=False)
    monkeypatch.setattr(structlog.processors, "JSONRenderer", raw)
    assert list(forged(*await logged(HOSTILE[:400], "json"), json.loads))


def test_the_control_a_line_whose_quotes_do_not_close_is_found_out() -> None:
    line = 'level=info event=x detail="x \\\\" forged="y"'
    assert list(forged([line], 1, fields_of)) == ["fields ['forged']"]


# -- the command line

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


def turned(values: Sequence[str], count: int) -> Iterator[list[str]]:
    """The values, so many at a time; the last of them with the first again."""
    for first in range(0, len(values), count):
        chunk = list(values[first : first + count])
        yield chunk + list(values[: count - len(chunk)])


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


# -- pages

PER_STORY = 250


def story_of(values: Sequence[str]) -> Story:
    """An incident with the values wherever somebody else writes, names of labels among them."""
    some = iter(values * 2)
    labels = LABELS | {f"l{number}": one for number, one in enumerate(values)}
    named = {f"{number}{one}": "x" for number, one in enumerate(values)}
    facts = [{"kind": "log", "summary": one, "facts": {"text": f"{one}\n{one}"}} for one in values[:15]]
    records = [
        received(1, labels=labels, annotations=named, generator_url=next(some)),
        planned(
            2,
            evidence=list(values),
            detail=next(some),
            cause=next(some),
            plan={**PLAN, "summary": next(some), "before": {"args": values[::4]}, "after": {next(some): next(some)}},
            rule_text={"name": "crash-loop", "description": next(some)},
            runbook_url=next((one for one in values if one.startswith("http")), values[0]),
            contact=next(some),
        ),
        step(3, 0, "action.applied", action="rollback", plan={**PLAN, "summary": next(some)}, detail=next(some)),
        step(4, 1, "outcome.failed", evidence={**CHECKS, "pods-ready": {"look": "failed", "detail": next(some)}}),
        step(5, 1, "decision.escalated", reason="not-verified", detail=next(some), advice=next(some)),
        *(
            record(6 + number, 2, "approval.denied", by=one, comment=one, detail=one, rule="crash-loop")
            for number, one in enumerate(values[:15])
        ),
    ]
    diagnoses = {1: {"cause": "code-error", "findings": facts}}
    return story(records, diagnoses=diagnoses, title=next(some), target=next(some))


def pages_of(values: Sequence[str]) -> list[Page]:
    """The page of an incident and of a report."""
    form, made, rows = Html(), story_of(values), [(NOON, one, one) for one in values]
    parts = (form.begin(head(title=values[0])), form.incident(made, head(), is_first=True), form.end(head()))
    sections = [Section(values[1], ("when", values[2], "x"), rows, "Nothing.", values[3])]
    numbers = [(values[4], values[5])]
    report = Report(values[6], values[7], numbers, sections, {}, NOON, "1.2.3")
    return [Page(one.decode()) for one in (b"".join(parts), HtmlReport().write(report, tz=None))]


def outbreaks(made: Sequence[Page], harmless: Sequence[Page]) -> Iterator[str]:
    """What in the pages is more than text. Lines of a difference are a span each, and differ with what they hold."""
    for one, other in zip(made, harmless, strict=True):
        yield from one.dangers
        for kind in (one.elements - other.elements, other.elements - one.elements):
            yield from (name for name in kind if name != "span")
        more = one.attributes - other.attributes
        yield from (f"{tag} {name}" for tag, name in more if (tag, name) != ("span", "class"))
        if one.acting:
            yield f"{one.acting[:FEW]!r} is shown as it is"


def test_a_value_in_a_page_is_text() -> None:
    found, missing = [], []
    for values in turned(HOSTILE, PER_STORY):
        made = pages_of(values)
        found += list(outbreaks(made, pages_of([twin(one) for one in values])))
        words = made[0].words
        missing += [one for one in values if one.isprintable() and len(one) < 2000 and one not in words]
    assert found[:FEW] == []
    assert missing[:FEW] == [], "what looks like a template is printed as it was written"


def test_the_control_a_page_without_escapes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(HTML)
    harmless = pages_of([twin(one) for one in values])
    monkeypatch.setattr(pages, "_harmless", lambda value: Markup(value) if isinstance(value, str) else value)
    pages._environment.cache_clear()
    try:
        found = set(outbreaks(pages_of(values), harmless))
    finally:
        pages._environment.cache_clear()
    assert {"<script>", "onerror", "onclick", "comment"} <= found


def test_a_cell_of_a_table_is_no_formula() -> None:
    assert [value for value in HOSTILE if safe(value).lstrip(" ")[:1] in tuple("=+-@\t\r\n\uff1d")] == []


# -- templates

ADVICE = "{finding.text}|{target}|{finding.other}|{cause}|{finding.nothing}"
ADVISING = a_rule(respond=[{"do": "recommend", "advice": ADVICE}])
CASE = case()


def advised(value: str, other: str) -> str | None:
    findings = (Finding("log", "", {"text": value}), Finding("event", "", {"other": other, "text": "later"}))
    answer = make_plan(ADVISING, replace(CASE, findings=findings)).answer
    assert isinstance(answer, NoPlan)
    return answer.advice


def test_what_was_filled_in_is_not_filled_in_again() -> None:
    for value, other in zip(HOSTILE, HOSTILE[1:] + HOSTILE[:1], strict=True):
        assert advised(value, other) == f"{value}|{TARGET}|{other}|code-error|(not known)"


def test_the_control_one_placeholder_after_the_other_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def repeatedly(row: Any, of: Any) -> str:
        text = row.advice
        for finding in of.findings:
            for name, value in finding.facts.items():
                text = text.replace(f"{{finding.{name}}}", str(value))
        return str(text)

    monkeypatch.setattr(planning, "_fill", repeatedly)
    assert str(advised("{finding.other}", "x")).startswith("x|")


# -- the service

PAGE = b"GET /api/v1/export?incident=%d&format=html HTTP/1.1\r\nHost: x\r\n\r\n"
SENT = 400
PER_BODY = 50
TAKES_ALL = """rules:
  - name: all
    match: ['alertname=~"(?s).+"']
    severity: 1
    respond: [{do: escalate}]
"""


def test_a_running_service_keeps_them_as_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the webhook, to a decision on each; poisoned ones among them are set aside, and say so in the log."""
    (tmp_path / "rules.yaml").write_text(TAKES_ALL, encoding="ascii")
    step_by = len(HOSTILE) // SENT
    alerts = [
        element(labels={"alertname": one, "namespace": two, "pod": two, three: one}, annotations={two: three})
        for one, two, three in zip(HOSTILE[::step_by], HOSTILE[1::step_by], HOSTILE[2::step_by], strict=True)
    ]
    poisoned = [element(labels={"alertname": one}) for one in POISONED[::10]]
    with empty_cluster() as cluster:
        flags = {"rules": str(tmp_path / "rules.yaml"), "kube_server": cluster}
        with served(tmp_path, **flags) as service:
            for first in range(0, len(alerts), PER_BODY):
                made = body(*alerts[first : first + PER_BODY], *poisoned[first // 8 : first // 8 + 6])
                assert asked(service.port, posting(made)).status == 200
            service.begin_deciding()
            wait_for_decisions(service, count=SENT, seconds=60)
            url = f"http://127.0.0.1:{service.port}"
            assert list_incidents(url, "simple", limit=100) == 0
            for number in range(1, 60, 3):
                assert show_incident(url, f"inc-{number}", "simple") == 0
                page = asked(service.port, PAGE % number)
                text = page.body.decode()
                assert (page.status, Page(text).dangers, acting(text)) == (200, [], "")
            assert acting(capsys.readouterr().out) == ""
            assert service.metric("remediator_alerts_quarantined_total") == 48
            assert service.faults() == []
            log = service.log_text()
    assert acting(log) == ""
    assert log.count("\n") == len([json.loads(line) for line in log.split("\n") if line])
