"""Pages of other sites change nothing in the service as it is wired: routes x Origin x Fetch Metadata x content types.

The routes are the application's own. The browser of somebody who may everything is what such a page has; it adds a
password by itself, and a page that found a token adds that. What a foreign page can make it send is known by what the
page cannot forge: `Sec-Fetch-Site`, and `Origin` where the browser is older than that.

A page whose name was made to point at the service says all of these truly: for its browser it is the service's own.
Where nobody has to say who they are its name is what is left, which it cannot forge either (DNS rebinding).
"""

from __future__ import annotations

import base64
import itertools
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
import pytest
from aiohttp import ClientSession, TCPConnector
from multidict import CIMultiDict
from structlog.testing import capture_logs

from remediator.api import entrance
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
OUR_SITES = ("same-origin", "none")
JSON = "application/json"
FORMS: Sequence[str | None] = (
    "text/plain",
    "text/plain; application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    None,
)
"""All that a page can send without being asked first whether it may."""

REBOUND = (
    "evil.example:{port}",
    "evil.example",
    "EVIL.EXAMPLE:{port}",
    "evil.example.",
    "localhost.evil.example:{port}",
    "127.0.0.1.evil.example:{port}",
    "evil-localhost.example",
    "remediator.remediator.svc.evil.example",
    "remediator.shop.svc:{port}",
    "remediator.home.dev",
    "remediator.home",
    "evil.example:{port}@localhost",
    "localhost@evil.example",
    "localhost/evil.example",
    "[::1].evil.example",
    "[evil.example]",
    "localhost:{port}:evil.example",
    "",
)
"""`Host` of pages that can be another's, or that is none. Our namespace is `home`, and so could be a domain."""
KNOWN = (
    "127.0.0.1:{port}",
    "10.2.3.4",
    "[::1]:{port}",
    "localhost:{port}",
    "LOCALHOST",
    "localhost.",
    "remediator.localhost",
    "remediator:{port}",
    "remediator.home.svc:{port}",
    "remediator.home.svc.cluster.local.",
    "ops.example.org:{port}",
    "a.shop.example.net",
)
"""`Host` of pages that can only be ours; the last two are in the settings."""
OF_BROWSERS: Mapping[str, Mapping[str, str]] = {
    "a page that changes something": {"Origin": "http://{host}", "User-Agent": "x"},
    "a page that reads, as Chromium sends it": {"User-Agent": "Mozilla/5.0", "Accept-Language": "en-US,en;q=0.9"},
    "a page that says another language, in Chromium": {"User-Agent": "Mozilla/5.0", "Accept-Language": ""},
    "a page that says another language and browser": {"User-Agent": "curl/8", "Accept-Language": ""},
    "a page that a browser trusts": {"Sec-Fetch-Site": "same-origin", "User-Agent": "x"},
    "a person who types": {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "User-Agent": "Mozilla/5.0"},
}
PROGRAMS: Mapping[str, Mapping[str, str]] = {
    "Alertmanager": {"User-Agent": "Alertmanager/0.34.0"},
    "Prometheus": {"User-Agent": "Prometheus/3.9.1", "Accept": "text/plain", "Accept-Encoding": "gzip"},
    "the commands": {"User-Agent": "Python-urllib/3.11"},
    "who says nothing": {},
}

Said = tuple[str, str]
"""Names of what `Origin` and `Sec-Fetch-Site` say."""

EVERY_SAID: Sequence[Said] = (
    *itertools.product((*OURS, *THEIRS), SITES),
    *itertools.product(("absent", "same", "another host"), ODD_SITES),
)


def is_foreign(said: Said) -> bool:
    origin, site = said
    return origin in THEIRS if site == "absent" else site not in OUR_SITES


FOREIGN = [said for said in EVERY_SAID if is_foreign(said)]
OWN = [said for said in EVERY_SAID if not is_foreign(said)]
OURSELVES: Sequence[Said] = (
    ("absent", "absent"),
    ("same", "absent"),
    ("same", "same-origin"),
    ("absent", "none"),
    ("null", "same-origin"),
)
"""Programs, and browsers on our own pages; one that keeps its referrer to itself says `null`."""


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


