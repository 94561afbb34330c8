"""`remediator explain`: which rule would take an alert, and why not the others. Reads files only.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 every alert has a
rule, 1 one has none, 2 misuse or rules that cannot be loaded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from remediator.errors import cut

GOOD, NO_MATCH, MISUSED = 0, 1, 2
MAX_BYTES = 16 * 1024 * 1024


def explain(labels: str, rules: Path | None, output: str) -> int:
    """Print every rule tried for an alert, in order, with yes or no and why.

    `labels` is a list of label values as in a matcher (`alertname="X",namespace="shop"`), or a file with a webhook
    payload (`-`: standard input), which explains each of its alerts. `rules` None: the shipped rules.
    """
    from remediator.errors import ConfigError
    from remediator.rules.load import load_rules
    from remediator.rules.shipped import shipped_rules

    try:
        alerts = _label_sets(labels)
    except (ValueError, OSError) as error:
        print(f"error: {cut(str(error))}", file=sys.stderr)
        return MISUSED
    try:
        table = load_rules(rules or shipped_rules())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return MISUSED
    answers = [_answer(alert, table) for alert in alerts]
    if output == "json":
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    else:
        print("\n\n".join("\n".join(_lines(answer)) for answer in answers))
    return GOOD if all(answer["rule"] is not None for answer in answers) else NO_MATCH


def _label_sets(text: str) -> list[Mapping[str, str]]:
    """The label sets to explain. Raises ValueError, OSError."""
    if text == "-":
        return _of_payload(sys.stdin.read(MAX_BYTES))
    if "=" not in text or Path(text).is_file():
        with Path(text).open(encoding="utf-8") as file:
            return _of_payload(file.read(MAX_BYTES))
    return [_of_list(text)]


def _of_list(text: str) -> Mapping[str, str]:
    from remediator.rules.matcher import Op, parse_matchers

    labels: dict[str, str] = {}
    for matcher in parse_matchers(text):
        if matcher.op is not Op.EQUAL:
            raise ValueError(f'{matcher}: an alert has one value for each label; write {matcher.name}="value"')
        if labels.setdefault(matcher.name, matcher.value) != matcher.value:
            raise ValueError(f"two values for label {matcher.name}")
    if not labels:
        raise ValueError('no labels; write them like alertname="KubePodCrashLooping",namespace="shop"')
    return labels


def _of_payload(text: str) -> list[Mapping[str, str]]:
    try:
        alerts = json.loads(text)["alerts"]
        found: list[Mapping[str, str]] = [
            {str(name): str(value) for name, value in alert["labels"].items()} for alert in alerts
        ]
    except (json.JSONDecodeError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise ValueError("not a webhook payload: expected JSON with alerts, each with labels") from error
    if not found:
        raise ValueError("the payload has no alerts")
    return found


def _answer(labels: Mapping[str, str], table: Any) -> dict[str, Any]:
    from remediator.rules.match import NoMatch, explain, match_labels

    found = match_labels(labels, table)
    traces = explain(labels, table)
    return {
        "labels": dict(labels),
        "rule": None if isinstance(found, NoMatch) else found.name,
        "nearest": found.nearest if isinstance(found, NoMatch) else None,
        "why": found.why if isinstance(found, NoMatch) else None,
        "rules": [
            {
                "rule": trace.rule,
                "matches": trace.matches,
                "place": trace.place,
                "matchers": [{"matcher": m.matcher, "holds": m.holds, "seen": m.seen} for m in trace.matchers],
            }
            for trace in traces
        ],
    }


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    yield "alert  " + cut(",".join(f"{name}={json.dumps(value)}" for name, value in answer["labels"].items()))
    width = max((len(rule["rule"]) for rule in answer["rules"]), default=0)
    for position, rule in enumerate(answer["rules"], start=1):
        missed = [matcher for matcher in rule["matchers"] if not matcher["holds"]]
        why = "all matchers hold" if not missed else " and ".join(_why(matcher) for matcher in missed[:2])
        if rule["matches"]:
            why = why if rule["rule"] == answer["rule"] else "its matchers hold too, but an earlier rule takes it"
        yes = "yes" if rule["matches"] else "no"
        yield f"{position:>3}  {rule['rule']:<{width}}  {yes:<3}  {why}  {rule['place']}"
    if answer["rule"] is not None:
        yield f"  -> {answer['rule']}"
    elif answer["nearest"] is not None:
        yield f"  -> no rule; nearest {answer['nearest']}: {cut(answer['why'])}"
    else:
        yield f"  -> no rule: {cut(answer['why'])}"


def _why(matcher: Mapping[str, Any]) -> str:
    seen = f"is {json.dumps(matcher['seen'], ensure_ascii=False)}" if matcher["seen"] else "not set"
    return cut(f"{matcher['matcher']} ({seen})")
