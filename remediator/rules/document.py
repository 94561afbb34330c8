"""A YAML file as plain data with the place of every key and value. Called by `load.py`, and for files of others.

YAML 1.2 by ruamel's parser; the data is built here from its events, so that every duplicate key is found and places are
exact. Refused: anchors and aliases (332 bytes can become 10^7 leaves), tags, directives, merge keys, bare dates, more
than one document, and what is too large.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver

from remediator.errors import cut
from remediator.model import Json
from remediator.rules.report import Level, Problem

MAX_BYTES = 1024 * 1024
MAX_NODES = 100_000
MAX_DEPTH = 20
_KEY = "?"
"""Path step of a key itself, and of a value that has no place of its own."""
_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")

Spot = tuple[int, int]
"""Line and column, both from 0."""
Path = tuple[str | int, ...]


@dataclass(slots=True)
class Source:
    """One file: its data, where each part of it stands, and what is wrong with it so far."""

    file: str
    lines: list[str] = field(default_factory=list)
    data: Json = None
    values: dict[Path, Spot] = field(default_factory=dict)
    keys: dict[Path, Spot] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def complain(
        self, spot: Spot, text: str, hint: str = "", *, code: str = "wrong-value", level: Level = Level.ERROR
    ) -> None:
        line, column = spot
        source = self.lines[line] if line < len(self.lines) else ""
        self.problems.append(Problem(self.file, line + 1, column + 1, text, hint, source, code, level))

    def has_problem_at(self, spot: Spot) -> bool:
        return any((problem.line - 1, problem.column - 1) == spot for problem in self.problems)

    def spot(self, path: Path, *, of_key: bool = False) -> Spot:
        """Where a part stands, or the nearest part around it that does."""
        for length in range(len(path), -1, -1):
            places = (self.keys, self.values) if of_key and length == len(path) else (self.values,)
            for place in places:
                if path[:length] in place:
                    return place[path[:length]]
        return (0, 0)


def read_source(file: str, raw: bytes) -> Source:
    """The file as data. Never raises: what is wrong is in `problems`, and `data` holds what could be read."""
    return _read(file, raw, _Builder)


def read_foreign(file: str, raw: bytes) -> Source:
    """A file that other programs read as well, such as Alertmanager's: anchors, aliases, merge keys, tags and several
    documents are allowed. `data` is the list of its documents, and paths begin with the number of one. Never raises."""
    return _read(file, raw, _ForeignBuilder)


def _read(file: str, raw: bytes, kind: type[_Builder]) -> Source:
    source = Source(file)
    if len(raw) > MAX_BYTES:
        source.complain((0, 0), f"file too large: {len(raw)} bytes, at most {MAX_BYTES}", "split it", code="too-large")
        return source
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", errors="replace")
        source.lines = before.split("\n")
        text, hint = f"not UTF-8: byte 0x{raw[error.start]:02x}", "save the file as UTF-8"
        source.complain(_spot_in(before, len(before)), text, hint, code="not-utf8")
        return source
    source.lines = [line.removesuffix("\r") for line in text.split("\n")]
    forbidden = _FORBIDDEN.search(text)
    if forbidden is not None:
        what = f"control character U+{ord(forbidden[0]):04X}"
        source.complain(_spot_in(text, forbidden.start()), what, "take it away", code="control-character")
        return source
    # The scanner that keeps no comments takes two thirds of the time; the resolver is that of YAML 1.2.
    events = YAML(typ="safe", pure=True).parse(text)
    try:
        source.data = kind(source, events, YAML(typ="rt").resolver).documents()
    except _TooLarge:
        source.data = None
    except YAMLError as error:
        source.data = None
        _complain_of_syntax(source, error)
    return source


def _spot_in(text: str, at: int) -> Spot:
    return text.count("\n", 0, at), at - text.rfind("\n", 0, at) - 1


def _complain_of_syntax(source: Source, error: YAMLError) -> None:
    mark = (error.problem_mark or error.context_mark) if isinstance(error, MarkedYAMLError) else None
    spot = _spot_of(mark) if mark is not None else (0, 0)
    line = source.lines[spot[0]] if spot[0] < len(source.lines) else ""
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation:
        what = "tab in the indentation; YAML takes spaces only"
        source.complain((spot[0], indentation.index("\t")), what, code="yaml-tab")
        return
    parts = (error.context, error.problem) if isinstance(error, MarkedYAMLError) else (str(error),)
    what = "not YAML: " + cut(", ".join(part for part in parts if part))
    source.complain(spot, what, "look for a bracket or a quote that is not closed above", code="yaml-syntax")


def _spot_of(mark: StringMark) -> Spot:
    return mark.line, mark.column


class _TooLarge(Exception):
    """The rest of the file is not looked at."""


class _Builder:
    """Data from the parser's events, in one pass, complaining of all that is YAML but not for rules."""

    def __init__(self, source: Source, events: Iterator[Event], resolver: VersionedResolver) -> None:
        self.source = source
        self.events = events
        self.resolver = resolver
        self.nodes = 0

    def documents(self) -> Json:
        """The first document; a second one is complained of. None when nothing may be used."""
        data: Json = None
        count = 0
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                count += 1
                if count == 2:
                    what = "a second document; write one file for each"
                    self.source.complain(_spot_of(event.start_mark), what, code="second-document")
                    return None
                if event.version or event.tags:
                    spot, hint = _spot_of(event.start_mark), "take the line away"
                    self.source.complain(spot, "YAML directives are not allowed", hint, code="yaml-directive")
                data = self.built(next(self.events), ())
        return data

    def built(self, event: Event, path: Path) -> Json:
        spot = _spot_of(event.start_mark)
        self.source.values[path] = spot
        if isinstance(event, AliasEvent):
            self.source.complain(spot, f"aliases are not allowed: *{event.anchor}; write it out", code="yaml-alias")
            return None
        if isinstance(event, MappingStartEvent | SequenceStartEvent | ScalarEvent):
            self.check(event, spot, len(path))
        match event:
            case MappingStartEvent():
                return self.mapping(path)
            case SequenceStartEvent():
                items: list[Json] = []
                while not isinstance(event := next(self.events), SequenceEndEvent):
                    items.append(self.built(event, (*path, len(items))))
                return items
            case ScalarEvent():
                return self.scalar(event)
            case _:
                raise AssertionError(f"ruamel.yaml gave a {type(event).__name__} for a node")

    def check(self, event: MappingStartEvent | SequenceStartEvent | ScalarEvent, spot: Spot, depth: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            limit = f"more than {MAX_NODES} nodes" if self.nodes > MAX_NODES else f"nested deeper than {MAX_DEPTH}"
            self.source.complain(spot, f"{limit}; split the file", code="too-large")
            raise _TooLarge
        if event.anchor:
            self.source.complain(spot, f"anchors are not allowed: &{event.anchor}", "write it out", code="yaml-anchor")
        if event.tag:
            what = f"tags are not allowed: {cut(str(event.tag), max_length=40)}"
            self.source.complain(spot, what, "take it away", code="yaml-tag")

    def mapping(self, path: Path) -> Json:
        source = self.source
        built: dict[str | int, Json] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            spot = _spot_of(event.start_mark)
            problems = len(source.problems)
            key = self.built(event, (*path, _KEY))
            if isinstance(key, bool) or not isinstance(key, str | int):
                if len(source.problems) == problems:
                    source.complain(spot, "a field name must be text", "put it in quotes", code="field-not-text")
                self.built(next(self.events), (*path, _KEY))
            elif key in built:
                first = source.keys[(*path, key)][0] + 1
                text = f"duplicate field '{key}'"
                source.complain(spot, text, f"first given in line {first}", code="duplicate-field")
                self.built(next(self.events), (*path, _KEY))
            else:
                source.keys[(*path, key)] = spot
                built[key] = self.built(next(self.events), (*path, key))
        return built

    def scalar(self, event: ScalarEvent) -> Json:
        """The value as YAML 1.2 reads it; what it has no use for in rules is complained of."""
        text, spot, source = event.value, _spot_of(event.start_mark), self.source
        tag = self.resolver.resolve(ScalarNode, text, event.implicit)
        match str(tag).removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" if len(text) <= 20:
                digits = text.replace("_", "")
                return int(digits, 10) if digits.lstrip("+-").isdigit() else int(digits, 0)
            case "float" if math.isfinite(number := _float(text)):
                return number
            case "int" | "float":
                what = f"not a number that can be used: {cut(text, max_length=40)}"
                source.complain(spot, what, "write digits, or put it in quotes", code="bad-number")
            case "timestamp":
                source.complain(spot, f"a date without quotes: {text}", "put it in quotes", code="bare-date")
                return text
            case "merge":
                source.complain(spot, "merge keys (<<) are not allowed; write it out", code="merge-key")
            case _:
                return text
        return None


class _ForeignBuilder(_Builder):
    """As YAML 1.1 programs in Go read it, as far as their own files need it."""

    def __init__(self, source: Source, events: Iterator[Event], resolver: VersionedResolver) -> None:
        super().__init__(source, events, resolver)
        self.anchors: dict[str, tuple[Json, Path]] = {}

    def documents(self) -> Json:
        data: list[Json] = []
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                data.append(self.built(next(self.events), (len(data),)))
        return data

    def built(self, event: Event, path: Path) -> Json:
        if isinstance(event, AliasEvent):
            return self.repeated(event, path)
        value = super().built(event, path)
        if anchor := getattr(event, "anchor", None):
            self.anchors[anchor] = value, path
        return value

    def repeated(self, event: AliasEvent, path: Path) -> Json:
        """What the anchor stands before; its parts stand where they were written."""
        if event.anchor not in self.anchors:
            hint = f"write &{event.anchor} before what it means"
            self.source.complain(_spot_of(event.start_mark), f"unknown alias *{event.anchor}", hint, code="yaml-alias")
            return None
        value, first = self.anchors[event.anchor]
        self.move_spots(first, path)
        return value

    def move_spots(self, first: Path, path: Path) -> None:
        for spots in (self.source.values, self.source.keys):
            found = {(*path, *at[len(first) :]): spot for at, spot in spots.items() if at[: len(first)] == first}
            self.nodes += len(found)
            if self.nodes > MAX_NODES:
                text = f"more than {MAX_NODES} nodes with aliases written out; split the file"
                self.source.complain(self.source.spot(first), text, code="too-large")
                raise _TooLarge
            spots.update(found)

    def check(self, event: MappingStartEvent | SequenceStartEvent | ScalarEvent, spot: Spot, depth: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > 2 * MAX_DEPTH:
            self.source.complain(spot, "too many nodes, or nested too deep; split the file", code="too-large")
            raise _TooLarge

    def mapping(self, path: Path) -> Json:
        built = super().mapping(path)
        merged = built.pop(_MERGE, None)
        for number, more in enumerate(merged if isinstance(merged, list) else [merged]):
            where: Path = (*path, _MERGE, number) if isinstance(merged, list) else (*path, _MERGE)
            for key, value in more.items() if isinstance(more, dict) else ():
                if key not in built:
                    built[key] = value
                    self.move_spots((*where, key), (*path, key))
        return built

    def scalar(self, event: ScalarEvent) -> Json:
        tag = str(self.resolver.resolve(ScalarNode, event.value, event.implicit)).removeprefix(_TAG)
        if tag in ("timestamp", "merge") or (tag in ("int", "float") and len(event.value) > 20):
            return event.value
        return super().scalar(event)


def _float(text: str) -> float:
    try:
        return float(text.replace("_", ""))
    except ValueError:  # .inf and .nan, as YAML writes them
        return math.nan
