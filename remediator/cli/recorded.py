"""What the records of an incident say of its decisions: for `explain --incident`.

From a running service over HTTP, or from an exported bundle, which needs none. Called by `explain.py`; only the
standard library is imported before it is known which of the two is asked.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remediator.errors import ConfigError

SPOKEN = ("decision.", "action.", "outcome.", "revert.", "restore.")


@dataclass(frozen=True, slots=True)
class Entry:
    """One record, as either source has it."""

    seq: int
    at: str
    kind: str
    remediation: int | None
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One alert of the incident, as it was decided last. `rule_text` is the rule as it was loaded then, `rows` how its
    rows were weighed, `facts` all that any condition could have asked for; empty or None: no record holds it."""

    incident: str
    remediation: int
    at: str
    labels: Mapping[str, str]
    rule: str
    rule_digest: str
    rule_text: Mapping[str, Any] | None
    rows: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any] | None
    decision: str
    reason: str
    detail: str


def of_service(url: str | None, incident: str, token_file: str | None) -> list[Recorded]:
    """Raises ConfigError, TransientError."""
    from remediator.cli.reading import answer_of, understood, whole_answer

    with answer_of(url, f"/api/v1/incidents/{urllib.parse.quote(incident, safe='')}", token_file=token_file) as answer:
        found = json.loads(whole_answer(answer))
        with understood(answer):
            entries = [
                Entry(one["seq"], one["at"], one["kind"], one["remediation_id"], one["body"])
                for one in found["records"]
            ]
            return _recorded(str(found["incident"]["ref"]), entries)


def of_bundle(file: Path) -> list[Recorded]:
    """Of a bundle of one incident, or of all in a bundle of a period. Raises ConfigError for a file that is no bundle,
    or whose records are not those that were signed."""
    from remediator.audit.bundle import BadBundle, content, read_members
    from remediator.audit.commitments import put_together
    from remediator.audit.findings import Answer, Unreadable
    from remediator.audit.verify import verify
    from remediator.audit.verify_bundle import DISCLOSURES, RECORDS

    try:
        report = verify(file, trusted=(), anchored=())
        if report.answer is Answer.TAMPERED:
            raise ConfigError(f"{file}: it does not verify: {report.reason}")
        with file.open("rb") as source:
            members = read_members(source)
            lines, beside = (content(source, members[name]) for name in (RECORDS, DISCLOSURES))
    except (OSError, BadBundle, Unreadable, KeyError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{file}: not a bundle that can be read: {why}") from error
    disclosed = {one["seq"]: json.dumps(one["fields"]).encode() for one in map(json.loads, beside.splitlines())}
    by_incident: dict[str, list[Entry]] = {}
    incident_of: dict[int, str] = {}
    records = [json.loads(line) for line in lines.splitlines()]
    for one in records:
        if one.get("remediation") is not None and one.get("incident") is not None:
            incident_of[one["remediation"]] = f"inc-{one['incident']}"
    for one in records:
        number = one.get("remediation")
        body = put_together(one["body"], disclosed.get(one["seq"]))
        entry = Entry(one["seq"], str(one["at"]), one["kind"], number, body)
        by_incident.setdefault(incident_of.get(number, "") if number is not None else "", []).append(entry)
    return [one for name, entries in by_incident.items() if name for one in _recorded(name, entries)]


def _recorded(incident: str, entries: Sequence[Entry]) -> list[Recorded]:
    numbers = dict.fromkeys(one.remediation for one in entries if one.remediation is not None)
    return [_of_one(incident, number, [one for one in entries if one.remediation == number]) for number in numbers]


def _of_one(incident: str, number: int, entries: Sequence[Entry]) -> Recorded:
    def last(name: str) -> Any:
        return next((one.body[name] for one in reversed(entries) if one.body.get(name)), None)

    said = [one for one in entries if one.kind.startswith(SPOKEN)]
    decided = said[-1] if said else entries[-1]
    text, rows, facts, labels = last("rule_text"), last("rows"), last("facts"), last("labels")
    return Recorded(
        incident=incident,
        remediation=number,
        at=decided.at,
        labels=labels if isinstance(labels, Mapping) else {},
        rule=str(last("rule") or ""),
        rule_digest=str(last("rule_digest") or ""),
        rule_text=text if isinstance(text, Mapping) else None,
        rows=rows if isinstance(rows, list) else [],
        facts=facts if isinstance(facts, Mapping) else None,
        decision=decided.kind,
        reason=str(decided.body.get("reason") or ""),
        detail=str(decided.body.get("detail") or ""),
    )
