"""Nobody is connected to but whom the operator configured, whatever addresses alerts, logs and objects carry.

The service as it is wired, in this process, with the embedded cluster and Prometheus: alerts come in, are diagnosed,
acted on, verified and told, and everything that can be read is read. The interpreter says of every socket where it goes
and of every name that it is looked up.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

import remediator.app
from remediator.api.exporting import FORMATS
from remediator.api.exporting import PATH as EXPORT
from remediator.app import Service, open_service
from remediator.clock import FastClock
from remediator.model import TERMINAL, Alert, Json
from remediator.pipeline import admit
from remediator.settings import Settings
from remediator.simulate.alertmanager import SentAlert, deliver, webhook_bodies
from remediator.simulate.alertrules import kubernetes_rules
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.prometheus import EmbeddedPrometheus
from remediator.simulate.scenario import bad_releases, good_releases
from remediator.store.base import Accepted
from tests.cluster.waiting import wait_for_async
from tests.hostile.egress import Egress, Stranger, stranger, watched_egress
from tests.logkeys import signing
from tests.unit.scripted_server import Answer, Asked, Script, ScriptedServer

SPEED = 100.0
BAIT = "bait"
FOREIGN_NAMES = ("foreign.example.invalid", "kubernetes.default.svc", "metadata.google.internal")
RULES = """\
rules:
  - name: crash-loop
    match: ['alertname="KubePodCrashLooping"']
    severity: 1
    diagnose: [containers, logs, events, rollout, config, node]
    respond:
      - {when: {cause: [code-error, cannot-start], deployed_within: 2h}, do: rollback}
      - {do: escalate}
    verify: {expect: [rollout-complete, pods-ready, alert-clear], within: 10m, stable_for: 1m, otherwise: revert}
    limits: [12 per 10m, 60 per 1h]
    guards: {storm: {targets: 50, share: 100}, shared-cause: {share: 90, targets: 20}, cluster-health: {faults: 50}}
    mode: active
"""
ENDED = {state.value for state in TERMINAL}


@dataclass(frozen=True)
class Baits:
    """Addresses that nothing may follow; `file` must not be opened."""

    stranger: Stranger
    file: Path

    def urls(self) -> Sequence[str]:
        port = self.stranger.port
        return (
            f"{self.stranger.url}/runbook?token=x",
            f"HTTP://127.0.0.1:{port}/",
            f"//127.0.0.1:{port}/",
            f"ws://127.0.0.1:{port}/",
            f"gopher://127.0.0.1:{port}/_x",
            f"ftp://127.0.0.1:{port}/",
            f"http://127.0.0.1:80@127.0.0.1:{port}/",
            f"http://[::ffff:127.0.0.1]:{port}/",
            f"http://2130706433:{port}/",
            "http://169.254.169.254/latest/meta-data/iam/",
            f"file://{self.file}",
            f"ldap://{FOREIGN_NAMES[0]}/a",
            *(f"https://{name}/" for name in FOREIGN_NAMES),
            f"${{jndi:ldap://{FOREIGN_NAMES[0]}:{port}/a}}",
            f"{{{{ lookup('url', '{self.stranger.url}') }}}}",
        )

    def annotations(self) -> dict[str, str]:
        """Under the names that people and programs give to links, and under others."""
        names = ("runbook_url", "dashboard", "dashboard_url", "link", "links", "image", "icon", "logs", "__url__")
        urls = self.urls()
        found = {name: urls[number % len(urls)] for number, name in enumerate(names)}
        found |= {f"url_{number}": url for number, url in enumerate(urls)}
        markup = f"[see]({urls[0]}) ![x]({urls[0]}) <img src={urls[0]}>"
        return found | {"summary": " ".join(urls), "description": markup}

    def labels(self) -> dict[str, str]:
        names = ("prometheus", "cluster_url", "dashboard", "webhook", "callback", "remediate_url", "image", "host")
        return dict(zip(names, self.urls(), strict=False)) | {"proxy": FOREIGN_NAMES[0]}

    def log(self) -> str:
        lines = "\n".join(f"see {url}" for url in self.urls())
        return f'{lines}\nTraceback (most recent call last):\n  File "/app/main.py", line 1\nTypeError: no argument\n'


@dataclass
class Scene:
    """The service and those whom it may connect to. `baits` are what it may not."""

    service: Service
    cluster: EmbeddedCluster
    prometheus: EmbeddedPrometheus
    alertmanager: ScriptedServer
    webhook: ScriptedServer
    baits: Baits

    url: str

    @property
    def listed(self) -> set[int]:
        """The ports of all that is configured, and of the service."""
        others = (self.cluster.url, self.prometheus.url, self.alertmanager.url, self.webhook.url)
        return {int(url.rpartition(":")[2]) for url in (*others, self.url)}


def listed(sent: Sequence[SentAlert], baits: Baits) -> list[Json]:
    """As Alertmanager's API has them."""
    found = []
    for body in webhook_bodies(sent):
        for element in body["alerts"]:
            status = {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []}
            kept = {name: element[name] for name in ("labels", "annotations", "startsAt", "fingerprint")}
            more = {"endsAt": "2999-01-01T00:00:00Z", "updatedAt": element["startsAt"], "status": status}
            found.append({**kept, **more, "generatorURL": baits.urls()[0], "receivers": [{"name": "remediator"}]})
    return found


