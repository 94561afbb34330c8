"""The service as it is wired, for the tests that send it what pages of other sites can: at every route that it has.

The routes are the application's own. The browser of somebody who may everything is what such a page has; it adds a
password by itself, and a page that found a token adds that.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import bcrypt
from aiohttp import ClientSession, TCPConnector
from multidict import CIMultiDict
from structlog.testing import capture_logs

from remediator.api.entrance import SAFE_METHODS
from remediator.app import Service, open_service
from remediator.model import State
from remediator.receive.server import PATHS as ALERT_PATHS
from remediator.settings import Settings
from remediator.store.base import Change, Record
from remediator.store.sqlite import image_of
from tests.certificates import Authority
from tests.logkeys import PEM
from tests.unit.access.files import entry, token_file, written
from tests.unit.api.service import NOW, StoppedClock
from tests.unit.api.test_entrance import basic
from tests.unit.api.test_escalations import CALL
from tests.unit.receive.bodies import body, element
from tests.unit.store.examples import brought_to, escalated, firing, plan, queued, target

TOKEN = "full-token-0123456789abcdef"
WAYS_IN = {"a password": basic("ada", "right"), "a token": f"Bearer {TOKEN}"}
PLAN_HASH = "ab" * 32
RULES = """\
rules: [{name: crash-loop, match: ['alertname="A"'], severity: 1, respond: [{do: escalate}]}]
"""

OURS: Mapping[str, Sequence[str]] = {
    "absent": (),
    "same": ("http://{host}",),
    "same, in upper case": ("HTTP://LOCALHOST:{port}",),
    "same, encrypted by a proxy": ("https://{host}",),
}
THEIRS: Mapping[str, Sequence[str]] = {
    "another host": ("http://evil.example",),
    "another host in upper case": ("HTTP://EVIL.EXAMPLE:{port}",),
    "another port": ("http://localhost:1",),
    "the port of the scheme": ("http://localhost",),
    "another scheme": ("ftp://{host}",),
    "no scheme": ("//{host}",),
    "an extension of a browser": ("chrome-extension://{host}",),
    "null": ("null",),
    "empty": ("",),
    "our name at its beginning": ("http://localhost.evil.example:{port}",),
    "our name at its end": ("http://evil-localhost:{port}",),
    "our name as a user": ("http://localhost:{port}@evil.example:{port}",),
    "our name after a user": ("http://evil.example@{host}",),
    "our name as a path": ("http://evil.example/{host}",),
    "our name before a path": ("http://{host}/evil.example",),
    "a list that begins with ours": ("http://{host} http://evil.example",),
    "a list that ends with ours": ("http://evil.example http://{host}",),
    "two headers, ours first": ("http://{host}", "http://evil.example"),
    "two headers, ours last": ("http://evil.example", "http://{host}"),
    "no address": ("http://[",),
}
SITES: Mapping[str, Sequence[str]] = {
    "absent": (),
    "same-origin": ("same-origin",),
    "none": ("none",),
    "same-site": ("same-site",),
    "cross-site": ("cross-site",),
}
ODD_SITES: Mapping[str, Sequence[str]] = {
    "CROSS-SITE": ("CROSS-SITE",),
    "a word to come": ("anything",),
    "empty": ("",),
    "two headers, ours first": ("same-origin", "cross-site"),
    "two headers, ours last": ("cross-site", "same-origin"),
}
JSON = "application/json"

Said = tuple[str, str]
"""Names of what `Origin` and `Sec-Fetch-Site` say."""


@dataclass
class Watched:
    """The service, and what is asked of it. `log` are the lines that it wrote."""

    service: Service
    client: ClientSession
    log: Sequence[Mapping[str, Any]]
    scheme: str = "http"
    _seen: tuple[Any, ...] = ()

    @property
    def changing(self) -> list[tuple[str, str]]:
        """(path, method) of each route that is not for reading only, as the application has them."""
        routes = self.service._application().router.routes()
        found = {(route.resource.canonical, route.method) for route in routes if route.resource is not None}
        return sorted((path, method) for path, method in found if method not in SAFE_METHODS)

    async def content(self) -> str:
        """A hash of all that is kept."""
        return sha256(await self.service.database._writer.read(lambda t: image_of(t.connection))).hexdigest()

    async def is_changed(self) -> bool:
        """Whether a row was written, or a file loaded anew, since this was asked last."""
        rows = await self.service.database._writer.read(lambda t: t.connection.connection.total_changes)
        before, self._seen = self._seen, (rows, sum(line["event"] == "reloaded" for line in self.log))
        return self._seen != before

    @property
    def reading(self) -> list[tuple[str, str]]:
        routes = self.service._application().router.routes()
        found = {route.resource.canonical for route in routes if route.resource is not None and route.method == "GET"}
        return [(path, "GET") for path in sorted(found)]

    async def send_as(self, path: str, method: str, host: str, said: Mapping[str, str]) -> int:
        """By that name, as somebody who has no credential."""
        host = host.format(port=self.service.port)
        headers = {"Host": host, **{name: value.format(host=host) for name, value in said.items()}}
        if method not in SAFE_METHODS:
            headers["Content-Type"] = JSON
        return await self._sent(path, method, CIMultiDict(headers))

    async def send(self, path: str, method: str, said: Said, content_type: str | None, header: str) -> int:
        port = self.service.port
        headers = CIMultiDict({"Host": f"localhost:{port}", "Authorization": header})
        origin, site = {**OURS, **THEIRS}[said[0]], {**SITES, **ODD_SITES}[said[1]]
        for name, values in (("Origin", origin), ("Sec-Fetch-Site", site)):
            for value in values:
                headers.add(name, value.format(host=f"localhost:{port}", port=port))
        if content_type is not None:
            headers["Content-Type"] = content_type
        return await self._sent(path, method, headers)

    async def _sent(self, path: str, method: str, headers: CIMultiDict[str]) -> int:
        port = self.service.port
        where = re.sub(r"\{\w+\}", "2" if path.endswith("/deny") else "1", path)
        data = None if method in SAFE_METHODS else await self._payload(path)
        skip = ["Content-Type", "User-Agent"]
        options = {"data": data, "headers": headers, "skip_auto_headers": skip, "allow_redirects": False}
        async with self.client.request(method, f"{self.scheme}://127.0.0.1:{port}{where}", **options) as answer:
            await answer.read()
            assert not [name for name in answer.headers if name.lower().startswith("access-control-")], "no page reads"
            return answer.status

    async def _payload(self, path: str) -> bytes:
        """A body that is heeded, whatever its type is called."""
        if path in ALERT_PATHS:
            return body(element(labels={"alertname": "A", "namespace": "shop", "way": path}))
        if path.startswith("/-/"):
            return b""
        more: dict[str, Any] = {}
        match path.rpartition("/")[2]:
            case "pause":
                more = {"engaged": True}
            case "reset":
                more = {"what": "rule", "subject": "crash-loop"}
            case "approve" | "deny":
                more = {"plan_hash": PLAN_HASH}
            case "judge":
                more = {"judged": "right"}
            case "redact":
                more = {"seq": await self._redactable(), "fields": ["annotations"]}
            case "confirm":
                begun = self.service._keeper.standing_at_start
                assert begun is not None
                more = {"size": begun.size, "root": base64.b64encode(begun.root).decode()}
        return json.dumps({"comment": "x", "by": "eve", **more}).encode()

    async def _redactable(self) -> int:
        """The first record of what somebody sent."""
        found = await self.service.database.records(after=0, limit=100)
        return next(record.seq for record in found if record.kind == "alert.received")


async def approvals_and_more(service: Service) -> None:
    """Two rollbacks that wait for a person, and an escalation that somebody is called to."""
    store = service.database
    for number, name in ((1, "api"), (2, "cart")):
        [remediation] = await queued(store, firing(number))
        planned = await brought_to(store, remediation, State.PLANNED, on=target(name, uid=f"uid-{number}"))
        asked = {"target": str(target(name)), "plan_hash": PLAN_HASH, "requests": []}
        change = Change(rule="crash-loop", plan=plan(target(name)), due_at=NOW.replace(hour=13), scored="sense")
        record = Record("decision.awaiting-approval", asked)
        await store.advance(planned, to=State.AWAITING_APPROVAL, record=record, at=NOW, change=change)
    await escalated(store, firing(3), CALL, on=target("web"))


@asynccontextmanager
async def watched(
    folder: Path, *, tls: bool = False, is_open: bool = False, allowed: Sequence[str] = ()
) -> AsyncIterator[Watched]:
    """Who asks with a password or with the token may everything, and the operator may reload over HTTP. `is_open`:
    nobody has to say who they are, and `allowed` are names of the service."""
    right = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    web, connector = f"basic_auth_users: {{ada: {right}}}\n", TCPConnector()
    if tls:
        authority = Authority(folder)
        authority.server()
        web += "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
        connector = TCPConnector(ssl=ssl.create_default_context(cafile=str(authority.file)))
    (folder / "web.yaml").write_text(web, encoding="utf-8")
    (folder / "key.pem").write_bytes(PEM)
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    ada = entry("ada", basic_auth_user="ada", may="[alert, operate]", namespaces="['.*']")
    known = {
        "web_config_file": folder / "web.yaml",
        "web_credentials_file": written(folder, ada),
        "web_token_files": (token_file(folder, "token", TOKEN),),
    }
    settings = Settings.load(
        None,
        {
            **({} if is_open else known),
            "web_listen_address": "127.0.0.1:0",
            "web_allowed_hosts": tuple(allowed),
            "own_namespace": "home",
            "web_enable_lifecycle": True,
            "storage_url": f"sqlite:///{folder / 'watched.db'}",
            "audit_key_file": folder / "key.pem",
            "rules": (folder / "rules.yaml",),
            "kube_server": "http://127.0.0.1:9",
            "events": False,
        },
    )
    with capture_logs() as log:
        async with open_service(settings, clock=StoppedClock()) as service:
            async with ClientSession(connector=connector) as client:
                await approvals_and_more(service)
                one = Watched(service, client, log, "https" if tls else "http")
                await one.is_changed()
                yield one
            service.stop()
            await service.run()
