"""Pages whose name was made to point at the service (DNS rebinding), at every route of the service as it is wired.

For its browser such a page is the service's own, and says so truly. Where nobody has to say who they are its name is
what is left, which it cannot forge either.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest

from remediator.api import entrance
from remediator.api.entrance import SAFE_METHODS
from remediator.receive.server import PATHS as ALERT_PATHS
from tests.hostile.watched import WAYS_IN, watched

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
