"""The real Alertmanager proves itself in every way that its `http_config` knows, and is refused with a wrong one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from remediator.app import Service, open_service
from remediator.clock import SystemClock
from remediator.settings import Settings
from remediator.simulate.apiserver import EmbeddedCluster
from tests.certificates import Authority
from tests.cluster.conftest import StartAlertmanager
from tests.cluster.waiting import wait_for_async
from tests.unit.access.files import OPS, entry, written

PASSWORD = "correct horse battery staple"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """The service with TLS, client certificates, a password and a token, each for one namespace."""
    authority = Authority(tmp_path)
    authority.server()
    authority.client("am", "am.shop.svc")
    Authority(tmp_path, "other").client("eve", "am.shop.svc")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    (tmp_path / "web.yaml").write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: authority.pem, "
        f"client_auth_type: VerifyClientCertIfGiven}}\nbasic_auth_users: {{pay: {hashed}}}\n",
        encoding="utf-8",
    )
    file = written(
        tmp_path,
        entry("by-certificate", client_name="am.shop.svc", namespaces="[shop]", receivers="['team[.]shop/.*']"),
        entry("by-password", basic_auth_user="pay", namespaces="[pay]"),
        entry("by-token", OPS, namespaces="[ops]"),
    )
    async with EmbeddedCluster(SystemClock()) as cluster:
        settings = Settings.load(
            None,
            {
                "web_listen_address": "127.0.0.1:0",
                "web_config_file": tmp_path / "web.yaml",
                "web_credentials_file": file,
                "storage_url": "sqlite:///:memory:",
                "kube_server": cluster.url,
                "poll_seconds": 0.1,
            },
        )
        async with open_service(settings, clock=SystemClock()) as opened, asyncio.TaskGroup() as group:
            running = group.create_task(opened.run())
            yield opened
            opened.stop()
            await running


def config(service: Service, folder: Path) -> dict[str, Any]:
    """A route by the label `by`; all to the service, each with a proof of its own."""
    ca = {"ca_file": str(folder / "authority.pem")}

    def certificate(name: str) -> dict[str, str]:
        return {**ca, "cert_file": str(folder / f"{name}.crt"), "key_file": str(folder / f"{name}.key")}

    token = {"type": "Bearer", "credentials": OPS}
    proofs: dict[str, dict[str, Any]] = {
        "certificate": {"tls_config": certificate("am")},
        "password": {"tls_config": ca, "basic_auth": {"username": "pay", "password": PASSWORD}},
        "token": {"tls_config": ca, "authorization": token},
        "wrong-token": {"tls_config": ca, "authorization": {**token, "credentials": "wrong-0123456789abcdef"}},
        "wrong-password": {"tls_config": ca, "basic_auth": {"username": "pay", "password": "wrong"}},
        "wrong-certificate": {"tls_config": certificate("eve")},
        "nothing": {"tls_config": ca},
    }
    url = f"https://127.0.0.1:{service.port}/api/v1/alerts"
    webhooks = {
        f"team.shop/am/{name}": {"url": url, "send_resolved": True, "http_config": {**proof, "follow_redirects": False}}
        for name, proof in proofs.items()
    }
    routes = [
        {"receiver": name, "matchers": [f'by="{name.rpartition("/")[2]}"'], "group_by": ["..."]} for name in webhooks
    ]
    return {
        "route": {
            "receiver": next(iter(webhooks)),
            "routes": routes,
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": name, "webhook_configs": [webhook]} for name, webhook in webhooks.items()],
    }


async def test_alertmanager_proves_itself_and_a_wrong_proof_is_refused(
    service: Service, start_alertmanager: StartAlertmanager, tmp_path: Path
) -> None:
    alertmanager = start_alertmanager(config(service, tmp_path))  # from the main thread, as the rig wants it
    sent = [("certificate", "shop"), ("password", "pay"), ("token", "ops"), ("token", "shop"), ("wrong-token", "ops")]
    sent += [("wrong-password", "pay"), ("wrong-certificate", "shop"), ("nothing", "shop")]
    alerts = [{"labels": {"alertname": "Proof", "by": by, "namespace": namespace}} for by, namespace in sent]
    await asyncio.to_thread(alertmanager.post_alerts, alerts)

    refused = {
        "wrong-token": "unexpected status code 401",
        "wrong-password": "unexpected status code 401",
        "nothing": "unexpected status code 401",
        "wrong-certificate": "EOF",  # the handshake ends; asyncio sends no reason with it
    }

    def is_told() -> bool:
        lines = alertmanager.log_file.read_text(encoding="utf-8").splitlines()
        return all(any(f"am/{by}" in line and said in line for line in lines) for by, said in refused.items())

    async def kept() -> list[tuple[str, str, str]]:
        found = [one for one in await service.database.records(after=0, limit=1000) if one.kind.startswith("alert.")]
        assert len(found) >= 4
        bodies = [(one.kind, one.body, one.body.get("labels", {})) for one in found]
        return sorted((kind, said["credential"], labels.get("namespace", "")) for kind, said, labels in bodies)

    await wait_for_async(is_told, timeout_seconds=20, what="Alertmanager says what it was refused")
    assert await wait_for_async(kept, timeout_seconds=20, what="what was let in is kept") == [
        ("alert.quarantined", "by-token", ""),
        ("alert.received", "by-certificate", "shop"),
        ("alert.received", "by-password", "pay"),
        ("alert.received", "by-token", "ops"),
    ]