def listing(alerts: Sequence[Json]) -> Script:
    def answer(asked: Asked) -> Answer:
        return Answer(body={"uptime": "2020-01-01T00:00:00Z"} if asked.path.endswith("/status") else alerts)

    return answer


@asynccontextmanager
async def scene(folder: Path, clock: FastClock) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        baits = Baits(await stack.enter_async_context(stranger()), folder / BAIT)
        cluster = await stack.enter_async_context(EmbeddedCluster(clock))
        rules = [
            replace(rule, annotations={**rule.annotations, **baits.annotations()})
            for rule in kubernetes_rules(hold=timedelta(minutes=1))
        ]
        prometheus = await stack.enter_async_context(EmbeddedPrometheus(clock, cluster, rules=rules))
        alertmanager, webhook = ScriptedServer(), ScriptedServer()
        for server in (alertmanager, webhook):
            await server.start()
            stack.push_async_callback(server.stop)
        alertmanager.script(listing([]))
        webhook.answers(Answer(307, b"", {"Location": baits.stranger.url}), Answer())
        (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
        settings = Settings.load(
            None,
            {
                "web_listen_address": "127.0.0.1:0",
                "storage_url": "sqlite:///:memory:",
                "rules": (folder / "rules.yaml",),
                "mode": "active",
                "kube_server": cluster.url,
                "prometheus_url": prometheus.url,
                "alertmanager_urls": (f"http://127.0.0.1:{alertmanager.port}",),
                "webhook_url": f"http://127.0.0.1:{webhook.port}/hook",
                "poll_seconds": 0.05,
                "lease_seconds": 3600,
                "reconcile_seconds": 60,
                "grace_seconds": 2,
                "reload_poll_seconds": 0,
                **signing(folder),
            },
        )
        async with open_service(settings, clock=clock) as service, asyncio.TaskGroup() as group:
            running = group.create_task(service.run())
            try:
                url = f"http://127.0.0.1:{service.port}"
                yield Scene(service, cluster, prometheus, alertmanager, webhook, baits, url)
            finally:
                service.stop()
            await running


async def whole_way(one: Scene, clock: FastClock) -> list[str]:
    """Four releases go wrong, one of them for a cause that is acted on; the kinds of what was recorded."""
    await good_releases(one.cluster, clock)
    one.cluster.set_logs("checkout", previous=one.baits.log())
    found = await bad_releases(one.cluster, one.prometheus, clock)
    sent = [
        replace(
            alert,
            labels={**alert.labels, **one.baits.labels()},
            annotations={**alert.annotations, **one.baits.annotations()},
            generator_url=url,
        )
        for alert, url in zip(found, one.baits.urls(), strict=False)
    ]
    one.alertmanager.script(listing(listed(sent, one.baits)))
    for alert in sent:
        for body in webhook_bodies([alert], external_url=one.baits.urls()[0]):
            assert await deliver(f"{one.url}/api/v1/alerts", body) == 200

    async def kinds_if_ended() -> list[str]:
        records = await one.service.database.records(after=0, limit=1000)
        ended = {record.remediation_id for record in records if record.body.get("to") in ENDED}
        return [record.kind for record in records] if len(ended) >= len(sent) else []

    return await wait_for_async(kinds_if_ended, timeout_seconds=60, what="the end of all alerts")


def pages(service: Service) -> Iterator[str]:
    """All that can be read, in every form."""
    for route in service._application().router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        if route.method == "GET" and path not in ("", EXPORT):
            path = path.replace("{namespace}/{name}", "shop/checkout").replace("{rule}", "crash-loop")
            yield re.sub(r"\{\w+\}", "1", path)
    for form in FORMATS:
        yield from (f"{EXPORT}?incident=1&format={form}", f"{EXPORT}?since=24h&all=true&format={form}")
    yield f"{EXPORT}?incident=1&format=bundle"
    for form in ("markdown", "html"):
        yield from (f"/api/v1/report/{report}?format={form}" for report in ("handoff", "monthly"))


async def read_and_said(one: Scene) -> Mapping[str, str]:
    """Every page is read, and people say things with addresses in them; path -> what it showed."""
    shown: dict[str, str] = {}
    async with aiohttp.ClientSession(one.url) as client:
        for path in pages(one.service):
            async with client.get(path) as answer:
                shown[path] = (await answer.read()).decode("utf-8", "replace")
                assert answer.status == 200, path
        for path, more in (("pause", {"engaged": True}), ("reset", {"what": "target", "subject": one.baits.urls()[0]})):
            said: dict[str, Any] = {"comment": " ".join(one.baits.urls())[:900], "by": one.baits.urls()[0], **more}
            async with client.post(f"/api/v1/{path}", json=said) as answer:
                assert answer.status == 200
    return shown


@dataclass(frozen=True)
class Lived:
    """What one life of the service came to."""

    egress: Egress
    scene: Scene
    kinds: Sequence[str]
    shown: Mapping[str, str]


async def lived(folder: Path) -> Lived:
    clock = FastClock(speed=SPEED)
    (folder / BAIT).write_text("secret", encoding="utf-8")
    with watched_egress() as egress:
        async with scene(folder, clock) as one:
            kinds = await whole_way(one, clock)
            shown = await read_and_said(one)
    return Lived(egress, one, kinds, shown)


async def test_only_whom_the_operator_configured_is_connected_to(tmp_path: Path) -> None:
    life = await lived(tmp_path)
    assert {"action.applied", "outcome.verified", "decision.escalated"} <= set(life.kinds), "it went the whole way"
    assert {"/hook"} == {asked.path for asked in life.scene.webhook.asked}
    assert any("/events" in call.path for call in life.scene.cluster.writes), "every sink was told"
    assert [path for path, text in life.shown.items() if FOREIGN_NAMES[0] in text], "and there was what to follow"

    assert life.egress.ports == life.scene.listed, "each of them, and nobody else"
    assert life.scene.baits.stranger.connections == 0
    assert set(life.egress.asked) <= {"127.0.0.1"}
    assert not [name for name in life.egress.opened if str(life.scene.baits.file) in name or "://" in name]


async def test_a_service_that_follows_what_alerts_carry_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: one that looks where the alert says that it comes from."""

    async def curious(alerts: Sequence[Alert], **more: Any) -> Accepted:
        async with aiohttp.ClientSession() as session:
            for alert in alerts:
                for url in (alert.generator_url, alert.annotations["link"]):
                    with suppress(aiohttp.ClientError, ValueError):
                        await session.get(url)
        return await admit(alerts, **more)

    monkeypatch.setattr(remediator.app, "admit", curious)
    life = await lived(tmp_path)
    assert life.egress.ports - life.scene.listed == {life.scene.baits.stranger.port}
    assert life.scene.baits.stranger.connections > 0


async def test_every_way_out_is_seen(tmp_path: Path) -> None:
    """The other one: through the loop, through a library on a thread of its own, by a name, and what is no network."""
    bait = tmp_path / BAIT
    bait.write_text("secret", encoding="utf-8")
    async with stranger() as one:
        with watched_egress() as egress:
            _, writer = await asyncio.open_connection("127.0.0.1", one.port)
            writer.close()
            await writer.wait_closed()
            with suppress(requests.RequestException):
                await asyncio.to_thread(requests.get, one.url, timeout=5)
            with suppress(OSError):
                await asyncio.get_running_loop().getaddrinfo(FOREIGN_NAMES[0], 80)
            await asyncio.to_thread(bait.read_text, encoding="utf-8")
        with suppress(requests.RequestException):
            await asyncio.to_thread(requests.get, one.url, timeout=5)
    assert egress.connected == [("127.0.0.1", one.port)] * 2, "and what comes later is not"
    assert FOREIGN_NAMES[0] in egress.asked
    assert str(bait) in egress.opened
    assert one.connections == 3
