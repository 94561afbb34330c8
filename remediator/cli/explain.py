"""`remediator explain`: which rule takes an alert, and why not the others; each matcher and condition, yes, no or
unknown.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 every alert has a
rule, 1 one has none or a service does not answer, 2 misuse or rules that cannot be loaded. Without `--incident` files
are all that is read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from remediator.errors import ConfigError, RemediatorError, cut

GOOD, NO_MATCH, MISUSED = 0, 1, 2
MAX_BYTES = 16 * 1024 * 1024


def explain(labels: str | None, rules: Path | None, output: str, *, shows_all: bool = False) -> int:
    """Print every rule asked of an alert, in order, with yes or no and why.

    `labels` is a list of label values as in a matcher (`alertname="X",namespace="shop"`), or a file with a webhook
    payload (`-`: standard input), which explains each of its alerts. `rules` None: the shipped rules. `shows_all`: the
    rows of rules for other alerts too.
    """
    try:
        if labels is None:
            raise ValueError("name an alert by its labels, a webhook body's file, or --incident")
        alerts = _label_sets(labels)
        table = _table(rules)
    except ValueError as error:
        print(f"error: {cut(str(error))}", file=sys.stderr)
        return MISUSED
    except ConfigError as error:
        print(error, file=sys.stderr)
        return MISUSED
    return _printed([_answer(alert, table) for alert in alerts], output, shows_all=shows_all)


def explain_incident(
    incident: str,
    rules: Path | None,
    output: str,
    *,
    url: str | None,
    token_file: str | None = None,
    shows_all: bool = False,
) -> int:
    """As `explain`, of the alerts of an incident and with the facts that were recorded when it was decided: the answer
    is the same for as long as the records are kept.

    `incident` is a number (`inc-7`), asked of a running service, or the file of an exported bundle, which needs none.
    """
    from remediator.cli.recorded import of_bundle, of_service

    is_file = Path(incident).is_file() or incident.endswith(".zip")
    try:
        found = of_bundle(Path(incident)) if is_file else of_service(url, incident, token_file)
        table = _table(rules)
        answers = [_recorded_answer(one, table) for one in found]
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISUSED
    except RemediatorError as error:
        print(f"error: {cut(str(error))}", file=sys.stderr)
        return NO_MATCH
    return _printed(answers, output, shows_all=shows_all)


def _table(rules: Path | None) -> Any:
    from remediator.rules.load import load_rules
    from remediator.rules.shipped import shipped_rules

    return load_rules(rules or shipped_rules())


def _printed(answers: Sequence[Mapping[str, Any]], output: str, *, shows_all: bool) -> int:
    if output == "json":
        print(json.dumps(answers, indent=2))
    else:
        print("\n\n".join("\n".join(_lines(answer, shows_all=shows_all)) for answer in answers))
    return GOOD if all(answer["rule"] is not None for answer in answers) else NO_MATCH


def _label_sets(text: str) -> list[Mapping[str, str]]:
    """The label sets to explain. Raises ValueError."""
    if text == "-":
        return _of_payload(sys.stdin.buffer.read(MAX_BYTES), "standard input")
    if "=" not in text or Path(text).is_file():
        try:
            with Path(text).open("rb") as file:
                return _of_payload(file.read(MAX_BYTES), text)
        except OSError as error:
            hint = "" if "=" in text else '; an alert is named by its labels, like alertname="X"'
            raise ValueError(f"{text}: cannot be read: {error.strerror or error}{hint}") from error
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


def _of_payload(body: bytes, source: str) -> list[Mapping[str, str]]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{source}: not UTF-8: byte 0x{body[error.start]:02x} at {error.start}") from error
    try:
        alerts = json.loads(text)["alerts"]
        found: list[Mapping[str, str]] = [
            {str(name): str(value) for name, value in alert["labels"].items()} for alert in alerts
        ]
    except (json.JSONDecodeError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{source}: not a webhook payload: expected JSON with alerts, each with labels") from error
    if not found:
        raise ValueError(f"{source}: the payload has no alerts")
    return found


# --- the answer, as JSON has it


def _answer(labels: Mapping[str, str], table: Any) -> dict[str, Any]:
    from remediator.rules.asked import ask
    from remediator.rules.match import NoMatch, match_labels

    found = match_labels(labels, table)
    return {
        "labels": dict(labels),
        "rule": None if isinstance(found, NoMatch) else found.name,
        "nearest": found.nearest if isinstance(found, NoMatch) else None,
        "why": found.why if isinstance(found, NoMatch) else None,
        "recorded": None,
        "rules": [_rule(asked) for asked in ask(labels, table, None)],
    }


def _recorded_answer(recorded: Any, table: Any) -> dict[str, Any]:
    """The rules of the table on the recorded facts; the one that was taken as it was then, wherever it stands now."""
    from remediator.rules.asked import ask
    from remediator.rules.match import NoMatch, match_labels

    labels = recorded.labels
    evidence = _evidence(recorded.facts)
    rules = [_rule(asked) for asked in ask(labels, table, evidence)]
    taken = _as_it_was(recorded, table)
    if taken is not None:
        names = [rule["rule"] for rule in rules]
        place = names.index(recorded.rule) if recorded.rule in names else len(rules)
        rules[place : place + 1] = [taken]
    now = match_labels(labels, table)
    return {
        "labels": dict(labels),
        "rule": recorded.rule or None,
        "nearest": now.nearest if isinstance(now, NoMatch) else None,
        "why": recorded.detail if not recorded.rule else None,
        "recorded": {
            "incident": recorded.incident,
            "remediation": f"R-{recorded.remediation}",
            "at": recorded.at,
            "decision": recorded.decision,
            "reason": recorded.reason,
            "detail": recorded.detail,
            "facts": None if recorded.facts is None else dict(recorded.facts),
            "rule_now": None if isinstance(now, NoMatch) else now.name,
        },
        "rules": rules,
    }


def _evidence(facts: Mapping[str, Any] | None) -> Any:
    """What was recorded, None where nothing was diagnosed. Raises ConfigError for what another version recorded."""
    from remediator.rules.conditions import Evidence

    try:
        return None if facts is None else Evidence.from_json(facts)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError("the recorded facts are not those of this version") from error


def _as_it_was(recorded: Any, table: Any) -> dict[str, Any] | None:
    """The rule that was taken, from the records alone; None: they do not hold its text."""
    from pydantic import ValidationError

    from remediator.rules.asked import RuleAsked, row_of
    from remediator.rules.match import explain as matched
    from remediator.rules.ruleset import rule_set
    from remediator.rules.schema import Rule

    if recorded.rule_text is None:
        return None
    try:
        rule = Rule.model_validate(recorded.rule_text)
    except ValidationError:
        return None
    [trace] = matched(recorded.labels, rule_set([rule]))
    present = table.rule(rule.name)
    is_same = present is not None and present.digest == recorded.rule_digest
    place = table.place(rule.name) if is_same else "as it was"
    places = [table.place(rule.name, ("respond", row["position"])) if is_same else "" for row in recorded.rows]
    rows = [row_of(row, at) for row, at in zip(recorded.rows, places, strict=True)]
    asked = RuleAsked(rule.name, trace.matches, place, trace.matchers, tuple(rows))
    return {**_rule(asked), "as_it_was": not is_same}


def _rule(asked: Any) -> dict[str, Any]:
    return {
        "rule": asked.rule,
        "matches": asked.matches,
        "place": asked.place,
        "as_it_was": False,
        "matchers": [{"matcher": m.matcher, "holds": m.holds, "seen": m.seen} for m in asked.matchers],
        "rows": [
            {
                "row": row.row,
                "do": row.do,
                "holds": row.says.value,
                "place": row.place,
                "conditions": [
                    {"name": one.name, "wanted": one.wanted, "holds": one.says.value, "seen": one.seen}
                    for one in row.conditions
                ],
            }
            for row in asked.rows
        ],
    }


# --- for people


def _lines(answer: Mapping[str, Any], *, shows_all: bool) -> Iterator[str]:
    if (recorded := answer["recorded"]) is not None:
        yield f"{recorded['incident']} {recorded['remediation']}  decided {recorded['at']}"
    yield "alert  " + cut(",".join(f"{name}={json.dumps(value)}" for name, value in answer["labels"].items()))
    width = max((len(rule["rule"]) for rule in answer["rules"]), default=0)
    for position, rule in enumerate(answer["rules"], start=1):
        missed = [matcher for matcher in rule["matchers"] if not matcher["holds"]]
        why = "all matchers hold" if not missed else " and ".join(_why(matcher) for matcher in missed[:2])
        if rule["matches"]:
            why = why if rule["rule"] == answer["rule"] else "its matchers hold too, but an earlier rule takes it"
        yes = "yes" if rule["matches"] else "no"
        yield f"{position:>3}  {rule['rule']:<{width}}  {yes:<3}  {why}  {rule['place']}"
        if shows_all or _is_of_this_alert(rule):
            taken = _taken(rule, is_decided=recorded is not None) if rule["rule"] == answer["rule"] else None
            yield from (f"       {line}".rstrip() for line in _asked(rule, taken))
    yield from _last_lines(answer)


def _is_of_this_alert(rule: Mapping[str, Any]) -> bool:
    """Whether it speaks of alerts of this name: of all others one line says enough."""
    return all(one["holds"] for one in rule["matchers"] if one["matcher"].startswith(("alertname=", "alertname!")))


def _taken(rule: Mapping[str, Any], *, is_decided: bool) -> int | None:
    """The row that is taken; None: none is, or it depends on what is not known. Once decided, an unknown did not
    hold."""
    for row in rule["rows"]:
        if row["holds"] == "yes":
            return int(row["row"])
        if row["holds"] == "unknown" and not is_decided:
            return None
    return None


def _asked(rule: Mapping[str, Any], taken: int | None) -> Iterator[str]:
    for matcher in rule["matchers"]:
        yield f"{'yes' if matcher['holds'] else 'no':<7}  {_why(matcher)}"
    for row in rule["rows"]:
        arrow = " <- taken" if row["row"] == taken else ""
        yield f"{row['holds']:<7}  row {row['row']} {row['do']}{arrow}  {row['place']}"
        for one in row["conditions"]:
            seen = f"(is {one['seen']})" if one["holds"] != "unknown" else "(not known)"
            yield f"{'':<7}    {one['holds']:<7}  {cut(one['name'])}: {cut(one['wanted'])} {cut(seen)}"
        if not row["conditions"]:
            yield f"{'':<7}    always"


def _last_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    if answer["rule"] is not None:
        yield f"  -> {answer['rule']}"
    elif answer["nearest"] is not None:
        yield f"  -> no rule; nearest {answer['nearest']}: {cut(answer['why'])}"
    else:
        yield f"  -> no rule: {cut(answer['why'])}"
    if (recorded := answer["recorded"]) is not None:
        reason = f" [{recorded['reason']}]" if recorded["reason"] else ""
        yield f"  -> {recorded['decision']}{reason}: {cut(recorded['detail'])}"
        if recorded["rule_now"] != answer["rule"]:
            yield f"  -> by the table as it is now: {recorded['rule_now'] or 'no rule'}"


def _why(matcher: Mapping[str, Any]) -> str:
    seen = f"is {json.dumps(matcher['seen'], ensure_ascii=False)}" if matcher["seen"] else "not set"
    return cut(f"{matcher['matcher']} ({seen})")
