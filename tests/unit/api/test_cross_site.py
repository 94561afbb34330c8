"""Pages of other sites change nothing (bar X8): origins x methods x content types, at every route that changes things.

The browser of somebody who may everything is what such a page has: it adds the password, or the certificate, by itself.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from remediator.access.loading import Access
from remediator.api import entrance
from remediator.api.openapi import document
from tests.unit.api.service import Service, running
from tests.unit.api.test_entrance import ROLES, files, waiting, wanted
from tests.unit.api.test_escalations import CALL
from tests.unit.receive.bodies import body
from tests.unit.store.examples import escalated, firing, target

PASSWORD = str(ROLES["a person who operates"][0])
CHANGING = sorted(
    (path, method.upper()) for path, methods in document("1")["paths"].items() for method in methods if method != "get"
)
READING = sorted(path for path, methods in document("1")["paths"].items() if "get" in methods)
OTHER_METHODS = ("PUT", "PATCH", "DELETE")

JSON = "application/json"
CONTENT_TYPES: Sequence[str | None] = (
    JSON,
    "application/json; charset=utf-8",
    "text/plain",
    "text/plain; application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    None,
)

OWN = "http://{host}"
ELSEWHERE = (
    "http://evil.example",
    "null",
    "http://{host}.evil.example",
    "http://127.0.0.1",
    "http://evil.example/{host}",
    "http://{host}@evil.example",
    "http://[",
    "",
)


TYPICAL = ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"})
"""With these each content type is tried, with the others two."""


def browsers() -> Iterator[dict[str, str]]:
    """What a browser says of a request of another site: by Fetch Metadata, or an older one by Origin."""
    for site in ("cross-site", "same-site", "CROSS-SITE", "anything"):
        for origin in (*ELSEWHERE, OWN):
            yield {"Sec-Fetch-Site": site, "Origin": origin}
        yield {"Sec-Fetch-Site": site}
    for origin in ELSEWHERE:
        yield {"Origin": origin}


def ours() -> Iterator[dict[str, str]]:
    """What our own pages and other programs say."""
    yield {}
    yield {"Origin": OWN}
    for site in ("same-origin", "none"):
        yield {"Sec-Fetch-Site": site}
        yield {"Sec-Fetch-Site": site, "Origin": OWN}


def payload(path: str) -> bytes:
    """A body that would be heeded."""
    if path.startswith("/-/"):
        return b""
    if "alert" in path or path == "/webhook":
        return body()
    return json.dumps(wanted(path)).encode()


async def state(service: Service) -> tuple[int, int]:
    """Changes with everything that is set, kept or loaded."""
    return len(await service.store.records(after=0, limit=10_000)), service.reloads


async def sent(service: Service, method: str, path: str, said: dict[str, str], content_type: str | None) -> Any:
    host = f"127.0.0.1:{service.port}"
    headers = {name: text.format(host=host) for name, text in said.items()} | {"Authorization": PASSWORD}
    if content_type is not None:
        headers["Content-Type"] = content_type
    where = re.sub(r"\{\w+\}", "1", path)
    skipped = ["Content-Type"]
    async with service.client.request(
        method, where, data=payload(path), headers=headers, skip_auto_headers=skipped
    ) as answer:
        await answer.read()
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")], "no page reads it"
        return answer.status


@pytest.fixture(params=["a password", "nobody is asked"])
def access(request: pytest.FixtureRequest, tmp_path: Path) -> Access:
    return files(tmp_path) if request.param == "a password" else Access()


async def test_no_page_of_another_site_changes_anything(access: Access) -> None:
    async with running(access=access, web_enable_lifecycle=True) as service:
        await waiting(service)
        before = await state(service)
        for (path, method), said in itertools.product(CHANGING, browsers()):
            for content_type in CONTENT_TYPES if said in TYPICAL else (JSON, "text/plain"):
                assert await sent(service, method, path, said, content_type) == 403, (path, method, said, content_type)
        for path, method in itertools.product(sorted({path for path, _ in CHANGING}), OTHER_METHODS):
            if (path, method) not in CHANGING:
                assert await sent(service, method, path, {"Sec-Fetch-Site": "cross-site"}, JSON) == 403
        for path in READING:
            await sent(service, "GET", path, {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}, None)
        assert await state(service) == before


async def test_what_a_form_can_send_is_not_taken_for_json(access: Access) -> None:
    """Whatever page it is on: without Fetch Metadata and Origin there would be nothing else."""
    async with running(access=access) as service:
        await waiting(service)
        before = await state(service)
        forms = [kind for kind in CONTENT_TYPES if kind is None or not kind.startswith(JSON)]
        for (path, method), said, kind in itertools.product(CHANGING, ours(), forms):
            if not path.startswith("/-/"):
                assert await sent(service, method, path, said, kind) in (403, 415), (path, kind)
        assert await state(service) == before


async def heard(service: Service, said: dict[str, str]) -> bool:
    """Every route takes it (the second answer to one approval is too late), and something is changed."""
    await waiting(service)
    await escalated(service.store, firing(2), CALL, on=target("web"))
    before = await state(service)
    for path, method in CHANGING:
        assert await sent(service, method, path, said, JSON) in (200, 409), (path, said)
    switch, after = await service.store.kill_switch(), await state(service)
    return switch.engaged and after[0] > before[0] + 3 and after[1] == before[1] + 2


@pytest.mark.parametrize("said", [*ours()], ids=str)
async def test_our_own_pages_and_other_programs_are_heard(said: dict[str, str]) -> None:
    """The negative control: the same requests, from where they may come."""
    async with running(access=Access(), web_enable_lifecycle=True) as service:
        assert await heard(service, said)


async def test_without_the_question_other_pages_would_be_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one: nothing else holds back a page that can send JSON, or a reload, which has no body."""
    monkeypatch.setattr(entrance, "is_of_another_site", lambda _: False)
    async with running(access=Access(), web_enable_lifecycle=True) as service:
        assert await heard(service, {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"})


async def test_a_page_that_asks_first_is_not_let(access: Access) -> None:
    """The preflight of what is no simple request."""
    asks = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    async with running(access=access) as service:
        for path in sorted({path for path, _ in CHANGING}):
            assert await sent(service, "OPTIONS", path, asks, None) == 405
