"""The ways in which Alertmanager can prove itself (`http_config`), against our own receiver."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from aiohttp import web

from tests.alertmanager.conftest import Start
from tests.alertmanager.lab import Fact, config, serving, until, webhook
from tests.certificates import Authority
from tests.unit.access.files import OPS, PAY, SHOP, entry, written

NAME = "team.a/default+x"
HASH = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()


@pytest.fixture
async def token_url() -> AsyncIterator[str]:
    """An OAuth 2 server that gives one token for client credentials."""

    async def token(_: web.Request) -> web.Response:
        return web.json_response({"access_token": PAY, "token_type": "Bearer", "expires_in": 3600})

    application = web.Application()
    application.router.add_post("/token", token)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    await runner.cleanup()


def routed(hooks: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A receiver for each way, and a route by the alert's name; a name as an operator makes them."""
    made = config("http://127.0.0.1:1/")
    made["receivers"] += [{"name": name, "webhook_configs": [hook]} for name, hook in hooks.items()]
    made["route"]["routes"] = [{"receiver": name, "matchers": [f'case="{name}"']} for name in hooks]
    return made


def facts(names: list[str]) -> list[dict[str, Any]]:
    return [Fact(f"T-{name}", labels={"case": name}).fires() for name in names]


async def test_every_way_over_http(alertmanager: Start, tmp_path: Path, token_url: str) -> None:
    """Basic in both spellings, bearer from a file, OAuth 2. Wrong and missing ones are refused, and are not retried; an
    unknown scheme and a header of one's own are no proof."""
    token = tmp_path / "token"
    token.write_text(SHOP + "\n")
    web_config = tmp_path / "web.yaml"
    web_config.write_text(f"basic_auth_users: {{ada: {HASH}, bob: {HASH}}}")
    credentials = written(
        tmp_path,
        entry("token", SHOP, namespaces="['.*']", receivers=f"['{re.escape(NAME)}', bearer]"),
        entry("oauth", PAY, namespaces="[shop]"),
        entry("reader", OPS, may="[read]"),
        "  - {name: ada, basic_auth_user: ada, namespaces: ['.*']}\n",
        "  - {name: bob, basic_auth_user: bob, namespaces: ['.*'], receivers: [none-of-these]}\n",
    )
    async with serving(tmp_path, web_credentials_file=credentials, web_config_file=web_config) as service:
        service.token = OPS
        url = f"{service.url}/api/v1/alerts"
        in_url = url.replace("://", "://ada:correct%20horse@")
        scopes = {"client_id": "am", "client_secret": "s", "token_url": token_url}
        bearer = {"authorization": {"credentials_file": str(token)}}
        good = {
            "basic": webhook(url, http_config={"basic_auth": {"username": "ada", "password": "correct horse"}}),
            "userinfo": webhook(in_url),
            "bearer": webhook(url, http_config=bearer),
            NAME: webhook(url, http_config=bearer),
            "oauth2": webhook(url, http_config={"oauth2": scopes}),
        }
        bad = {
            "none": webhook(url),
            "wrong": webhook(url, http_config={"authorization": {"credentials": "x" * 30}}),
            "scheme": webhook(url, http_config={"authorization": {"type": "ApiKey", "credentials": SHOP}}),
            "header": webhook(url, http_config={"http_headers": {"X-Token": {"values": [SHOP]}}}),
            "password": webhook(url, http_config={"basic_auth": {"username": "ada", "password": "no"}}),
            "reader": webhook(url, http_config={"authorization": {"credentials": OPS}}),
            "receiver": webhook(url, http_config={"basic_auth": {"username": "bob", "password": "correct horse"}}),
        }
        one = alertmanager(routed({**good, **bad}), "--log.level=debug")
        one.post_alerts(facts([*good, *bad]))

        async def all_tried() -> bool:
            refused = await service.metric('remediator_webhook_requests_total{code="401"}')
            refused += await service.metric('remediator_webhook_requests_total{code="403"}')
            aside = await service.metric('remediator_alerts_outside_credential_total{credential="bob"}')
            return len(await service.begun()) == len(good) and refused >= len(bad) - 1 and aside >= 1

        await until(all_tried, "all have been tried")
        came = {r.body["labels"]["case"]: r.body["credential"] for r in await service.records("alert.received")}
        assert came == {"basic": "ada", "userinfo": "ada", "bearer": "token", NAME: "token", "oauth2": "oauth"}
        assert SHOP not in one.log_tails(10_000), "nothing of it is in an answer that Alertmanager logs"


async def test_a_client_certificate_and_a_token_over_tls(alertmanager: Start, tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    authority.server()
    ours, other = authority.client("am", "am.example"), stranger.client("nobody", "am.example")
    (tmp_path / "web.yaml").write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: authority.pem, "
        "client_auth_type: VerifyClientCertIfGiven}"
    )
    credentials = written(
        tmp_path,
        entry("token", SHOP, namespaces="['.*']"),
        "  - {name: mesh, client_name: am.example, namespaces: ['.*']}\n",
    )
    files = {"web_credentials_file": credentials, "web_config_file": tmp_path / "web.yaml"}
    async with serving(tmp_path, **files) as service:
        url = f"https://127.0.0.1:{service.service.port}/api/v1/alerts"
        tls = {"ca_file": str(authority.file)}
        mutual = tls | {"cert_file": str(ours.cert), "key_file": str(ours.key)}
        strange = tls | {"cert_file": str(other.cert), "key_file": str(other.key)}
        one = alertmanager(
            routed(
                {
                    "mutual": webhook(url, http_config={"tls_config": mutual}),
                    "token": webhook(url, http_config={"tls_config": tls, "authorization": {"credentials": SHOP}}),
                    "strange": webhook(url, http_config={"tls_config": strange}),
                    "plain": webhook(url.replace("https", "http")),
                }
            )
        )
        one.post_alerts(facts(["mutual", "token", "strange", "plain"]))

        async def both_begun() -> bool:
            return len(await service.begun()) == 2

        await until(both_begun, "both are let in")
        await until(lambda: one.log_tails(500).count("level=WARN") >= 2, "the others were tried")
        came = {r.body["labels"]["case"]: r.body["credential"] for r in await service.records("alert.received")}
        assert came == {"mutual": "mesh", "token": "token"}
