"""Webhook bodies to simulate: as they were recorded, or made of what Alertmanager's API v2 lists. Pure but for files.

Called by `cli/simulate.py`. The API lists what fires, and each alert's `endsAt` is its lease and lies ahead; the
webhook says so by the zero time. Source: prometheus/alertmanager `api/v2/openapi.yaml`, `template/template.go`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from remediator.clock import parse_rfc3339
from remediator.errors import ConfigError, cut
from remediator.model import Json
from remediator.simulate.alertmanager import NOT_ENDED, wire_bytes

MAX_BYTES = 64 * 1024 * 1024
RECEIVER = "remediator"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Bodies that come together. `source` is the file, or the address that they were asked of; `newest_at` the newest
    time in them, None: there is none."""

    source: str
    bodies: Sequence[bytes]
    newest_at: datetime | None


def read_deliveries(paths: Sequence[Path]) -> list[Delivery]:
    """One for each file; a folder stands for its `*.json`, by name. Raises ConfigError."""
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not found:
            raise ConfigError(f"{path}: no *.json file in this folder")
        files += found
    return [_read(file) for file in dict.fromkeys(files)]


def _read(file: Path) -> Delivery:
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not JSON: {cut(str(error))}") from error
    if isinstance(value, dict) and isinstance(value.get("alerts"), list):
        return Delivery(str(file), [text], newest_of(value["alerts"]))
    if isinstance(value, list):
        return of_api(list(_elements(value, file)), str(file))
    raise ConfigError(f"{file}: neither a webhook body nor a list of alerts of Alertmanager's API v2")


def _elements(items: Sequence[Any], file: Path) -> Iterator[Json]:
    """The alerts of `/api/v2/alerts`, or of each group of `/api/v2/alerts/groups`."""
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("alerts"), list):
            yield from _elements(item["alerts"], file)
        elif isinstance(item, dict) and isinstance(item.get("labels"), dict) and "startsAt" in item:
            yield item
        else:
            raise ConfigError(f"{file}: not an alert of Alertmanager's API v2: {cut(str(item))}")


def of_api(items: Sequence[Json], source: str) -> Delivery:
    """One body for each alert that Alertmanager would tell of: what is silenced or inhibited, it tells nobody."""
    told = [item for item in items if (item.get("status") or {}).get("state") != "suppressed"]
    return Delivery(source, [wire_bytes(_body(item)) for item in told], newest_of(told))


def _body(item: Json) -> Json:
    receivers = [one.get("name") for one in item.get("receivers") or () if isinstance(one, dict)]
    alert = {
        "status": "firing",
        "labels": item["labels"],
        "annotations": item.get("annotations") or {},
        "startsAt": item["startsAt"],
        "endsAt": NOT_ENDED,
        "generatorURL": item.get("generatorURL") or "",
        "fingerprint": item.get("fingerprint"),
    }
    return {
        "version": "4",
        "receiver": str(next(iter(receivers), None) or RECEIVER),
        "groupKey": "{}",
        "status": "firing",
        "truncatedAlerts": 0,
        "alerts": [{name: value for name, value in alert.items() if value is not None}],
    }


def newest_of(alerts: Sequence[Any]) -> datetime | None:
    """The newest time that they tell of: of an API's alert the last that was heard of it, else its start or end."""
    found = []
    for alert in alerts:
        for name in ("startsAt", "updatedAt", "endsAt"):
            is_lease = name == "endsAt" and "updatedAt" in alert
            if isinstance(alert, dict) and not is_lease and (at := _instant(alert.get(name))) is not None:
                found.append(at)
    return max(found, default=None)


def _instant(text: Any) -> datetime | None:
    try:
        at = parse_rfc3339(str(text))
    except ValueError:
        return None
    return at if at.year > 1 else None
