"""Rule files -> `RuleSet`, whole or not at all. Called at start, at reload and by `check rules`.

All files are read and every error is collected before anything is refused, so that one run shows them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path as FilePath

from pydantic import ValidationError

from remediator.guards.freeze import Freeze
from remediator.model import Json
from remediator.rules.calendar import MAX_BYTES, BadCalendar, CalendarFreeze, read_calendar
from remediator.rules.document import Path, Source, read_source
from remediator.rules.escalation import DEFAULT, ContactRow, escalation_matrix
from remediator.rules.lint import Placed, lint_contacts, lint_order, lint_rule
from remediator.rules.patterns import LogPatternRow, problems_of
from remediator.rules.report import RulesError, report
from remediator.rules.ruleset import Place, RuleSet, rule_set
from remediator.rules.schema import Document, Rule
from remediator.rules.severity import SeverityRow
from remediator.rules.shipped import shipped_rules
from remediator.rules.wording import complain, shown

LOG_PATTERNS = "log-patterns.yaml"


@dataclass(slots=True)
class _Reading:
    """What has been read so far. `count` is of all rules; `names` and `given_in` say where each name, and each field
    that one file may give, was first given; `is_whole` is False once a file's own fields could not be read."""

    rules: list[Placed] = field(default_factory=list)
    severities: Mapping[int, SeverityRow] = field(default_factory=dict)
    severity_labels: Mapping[str, int] = field(default_factory=dict)
    contacts: Mapping[str, ContactRow] = field(default_factory=dict)
    contact_places: Mapping[str, Place] = field(default_factory=dict)
    pace: Mapping[int, timedelta] = field(default_factory=dict)
    given_in: dict[str, str] = field(default_factory=dict)
    freezes: list[Freeze | CalendarFreeze] = field(default_factory=list)
    calendars: list[FilePath] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    patterns: dict[str, LogPatternRow] = field(default_factory=dict)
    pattern_names: dict[str, str] = field(default_factory=dict)
    count: int = 0
    is_whole: bool = True


def load_rules(*paths: FilePath) -> RuleSet:
    """The table in these files; a folder stands for its `*.yaml`, by name. Raises RulesError (a ConfigError).

    The shipped log patterns are always in force: they are what keeps a release from being blamed for others' faults.
    """
    sources = list(_sources(paths))
    reading = _Reading(patterns=_shipped_patterns(sources))
    for source in sources:
        if source.data is not None:
            _add_document(reading, source)
    lint_order(reading.rules)
    if all(source.data is not None for source in sources) and reading.is_whole:
        lint_contacts(reading.rules, reading.contacts)
    if not reading.count and not any(source.problems for source in sources):
        hint = "add rules: [...]"
        sources[0].complain((0, 0), "no rules: nothing would ever be done", hint, code="no-rules")
    problems = [
        problem
        for source in sources
        for problem in sorted(source.problems, key=lambda problem: (problem.line, problem.column))
    ]
    if problems:
        text = report(problems, rules=reading.count)
        raise RulesError(text, problems=problems, calendars=reading.calendars)
    places = {name: spots for source in sources for name, spots in _places(source, reading.rules)}
    return rule_set(
        [placed.rule for placed in reading.rules],
        severities=reading.severities,
        severity_labels=reading.severity_labels,
        places=places,
        log_patterns=reading.patterns.values(),
        freezes=reading.freezes,
        calendars=reading.calendars,
        escalation=escalation_matrix(reading.contacts, reading.pace),
        contact_places=reading.contact_places,
    )


def _shipped_patterns(sources: Sequence[Source]) -> dict[str, LogPatternRow]:
    """By name; their file is read here unless it is a source. A test tries their examples, not every start."""
    path = shipped_rules() / LOG_PATTERNS
    read = next((source for source in sources if source.file == str(path) and source.data is not None), None)
    document = Document.model_validate((read or read_source(str(path), path.read_bytes())).data)
    return {row.name: row for row in document.log_patterns}


def _sources(paths: tuple[FilePath, ...]) -> Iterator[Source]:
    for path in paths:
        files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not files:
            empty = Source(str(path))
            empty.complain((0, 0), "no *.yaml file in this folder", "name the folder of the rules", code="unreadable")
            yield empty
        for file in files:
            try:
                source = read_source(str(file), file.read_bytes())
            except OSError as error:
                source = Source(str(file))
                text, hint = f"cannot be read: {error.strerror or error}", "look at the path and at who may read it"
                source.complain((0, 0), text, hint, code="unreadable")
            yield source


