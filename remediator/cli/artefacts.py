"""`remediator generate alertmanager-route`, `prometheus-rules`, `mixin` and `schema`: text for people to keep.

Called by the command line's wiring (`generating.py`), which passes the flags on and exits with what is returned: 0
good, 1 the rules or a file cannot be used. Nothing is written but standard output: where the
text goes is for whoever asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from remediator.cli.output import Output
from remediator.cli.reading import FAILED, GOOD
from remediator.errors import ConfigError
from remediator.generate import alerts, route
from remediator.generate.alerts import Form, Placed
from remediator.generate.route import Shape, Wanted
from remediator.generate.schemas import SCHEMAS
from remediator.model import Json
from remediator.rules.load import load_rules
from remediator.rules.ruleset import RuleSet
from remediator.rules.shipped import shipped_rules
from remediator.settings import Settings
from remediator.watchdog import awaited


def alertmanager_route(
    rules: Sequence[Path],
    output: Output,
    *,
    shape: Shape,
    wanted: Wanted,
    settings_file: Path | None = None,
    into: Path | None = None,
) -> int:
    """Print the route by which the alerts of these rules reach us; none: the shipped ones. The settings say which alert
    is the watchdog. `into`: a whole file."""

    def made(table: RuleSet) -> tuple[str, Json]:
        whole = replace(wanted, watchdog=awaited(Settings.load(settings_file, {})))
        if into is not None:
            text = route.into(route.read(into), table, whole, file=str(into))
            return text, alerts.as_json(text)
        return route.as_text(shape, table, whole), _values(shape, table, whole)

    return _printed(rules, output, made)


def prometheus_rules(rules: Sequence[Path], output: Output, *, form: Form, placed: Placed) -> int:
    """Print the alerts that these rules wait for and that are shipped here."""
    return _printed(rules, output, lambda table: _both(alerts.needed(table, form, placed)))


def mixin(rules: Sequence[Path], output: Output, *, form: Form, placed: Placed) -> int:
    """Print the alerts about remediator itself."""
    return _printed(rules, output, lambda table: _both(alerts.own(table, form, placed)))


def schema(kind: str) -> int:
    """Print the JSON Schema of a kind of file; it is JSON in every form of output."""
    print(json.dumps(SCHEMAS[kind](), indent=2, ensure_ascii=False))
    return GOOD


def labels_of(texts: Sequence[str]) -> Mapping[str, str] | None:
    """`name=value`, several; None for none. Raises ValueError."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals or name in found:
            raise ValueError(f"{text!r}: expected NAME=VALUE, each name once")
        found[name] = value
    return found or None


def _values(shape: Shape, table: RuleSet, wanted: Wanted) -> Json:
    if shape is Shape.OPERATOR:
        # A list that kubectl applies as it is.
        return {"apiVersion": "v1", "kind": "List", "items": list(route.operator(table, wanted))}
    return (route.beside if shape is Shape.BESIDE else route.child)(table, wanted)


def _both(text: str) -> tuple[str, Json]:
    return text, alerts.as_json(text)


def _printed(rules: Sequence[Path], output: Output, made: Callable[[RuleSet], tuple[str, Json]]) -> int:
    try:
        text, values = made(load_rules(*(rules or [shipped_rules()])))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    print(json.dumps(values, indent=2, ensure_ascii=False) if output is Output.JSON else text.rstrip("\n"))
    return GOOD
