"""Recorded bodies go in as they are; what the API lists becomes what the webhook would have said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remediator.access.base import ANYONE
from remediator.clock import parse_rfc3339
from remediator.errors import ConfigError
from remediator.model import AlertStatus
from remediator.receive.payload import read
from remediator.redact import Remembering
from remediator.simulate.bodies import of_api, read_deliveries

PAYLOADS = Path(__file__).parents[2] / "data" / "payloads"


def test_a_recorded_body_is_not_touched() -> None:
    file = PAYLOADS / "wire-bytes-special-characters.json"
    [delivery] = read_deliveries([file])
    assert delivery.bodies == [file.read_bytes()]


@pytest.mark.parametrize("name", ["api-v2-alerts.json", "api-v2-alerts-groups.json"])
def test_what_the_api_lists_is_read_as_firing_alerts(name: str) -> None:
    [delivery] = read_deliveries([PAYLOADS / name])
    listed = json.loads((PAYLOADS / name).read_text(encoding="utf-8"))
    items = [one for item in listed for one in item.get("alerts", [item])]
    told = [item for item in items if item["status"]["state"] != "suppressed"]
    alerts = [one for body in delivery.bodies for one in read(body, Remembering(), sender=ANYONE.credential).alerts]
    assert [one.fingerprint for one in alerts] == [item["fingerprint"] for item in told]
    assert all(one.status is AlertStatus.FIRING and one.ends_at is None for one in alerts)
    assert delivery.newest_at == max(parse_rfc3339(item["updatedAt"]) for item in told)


def test_what_is_silenced_is_told_nobody() -> None:
    alert = {"labels": {"alertname": "A"}, "startsAt": "2026-11-23T07:00:00Z", "status": {"state": "suppressed"}}
    assert of_api([alert], "here").bodies == []


def test_a_folder_stands_for_its_json_files(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", "c.txt"):
        (tmp_path / name).write_text('{"version": "4", "alerts": []}', encoding="utf-8")
    assert [Path(one.source).name for one in read_deliveries([tmp_path])] == ["a.json", "b.json"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("{}", "neither a webhook body nor"),
        ("[1]", "not an alert of Alertmanager's API"),
        ((PAYLOADS / "api-v2-silences.json").read_text(encoding="utf-8"), "not an alert of Alertmanager's API"),
    ],
)
def test_what_is_none_is_said_with_its_file(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=complaint) as error:
        read_deliveries([file])
    assert str(error.value).startswith(f"{file}: ")


def test_a_folder_without_bodies_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \*\.json file"):
        read_deliveries([tmp_path])