def _add_document(reading: _Reading, source: Source) -> None:
    data = source.data
    if not isinstance(data, dict):
        text = f"expected fields (rules: ...), got {shown(data)}"
        source.complain(source.spot(()), text, "begin the file with rules:", code="wrong-type")
        return
    rules = data.get("rules", [])
    without_rules = {key: value for key, value in data.items() if key != "rules"}
    try:
        document = Document.model_validate(without_rules)
    except ValidationError as error:
        complain(source, error, Document, at=())
        reading.is_whole = False
    else:
        if document.severities and _is_first(reading, source, "severities"):
            reading.severities = document.severities
        if document.severity_labels and _is_first(reading, source, "severity_labels"):
            reading.severity_labels = document.severity_labels
        if document.pace and _is_first(reading, source, "pace"):
            reading.pace = document.pace
        _add_contacts(reading, source, document.contacts)
        _add_patterns(reading, source, document.log_patterns)
        _add_freezes(reading, source, document.freezes)
    if not isinstance(rules, list):
        text, hint = f"expected a list of rules, got {shown(rules)}", "begin each with '- name:'"
        source.complain(source.spot(("rules",)), text, hint, code="wrong-type")
        return
    for position, raw in enumerate(rules):
        _add_rule(reading, source, raw, ("rules", position))


def _is_first(reading: _Reading, source: Source, name: str) -> bool:
    """Whether a field that one file may give is given here for the first time; a second time is a mistake."""
    spot = source.spot((name,), of_key=True)
    if name in reading.given_in:
        source.complain(spot, f"'{name}' is given twice", f"first in {reading.given_in[name]}", code="given-twice")
        return False
    reading.given_in[name] = f"{source.file}:{spot[0] + 1}"
    return True


def _add_contacts(reading: _Reading, source: Source, contacts: Mapping[str, ContactRow]) -> None:
    if not contacts or not _is_first(reading, source, "contacts"):
        return
    reading.contacts = contacts
    spots = {name: source.spot(("contacts", name), of_key=True) for name in contacts}
    reading.contact_places = {name: Place(source.file, line + 1, column + 1) for name, (line, column) in spots.items()}
    if DEFAULT not in contacts:
        hint = f"add {DEFAULT}: {{tell: [...]}}"
        spot = source.spot(("contacts",), of_key=True)
        source.complain(spot, f"no row '{DEFAULT}', for whatever names no row", hint, code="contact-no-default")


def _add_freezes(reading: _Reading, source: Source, freezes: Sequence[Freeze]) -> None:
    for position, freeze in enumerate(freezes):
        if freeze.calendar is None:
            reading.freezes.append(freeze)
            continue
        file = FilePath(source.file).parent / freeze.calendar
        reading.calendars.append(file)
        try:
            with file.open("rb") as opened:
                reading.freezes.append(read_calendar(opened.read(MAX_BYTES + 1), freeze))
        except (OSError, BadCalendar) as error:
            why = f"cannot be read: {error.strerror or error}" if isinstance(error, OSError) else str(error)
            spot = source.spot(("freezes", position, "calendar"))
            source.complain(spot, f"calendar {freeze.calendar}: {why}", code="bad-calendar")


def _add_patterns(reading: _Reading, source: Source, rows: tuple[LogPatternRow, ...]) -> None:
    """A pattern takes the place of the shipped one of its name; two of one name in the files are a mistake."""
    for position, row in enumerate(rows):
        path: Path = ("log_patterns", position)
        spot = source.spot((*path, "name"))
        if row.name in reading.pattern_names:
            first = reading.pattern_names[row.name]
            text = f"a second log pattern named '{row.name}'"
            source.complain(spot, text, f"first in {first}", code="duplicate-name")
            continue
        reading.pattern_names[row.name] = f"{source.file}:{spot[0] + 1}"
        if reading.patterns.get(row.name) != row:  # the shipped ones are tried by a test
            for where, text in problems_of(row):
                source.complain(source.spot((*path, *where)), text, code="bad-log-pattern")
        reading.patterns[row.name] = row


def _add_rule(reading: _Reading, source: Source, raw: Json, path: Path) -> None:
    reading.count += 1
    if isinstance(raw, dict) and isinstance(name := raw.get("name"), str):
        spot = source.spot((*path, "name"))
        if name in reading.names:
            text, hint = f"a second rule named '{name}'", f"first in {reading.names[name]}"
            source.complain(spot, text, hint, code="duplicate-name")
        reading.names.setdefault(name, f"{source.file}:{spot[0] + 1}")
    try:
        rule = Rule.model_validate(raw)
    except ValidationError as error:
        complain(source, error, Rule, at=path)
        return
    placed = Placed(rule, source, path)
    lint_rule(placed)
    reading.rules.append(placed)


def _places(source: Source, rules: list[Placed]) -> Iterator[tuple[str, dict[Path, Place]]]:
    """For each rule of the source its name, and where its parts stand, by path inside the rule."""
    inside: dict[Path, dict[Path, Place]] = {}
    for path, (line, column) in source.values.items():
        inside.setdefault(path[:2], {})[path[2:]] = Place(source.file, line + 1, column + 1)
    for placed in rules:
        if placed.source is source:
            yield placed.rule.name, inside[placed.path]
