"""Webhook bodies as Alertmanager builds and sends them, version 4. The demo delivers with these.

Source: prometheus/alertmanager `template/template.go` (`Data`), `notify/webhook/webhook.go`; the fingerprint is
prometheus/common `model/signature.go`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import aiohttp

from remediator.clock import rfc3339
from remediator.model import Json

FNV_OFFSET, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
USER_AGENT = "Alertmanager/0.31.1"
NOT_ENDED = "0001-01-01T00:00:00Z"
DELIVERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SentAlert:
    """One alert as Prometheus sent it; it fires while `ends_at` is None."""

    labels: Mapping[str, str]
    starts_at: datetime
    annotations: Mapping[str, str] = field(default_factory=dict)
    ends_at: datetime | None = None
    generator_url: str = ""


def fingerprint(labels: Mapping[str, str]) -> str:
    """FNV-1a 64 over the sorted labels, each `name 0xff value 0xff`, as 16 hex digits."""
    total = FNV_OFFSET
    for name, value in sorted(labels.items(), key=lambda pair: pair[0].encode()):
        for byte in name.encode() + b"\xff" + value.encode() + b"\xff":
            total = ((total ^ byte) * FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{total:016x}"


def webhook_bodies(
    alerts: Sequence[SentAlert],
    *,
    receiver: str = "remediator",
    group_by: Sequence[str] = ("alertname", "namespace"),
    route: str = "{}",
    external_url: str = "http://alertmanager.monitoring.svc:9093",
) -> Sequence[Json]:
    """One body for each group, in the order of their group keys. `route` is the path of matchers in the group key."""
    groups: dict[str, list[SentAlert]] = {}
    for alert in alerts:
        groups.setdefault(_group_key(alert, group_by, route), []).append(alert)
    return [
        _body(key, sorted(members, key=_order), receiver=receiver, group_by=group_by, external_url=external_url)
        for key, members in sorted(groups.items())
    ]


def _group_labels(alert: SentAlert, group_by: Sequence[str]) -> dict[str, str]:
    return {name: alert.labels[name] for name in sorted(group_by) if name in alert.labels}


def _group_key(alert: SentAlert, group_by: Sequence[str], route: str) -> str:
    labels = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in _group_labels(alert, group_by).items()
    )
    return f"{route}:{{{labels}}}"


def _order(alert: SentAlert) -> tuple[str, str, Sequence[tuple[str, str]]]:
    return alert.labels.get("job", ""), alert.labels.get("instance", ""), sorted(alert.labels.items())


def _body(
    group_key: str, alerts: Sequence[SentAlert], *, receiver: str, group_by: Sequence[str], external_url: str
) -> Json:
    return {
        "receiver": receiver,
        "status": "firing" if any(alert.ends_at is None for alert in alerts) else "resolved",
        "alerts": [_entry(alert) for alert in alerts],
        "groupLabels": _group_labels(alerts[0], group_by),
        "commonLabels": _common([alert.labels for alert in alerts]),
        "commonAnnotations": _common([alert.annotations for alert in alerts]),
        "externalURL": external_url,
        "version": "4",
        "groupKey": group_key,
        "truncatedAlerts": 0,
    }


def _entry(alert: SentAlert) -> Json:
    return {
        "status": "firing" if alert.ends_at is None else "resolved",
        "labels": dict(sorted(alert.labels.items())),
        "annotations": dict(sorted(alert.annotations.items())),
        "startsAt": rfc3339(alert.starts_at),
        "endsAt": NOT_ENDED if alert.ends_at is None else rfc3339(alert.ends_at),
        "generatorURL": alert.generator_url,
        "fingerprint": fingerprint(alert.labels),
    }


def _common(maps: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {key: value for key, value in sorted(maps[0].items()) if all(other.get(key) == value for other in maps)}


def wire_bytes(body: Json) -> bytes:
    """JSON as Go's encoder writes it: `<`, `>`, `&` and two line separators escaped, a newline at the end."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode() + b"\n"


async def deliver(url: str, body: Json, *, token: str | None = None) -> int:
    """Send one body once, as Alertmanager would; the HTTP status. Raises aiohttp.ClientError, TimeoutError."""
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    timeout = aiohttp.ClientTimeout(total=DELIVERY_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, data=wire_bytes(body), headers=headers, allow_redirects=False) as response,
    ):
        await response.read()
        return response.status
