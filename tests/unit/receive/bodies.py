"""Webhook bodies for the tests of the receiver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAYLOADS = Path(__file__).parents[2] / "data" / "payloads"
API_V2 = ("api-v2-alerts.json", "api-v2-alerts-groups.json", "api-v2-silences.json")
"""Answers of Alertmanager's own API, which are no webhook bodies."""


def element(**fields: Any) -> dict[str, Any]:
    """One element of `alerts`, with fields replaced, or taken out where the value is `...`."""
    made = {
        "status": "firing",
        "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "api-1"},
        "annotations": {"summary": "A container keeps crashing."},
        "startsAt": "2026-11-23T07:10:45.347Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        **fields,
    }
    return {name: value for name, value in made.items() if value is not ...}


def body(*alerts: Any, **fields: Any) -> bytes:
    """A whole body; fields as in `element`."""
    made = {
        "version": "4",
        "groupKey": '{}:{alertname="KubePodCrashLooping"}',
        "receiver": "remediator",
        "status": "firing",
        "truncatedAlerts": 0,
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts) or [element()],
        **fields,
    }
    return json.dumps({name: value for name, value in made.items() if value is not ...}).encode() + b"\n"


def captured(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes()
