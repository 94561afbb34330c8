"""Rules for the tests of this folder, from as few words as a case needs."""

from __future__ import annotations

from typing import Any

from remediator.rules.schema import Rule


def a_rule(name: str = "one", *, match: list[str] | None = None, **fields: Any) -> Rule:
    """A valid rule; `fields` as in the YAML."""
    return Rule.model_validate(
        {
            "name": name,
            "match": ['alertname="A"'] if match is None else match,
            "severity": 1,
            "respond": [{"do": "escalate"}],
        }
        | fields
    )
