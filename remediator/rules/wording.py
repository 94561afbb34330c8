"""A failed validation of a rule in words for its author: what was expected, what was written. Called by `load.py`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from remediator.actions import ACTIONS
from remediator.model import Json
from remediator.rules.document import Path, Source
from remediator.rules.names import UNKNOWN_NAME
from remediator.rules.report import did_you_mean
from remediator.rules.schema import GuardParameters
from remediator.rules.severity import DEFAULT_LABELS
from remediator.units import format_duration


def complain(source: Source, error: ValidationError, model: type[BaseModel], *, at: Path) -> None:
    """Add one problem to `source` for each error; `at` is where in the file the validated part stands."""
    for details in error.errors(include_url=False):
        where = details["loc"]
        is_key = bool(where) and where[-1] == "[key]"
        path: Path = (*at, *(where[:-1] if is_key else where))
        match details["type"]:
            case "extra_forbidden":
                parent = _model_at(model, where[:-1], source, at)
                what = "guard" if parent is GuardParameters else "field"
                known = _fields(parent)
                hint = did_you_mean(where[-1], known) if known or parent is None else "nothing can be set here"
                hint = hint or f"known: {', '.join(known[:MAX_LISTED])}" + (", ..." if len(known) > MAX_LISTED else "")
                text = f"unknown {what} '{where[-1]}'"
                source.complain(source.spot(path, of_key=True), text, hint, code="unknown-field")
            case "missing":
                inside = f" in {where[-2]}" if len(where) > 1 and isinstance(where[-2], str) else ""
                text = f"missing field '{where[-1]}'{inside.replace('parameters', 'with')}"
                source.complain(source.spot(path[:-1]), text, f"add {where[-1]}:", code="missing-field")
            case "too_short" if details["input"]:
                pass  # counted without the entries that are complained of themselves
            case "too_short" if where == ("match",):
                text, hint = "empty match: it would match every alert", "add one, like 'alertname=\"KubePodNotReady\"'"
                source.complain(source.spot(path), text, hint, code="match-everything")
            case _ if details["input"] is None and source.has_problem_at(source.spot(path)):
                pass  # nothing stands there because what did was refused already
            case _:
                name = next((step for step in reversed(where) if isinstance(step, str)), "value")
                text, hint = _worded(details, name)
                if not hint and "; " not in text and where[:1] == ("match",):
                    hint = _MATCHERS["bad regular" in text]
                source.complain(source.spot(path, of_key=is_key), text, hint, code=_code(details["type"]))


MAX_LISTED = 12
_MATCHERS = (
    'write label="value" with one of = != =~ !~',
    "write RE2, as Alertmanager reads it; (, [, * and . are special",
)
"""What to write in place of a matcher, and of its expression."""


def _worded(details: ErrorDetails, name: str) -> tuple[str, str]:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == UNKNOWN_NAME:
        return details["msg"], did_you_mean(context["name"], context["known"].split(" "))
    if kind == "value_error":
        return str(context["error"]), _severity(value) if name == "severity" else ""
    if kind in ("enum", "literal_error"):
        choices = re.findall(r"'([^']*)'", context["expected"])
        return f"unknown {name} {shown(value)}", did_you_mean(value, choices)
    if kind == "string_pattern_mismatch":
        expected = _SHAPES.get(context["pattern"], f"text like {context['pattern']}")
        return f"expected {expected}, got {shown(value)}", _reshaped(context["pattern"], value)
    if kind in _EXPECTED:
        hint = _how(kind, value)
        return f"expected {_EXPECTED[kind]}, got {shown(value)}", hint
    if kind == "too_short":
        return "must not be empty", "give at least one"
    if kind in _BOUND:
        return f"must be {_BOUND[kind](context)}, got {shown(value)}", _share(context.get("le"), value)
    return details["msg"], ""


def _code(kind: str) -> str:
    if kind in (UNKNOWN_NAME, "enum", "literal_error"):
        return "unknown-name"
    return "empty" if kind == "too_short" else "wrong-value"


def _how(kind: str, value: object) -> str:
    """How to write what was meant, where that can be told."""
    match kind, value:
        case "string_type", int() | float():
            return "put it in quotes"
        case "tuple_type" | "list_type", str() | int() | float():
            return "put it in brackets: [...]"
    return ""


def _severity(value: object) -> str:
    """A severity in the words of alerts."""
    if not isinstance(value, str):
        return ""
    word = value.lower()
    level = DEFAULT_LABELS.get(word)
    return f"{word} is {level}, unless severity_labels says otherwise" if level else did_you_mean(word, ["from_label"])


def _share(most: object, value: object) -> str:
    """A percentage where a share is asked for."""
    is_percent = most == 1 and isinstance(value, int | float) and 1 < value <= 100
    return f"a share of 1: write {value / 100:g} for {value:g} %" if is_percent else ""  # type: ignore[operator]


def _reshaped(pattern: str, value: object) -> str:
    """A name as it may be written."""
    slug = re.sub("[^a-z0-9]+", "-", str(value).lower()).strip("-")
    return f"write '{slug}'" if pattern == _NAME and slug else ""


_NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
_SHAPES: Mapping[str, str] = {
    _NAME: "lower-case letters, digits and hyphens",
    r"\S": "some text",
    r"^https?://": "an address that begins with https:// or http://",
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$": "NAMESPACE/NAME",
}
"""Pattern of a field -> what it asks for."""

_EXPECTED: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_parsing": "a number",
    "bool_parsing": "true or false",
    "path_type": "a path",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "fields (name: value)",
    "mapping_type": "fields (name: value)",
    "model_type": "fields (name: value)",
    "model_attributes_type": "fields (name: value)",
}
_BOUND: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than_equal": lambda context: f"at least {_bound(context['ge'])}",
    "less_than_equal": lambda context: f"at most {_bound(context['le'])}",
    "greater_than": lambda context: f"more than {_bound(context['gt'])}",
    "less_than": lambda context: f"less than {_bound(context['lt'])}",
    "string_too_short": lambda context: f"at least {context['min_length']} characters",
    "string_too_long": lambda context: f"at most {context['max_length']} characters",
}


def _bound(value: object) -> str:
    """pydantic gives the bound of a duration as text ("1 day")."""
    return value if isinstance(value, str) else shown(value)


def shown(value: object) -> str:
    """A value of the file, short, as YAML people read it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return repr(value if len(value) <= 60 else value[:59] + "…")
        case timedelta():
            return format_duration(value)
        case list() | tuple():
            return "a list" if value else "an empty list"
        case dict():
            return "fields"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _model_at(model: type[BaseModel], where: Path, source: Source, at: Path) -> type[BaseModel] | None:
    """The model whose fields stand at `where`; an action's own parameters depend on what the row does."""
    found: type[BaseModel] | None = model
    raw = _part(source.data, at)
    for step in where:
        if step == "with" and isinstance(raw, dict):
            action = ACTIONS.get(str(raw.get("do")))
            found = action.parameters if action is not None else None
        elif isinstance(step, str) and found is not None:
            field = next((f for name, f in found.model_fields.items() if step in (name, f.alias)), None)
            found = _model_in(field.annotation) if field is not None else found
        raw = _part(raw, (step,))
    return found


def _part(raw: Json, path: Path) -> Json:
    for step in path:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each)) is not None), None)


def _fields(model: type[BaseModel] | None) -> list[str]:
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]
