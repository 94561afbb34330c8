import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from remediator.clock import parse_rfc3339
from remediator.simulate.alertmanager import SentAlert, deliver, fingerprint, webhook_bodies, wire_bytes

PAYLOADS = Path(__file__).parents[2] / "data" / "payloads"
START = datetime.fromisoformat("2026-11-23T12:00:00Z")


def recorded() -> list[Any]:
    found = []
    for file in sorted(PAYLOADS.glob("*.json")):
        body = json.loads(file.read_text())
        if isinstance(body, dict) and body.get("version") == "4":
            found.append(pytest.param(file, body, id=file.stem))
    return found


@pytest.mark.parametrize(("file", "body"), recorded())
def test_fingerprints_are_those_of_a_real_alertmanager(file: Path, body: Any) -> None:
    assert [fingerprint(alert["labels"]) for alert in body["alerts"]] == [a["fingerprint"] for a in body["alerts"]]


@pytest.mark.parametrize("name", ["firing-kubepodnotready", "firing-multi-kubepodcrashlooping", "resolved-all"])
def test_a_recorded_body_is_built_again_from_its_alerts(name: str) -> None:
    body = json.loads((PAYLOADS / f"{name}.json").read_text())
    (built,) = webhook_bodies(
        [sent(alert) for alert in body["alerts"]],
        receiver=body["receiver"],
        group_by=list(body["groupLabels"]),
        route=body["groupKey"].rpartition(":{")[0],
        external_url=body["externalURL"],
    )
    for alert in (*built["alerts"], *body["alerts"]):
        # Go prints fractions of a second without trailing zeroes.
        alert["startsAt"], alert["endsAt"] = (parse_rfc3339(alert[key]) for key in ("startsAt", "endsAt"))
    assert built == body


def sent(alert: Any) -> SentAlert:
    return SentAlert(
        labels=alert["labels"],
        annotations=alert["annotations"],
        starts_at=parse_rfc3339(alert["startsAt"]),
        ends_at=None if alert["status"] == "firing" else parse_rfc3339(alert["endsAt"]),
        generator_url=alert["generatorURL"],
    )


def test_the_bytes_are_those_of_gos_encoder() -> None:
    recorded_bytes = (PAYLOADS / "wire-bytes-special-characters.json").read_bytes()
    assert wire_bytes(json.loads(recorded_bytes)) == recorded_bytes


def test_one_body_for_each_group() -> None:
    alerts = [SentAlert({"alertname": name, "namespace": "shop", "pod": pod}, START) for name in "BA" for pod in "21"]
    bodies = webhook_bodies(alerts)
    assert [body["groupKey"] for body in bodies] == [
        '{}:{alertname="A", namespace="shop"}',
        '{}:{alertname="B", namespace="shop"}',
    ]
    assert [alert["labels"]["pod"] for alert in bodies[0]["alerts"]] == ["1", "2"]
    assert bodies[0]["commonLabels"] == {"alertname": "A", "namespace": "shop"}


def test_a_body_is_firing_while_any_of_its_alerts_is() -> None:
    labels = {"alertname": "A"}
    ended = SentAlert({**labels, "pod": "1"}, START, ends_at=START)
    firing = SentAlert({**labels, "pod": "2"}, START)
    assert [body["status"] for body in webhook_bodies([ended, firing])] == ["firing"]
    assert [body["status"] for body in webhook_bodies([ended])] == ["resolved"]


async def test_a_delivery_is_one_post_with_alertmanagers_headers() -> None:
    seen: list[Any] = []

    async def receive(request: web.Request) -> web.Response:
        seen.append((request.headers["User-Agent"], request.headers["Authorization"], await request.read()))
        return web.Response(status=503)

    application = web.Application()
    application.router.add_post("/hook", receive)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        status = await deliver(f"http://127.0.0.1:{runner.addresses[0][1]}/hook", {"a": "<"}, token="t")
    finally:
        await runner.cleanup()
    assert status == 503
    assert seen == [("Alertmanager/0.31.1", "Bearer t", b'{"a":"\\u003c"}\n')]
