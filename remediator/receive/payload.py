"""Alertmanager's webhook body, version "4": bytes in, alerts out.

The second half of step 1; `server.py` calls `read` for each request. What is wrong with the body raises `BadBody`;
what is wrong with one alert of it quarantines that alert and keeps the others. Unknown fields are tolerated
everywhere: Alertmanager adds fields without a new version.

Source: prometheus/alertmanager `template/template.go` (`Data`, `Alert`), `notify/webhook/webhook.go` (`Message`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from remediator.access.base import Credential
from remediator.clock import parse_rfc3339
from remediator.errors import cut
from remediator.model import Alert, AlertStatus, Json
from remediator.receive.base import BadBody, Quarantined
from remediator.receive.strict_json import may_hold_poison, parse, poison
from remediator.redact import Remembering, redact

MAX_LABELS = 64
MAX_VALUE_LENGTH = 4096
LEAST_ALERT_BYTES = 64
FREE_ALERTS = 64
"""A list with more elements than those, and one more for that many bytes of the body, does not hold alerts."""
MAX_ASIDE = 100
"""Alerts of one body that are set aside with their content; of the others their number is kept."""
SHOWN_LENGTH = 1024
NAMES_OF_STATUS = {"firing": AlertStatus.FIRING, "resolved": AlertStatus.RESOLVED}

LabelName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_VALUE_LENGTH)]
LabelValue = Annotated[str, StringConstraints(max_length=MAX_VALUE_LENGTH)]


class AlertElement(BaseModel):
    """One element of `alerts`. Times stay text here: Go prints nine fraction digits, which `parse_rfc3339` reads."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    status: Literal["firing", "resolved"]
    labels: Annotated[dict[LabelName, LabelValue], Field(min_length=1, max_length=MAX_LABELS)]
    annotations: Annotated[dict[LabelName, str], Field(max_length=MAX_LABELS)] | None = None
    starts_at: str = Field(alias="startsAt", max_length=64)
    ends_at: str | None = Field(default=None, alias="endsAt", max_length=64)
    generator_url: str | None = Field(default=None, alias="generatorURL")
    fingerprint: Annotated[str, StringConstraints(pattern="^[0-9a-f]{16}$")] | None = None