async def test_whatever_a_foreign_page_has_sent_changes_nothing(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """As JSON, which would be heeded, and as one of what forms can send; with `--long` as all of that."""
    async with watched(tmp_path) as one:
        before, count = await one.content(), 0
        for number, (said, (path, method), way) in enumerate(itertools.product(FOREIGN, one.changing, WAYS_IN)):
            forms = FORMS if request.config.getoption("--long") else [FORMS[number % len(FORMS)]]
            for content_type in (JSON, *forms):
                case = (path, method, said, content_type, way)
                assert await one.send(path, method, said, content_type, WAYS_IN[way]) == 403, case
                count += 1
            assert not await one.is_changed(), (path, method, said, way)
        assert count >= 2 * 2 * len(FOREIGN) * len(one.changing)
        assert await one.content() == before


async def test_what_a_form_can_send_is_not_heeded_wherever_it_is_from(tmp_path: Path) -> None:
    """A browser that says neither where it is nor where it was is not told from a program: the type is left. A reload
    has no body and is of no type."""
    async with watched(tmp_path) as one:
        before = await one.content()
        typed = [route for route in one.changing if not route[0].startswith("/-/")]
        for (path, method), said, content_type, way in itertools.product(typed, OURSELVES, FORMS, WAYS_IN):
            case = (path, method, said, content_type, way)
            assert await one.send(path, method, said, content_type, WAYS_IN[way]) == 415, case
            assert not await one.is_changed(), case
        assert await one.content() == before


@pytest.mark.parametrize("way", WAYS_IN)
async def test_all_that_is_ours_is_heard_at_each_route(
    tmp_path: Path, way: str, request: pytest.FixtureRequest
) -> None:
    """The other half: the same requests change something, every one of them. Afterwards the second approval is too
    late, and so is the second word on the log."""
    async with watched(tmp_path) as one:
        for said in OWN if request.config.getoption("--long") else OURSELVES:
            for path, method in one.changing:
                status, is_changed = await one.send(path, method, said, JSON, WAYS_IN[way]), await one.is_changed()
                assert status == 200 or (status in (404, 409) and said != OURSELVES[0]), (path, method, said)
                assert is_changed == (status == 200), (path, method, said)


async def test_without_the_question_the_same_matrix_changes_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: at every route, with a password and with a token."""
    monkeypatch.setattr(entrance, "is_of_another_site", lambda _: False)
    said: Said = ("another host", "cross-site")
    for way in WAYS_IN:
        folder = tmp_path / way
        folder.mkdir()
        async with watched(folder) as one:
            before = await one.content()
            changed = []
            for path, method in one.changing:
                await one.send(path, method, said, JSON, WAYS_IN[way])
                changed += [(path, method)] if await one.is_changed() else []
            assert changed == one.changing
            assert await one.content() != before


async def test_where_we_encrypt_a_page_that_is_not_encrypted_is_another(tmp_path: Path) -> None:
    """Whoever sits on the line writes it."""
    async with watched(tmp_path, tls=True) as one:
        for path, method in one.changing:
            assert await one.send(path, method, ("same", "absent"), JSON, WAYS_IN["a password"]) == 403, path
            assert not await one.is_changed()
        for path, method in one.changing:
            said = ("same, encrypted by a proxy", "absent")
            assert await one.send(path, method, said, JSON, WAYS_IN["a password"]) == 200, path
            assert await one.is_changed()


# -- pages whose name was made to point at the service


ALLOWED = ("Ops.example.org", ".shop.example.net")
OPEN = ("/-/healthy", "/-/ready")
"""What the kubelet asks."""


async def test_where_nobody_has_to_say_who_they_are_a_page_by_another_name_is_refused(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """It reads nothing and changes nothing, whatever its browser says of itself: at each route by one of the names and
    with one of the ways to say it, in turn; with `--long` by all and with all."""
    async with watched(tmp_path, is_open=True, allowed=ALLOWED) as one:
        before, routes = await one.content(), [*one.changing, *one.reading]
        routes = [route for route in routes if route[0] not in OPEN]
        whole = [*itertools.product(REBOUND, OF_BROWSERS)]
        for number, (path, method) in enumerate(routes):
            for host, said in whole if request.config.getoption("--long") else whole[number % 5 :: 5]:
                status = await one.send_as(path, method, host, OF_BROWSERS[said])
                assert (status == 403) is (path not in OPEN), (path, method, host, said, status)
        assert not await one.is_changed()
        assert await one.content() == before


async def test_a_browser_that_comes_by_a_name_of_ours_is_heard_at_each_route(tmp_path: Path) -> None:
    """The other half: the same requests change something."""
    async with watched(tmp_path, is_open=True, allowed=ALLOWED) as one:
        for number, (path, method) in enumerate([*one.changing, *one.reading]):
            host, said = KNOWN[number % len(KNOWN)], [*OF_BROWSERS.values()][number % len(OF_BROWSERS)]
            status, is_changed = await one.send_as(path, method, host, said), await one.is_changed()
            assert status not in (401, 403), (path, method, host, said)
            assert (status == 200 and is_changed) or method in SAFE_METHODS, (path, method, host, said, status)
        for host, said in itertools.product(KNOWN, OF_BROWSERS.values()):
            assert await one.send_as("/api/v1/incidents", "GET", host, said) == 200, (host, said)


async def test_programs_come_by_any_name_that_people_gave_the_service(tmp_path: Path) -> None:
    """Alertmanager's webhook above all: what a Service or a proxy is called nobody knows here."""
    async with watched(tmp_path, is_open=True) as one:
        for said, host in itertools.product(PROGRAMS, [*REBOUND, *KNOWN]):
            for path in ALERT_PATHS:
                assert await one.send_as(path, "POST", host, PROGRAMS[said]) == 200, (path, host, said)
        for number, (path, method) in enumerate([*one.changing, *one.reading]):
            host, said = REBOUND[number % len(REBOUND)], [*PROGRAMS.values()][number % len(PROGRAMS)]
            assert await one.send_as(path, method, host, said) not in (401, 403), (path, method, host, said)


async def test_without_looking_at_the_name_the_page_reads_and_changes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: nothing else keeps it out. With `*` the operator says that it may."""
    said = OF_BROWSERS["a page that changes something"]
    for number, allowed in enumerate([(), ("*",)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        with monkeypatch.context() as patch:
            if not allowed:
                patch.setattr(entrance, "is_rebound", lambda *_: False)
            async with watched(folder, is_open=True, allowed=allowed) as one:
                changed = []
                for path, method in one.changing:
                    assert await one.send_as(path, method, REBOUND[0], said) == 200, path
                    changed += [(path, method)] if await one.is_changed() else []
                assert changed == one.changing
                assert await one.send_as("/api/v1/incidents", "GET", REBOUND[0], said) == 200


async def test_where_a_credential_is_asked_for_a_browser_comes_by_any_name(tmp_path: Path) -> None:
    """The page of another has none: a browser keeps the password of each name by itself."""
    async with watched(tmp_path) as one:
        said = OF_BROWSERS["a page that reads, as Chromium sends it"]
        assert await one.send_as("/api/v1/incidents", "GET", REBOUND[0], said) == 401
        known = {**said, "Authorization": WAYS_IN["a password"]}
        assert await one.send_as("/api/v1/incidents", "GET", REBOUND[0], known) == 200


async def test_who_is_refused_for_the_name_is_told_which_setting_knows_it(tmp_path: Path) -> None:
    async with watched(tmp_path, is_open=True) as one:
        url = f"http://127.0.0.1:{one.service.port}/api/v1/incidents"
        headers = {"Host": f"ops.example.org:{one.service.port}", "Accept-Language": "de"}
        async with one.client.get(url, headers=headers) as answer:
            told = (await answer.json())["error"]
        assert "'ops.example.org'" in told
        assert told.endswith("if it is ours, add it to web_allowed_hosts")