class WebhookBody(BaseModel):
    """The envelope. Its `status`, `commonLabels` and the like are not read: they mislead (truncation, muting)."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    version: Literal["4"]
    receiver: Annotated[str, StringConstraints(max_length=MAX_VALUE_LENGTH)]
    group_key: str = Field(alias="groupKey", max_length=1_000_000)
    truncated_alerts: int = Field(default=0, alias="truncatedAlerts", ge=0)
    alerts: list[Any]


@dataclass(frozen=True, slots=True)
class Payload:
    """What one body held. Places in `quarantined` count from `alerts[0]` of the body; `more_aside` could not be used
    either, and are told by their number in the last of `quarantined`."""

    alerts: Sequence[Alert]
    quarantined: Sequence[Quarantined]
    more_aside: int = 0

    @property
    def aside(self) -> int:
        """How many alerts could not be used."""
        return len(self.quarantined) + (self.more_aside - 1 if self.more_aside else 0)


def read(body: bytes, redaction: Remembering, *, sender: Credential) -> Payload:
    """The alerts of one webhook body, without secrets. Raises BadBody.

    What lies outside of what the sender may speak of is set aside as what cannot be used: a stranger's alert must
    neither begin, nor repeat, nor resolve anything.
    """
    value = parse(body)
    if not isinstance(value, dict):
        raise BadBody("$", "the body must be a JSON object")
    _check_version(value)
    suspicious = may_hold_poison(body)
    envelope = {name: item for name, item in value.items() if name != "alerts"}
    if suspicious and (found := poison(envelope, "$")):
        raise BadBody(*found)
    try:
        webhook = WebhookBody.model_validate(value)
    except ValidationError as error:
        raise BadBody(*_first_error(error, "")) from error
    if len(webhook.alerts) > FREE_ALERTS + len(body) // LEAST_ALERT_BYTES:
        raise BadBody("alerts", "more elements than a body of this size can hold alerts")
    group_key = redaction.text(_shortened(webhook.group_key))
    alerts: list[Alert] = []
    quarantined: list[Quarantined] = []
    more_aside = 0
    is_limited = sender.authority.is_limited
    for index, element in enumerate(webhook.alerts):
        place = f"alerts[{index}]"
        outcome = (poison(element, place) if suspicious else None) or _alert(
            element, place, webhook, redaction, group_key=group_key, credential=sender.name
        )
        credential = ""
        if isinstance(outcome, Alert):
            if not is_limited or (problem := _outside(element, place, webhook.receiver, sender)) is None:
                alerts.append(outcome)
                continue
            outcome, credential = problem, sender.name
        if len(quarantined) < MAX_ASIDE:
            quarantined.append(_quarantined(element, *outcome, credential=credential))
        else:
            more_aside += 1
    if more_aside:
        quarantined.append(Quarantined("alerts", f"{more_aside} more of this body could not be used", ""))
    return Payload(alerts, quarantined, more_aside)


def fingerprint(labels: Mapping[str, str]) -> str:
    """FNV-1a 64 over the sorted labels, as Alertmanager computes it: 16 hex digits.

    Source: prometheus/common `model/fingerprinting.go`, `model/signature.go` (`labelSetToFingerprint`).
    """
    total = 0xCBF29CE484222325
    for name in sorted(labels):
        for byte in name.encode() + b"\xff" + labels[name].encode() + b"\xff":
            total = ((total ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{total:016x}"


def _check_version(value: Mapping[str, Json]) -> None:
    version = value.get("version")
    if version == "4":
        return
    if "version" not in value:
        raise BadBody("version", 'required field is missing; expected "4" (is a payload template configured?)')
    if version == "1" and ("orgId" in value or "state" in value or "title" in value):
        raise BadBody("version", "this is Grafana's webhook format (version 1), not Alertmanager's; not supported")
    raise BadBody("version", f'{cut(repr(version), max_length=40)} is not supported; expected "4"')


def _outside(element: Json, place: str, receiver: str, sender: Credential) -> tuple[str, str] | None:
    """The place and the problem of a good alert that the sender may not speak of; by the labels as they arrived."""
    labels = element["labels"]
    if outside := sender.authority.outside_of_alert(receiver, labels):
        return f"{place}.labels", f"credential {sender.name}: {outside} is outside of what it may speak of"
    given = element.get("fingerprint")
    if given is not None and given != fingerprint(labels):
        return f"{place}.fingerprint", f"credential {sender.name}: {given} is not the fingerprint of these labels"
    return None


def _alert(
    element: Json, place: str, webhook: WebhookBody, redaction: Remembering, *, group_key: str, credential: str
) -> Alert | tuple[str, str]:
    """The alert, or the place and the problem why it is none."""
    if (problem := _too_many(element, place)) is not None:
        return problem
    try:
        read_element = AlertElement.model_validate(element)
    except ValidationError as error:
        return _first_error(error, place)
    starts_at = _instant(read_element.starts_at)
    if starts_at is None:
        return f"{place}.startsAt", f"not an RFC 3339 time after year 1: {cut(read_element.starts_at, max_length=64)!r}"
    ends_at = None
    if read_element.status == "resolved" and read_element.ends_at:
        ends_at = _instant(read_element.ends_at)
        if ends_at is None and not read_element.ends_at.startswith("0001-01-"):
            return f"{place}.endsAt", f"not an RFC 3339 time: {cut(read_element.ends_at, max_length=64)!r}"
    return Alert(
        fingerprint=read_element.fingerprint or fingerprint(read_element.labels),
        status=NAMES_OF_STATUS[read_element.status],
        labels=redaction.values(read_element.labels),
        annotations=redaction.values(
            {name: _shortened(text) for name, text in (read_element.annotations or {}).items()}
        ),
        starts_at=starts_at,
        ends_at=ends_at,
        generator_url=redaction.text(_shortened(read_element.generator_url or "")),
        receiver=webhook.receiver,
        group_key=group_key,
        truncated=webhook.truncated_alerts,
        credential=credential,
    )


def _too_many(element: Json, place: str) -> tuple[str, str] | None:
    """As the model says, but before it looks at each of a hundred thousand."""
    for name in ("labels", "annotations"):
        if isinstance(element, dict) and isinstance(pairs := element.get(name), dict) and len(pairs) > MAX_LABELS:
            return f"{place}.{name}", f"{len(pairs)} {name}, at most {MAX_LABELS} are read"
    return None


def _instant(text: str) -> datetime | None:
    """The time, or None for Go's zero time and for what is no time."""
    try:
        instant = parse_rfc3339(text)
    except ValueError:
        return None
    return instant if instant.year > 1 else None


def _shortened(text: str) -> str:
    """Prose decides nothing, so that a long one is cut where a long label would quarantine its alert."""
    return text if len(text) <= MAX_VALUE_LENGTH else text[: MAX_VALUE_LENGTH - 1] + "…"


def _first_error(error: ValidationError, prefix: str) -> tuple[str, str]:
    first = error.errors(include_url=False, include_input=False)[0]
    place = prefix
    for part in first["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    if first["type"] == "model_type":
        return place, "expected a JSON object"
    return place, "required field is missing" if first["type"] == "missing" else first["msg"]


def _quarantined(element: Json, place: str, problem: str, *, credential: str = "") -> Quarantined:
    return Quarantined(
        place=cut(place.encode("utf-8", "replace").decode("utf-8"), max_length=120),
        problem=cut(problem),
        element=redact(_shown(element)),
        credential=credential,
    )


def _shown(element: Json) -> str:
    """The beginning of its JSON; what is not shown is not written either."""
    text = ""
    for piece in json.JSONEncoder().iterencode(element):
        text += piece[:SHOWN_LENGTH]
        if len(text) >= SHOWN_LENGTH:
            break
    return text[:SHOWN_LENGTH]
