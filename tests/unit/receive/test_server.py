"""The webhook over a real loopback connection."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from remediator.access.base import ANYONE, PRINCIPAL, Credential, May, Principal, Proof
from remediator.authority import UNLIMITED, Authority
from remediator.model import Alert, Mode
from remediator.receive.base import Quarantined
from remediator.receive.server import PATHS, Receiver
from remediator.rules.automaton import compile_pattern
from remediator.store.base import Accepted, StoreUnavailable
from remediator.telemetry import Telemetry
from tests.unit.receive.bodies import body, captured, element

JSON = {"Content-Type": "application/json"}
LIMIT = 4000
Post = Callable[..., Awaitable[ClientResponse]]


class Desk:
    """What stands behind the receiver: keeps what was admitted, or answers as told."""

    def __init__(self) -> None:
        self.admitted: list[Alert] = []
        self.set_aside: list[Quarantined] = []
        self.failure: Exception | None = None
        self.stopping = asyncio.Event()
        self.telemetry = Telemetry.create(version="test", mode=Mode.SILENT)
        self.sender = ANYONE
        self.authorities: list[Authority] = []
        self.foreign = 0

    async def admit(self, alerts: Sequence[Alert], authority: Authority = UNLIMITED) -> Accepted:
        if self.failure:
            raise self.failure
        self.admitted += alerts
        self.authorities.append(authority)
        return Accepted(queued=len(alerts) - self.foreign, foreign=self.foreign)

    async def keep(self, quarantined: Sequence[Quarantined]) -> None:
        if self.failure:
            raise self.failure
        self.set_aside += quarantined

    def metrics(self) -> list[str]:
        return self.telemetry.exposition("")[1].decode().splitlines()


def let_in(desk: Desk) -> Any:
    """As `api/entrance.py` does: the request carries who sent it."""

    @web.middleware
    async def middleware(request: web.Request, handler: Any) -> web.StreamResponse:
        request[PRINCIPAL] = desk.sender
        answer: web.StreamResponse = await handler(request)
        return answer

    return middleware


@pytest.fixture
async def desk() -> Desk:
    return Desk()


@pytest.fixture
async def client(desk: Desk) -> Any:
    receiver = Receiver(
        desk.admit,
        set_aside=desk.keep,
        telemetry=desk.telemetry,
        max_body_bytes=LIMIT,
        stopping=desk.stopping,
    )
    application = web.Application(middlewares=[let_in(desk)], client_max_size=LIMIT)
    application.add_routes(receiver.routes())
    server = TestServer(application)
    await server.start_server(auto_decompress=False)  # as api/server.py does
    async with TestClient(server) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
async def test_answers_200_with_what_became_of_the_alerts(client: Any, desk: Desk, path: str) -> None:
    answer = await client.post(path, data=captured("mixed-firing-and-resolved.json"), headers=JSON)
    assert answer.status == 200
    assert await answer.json() == {"accepted": 2, "queued": 2, "repeated": 0, "resolved": 0, "quarantined": []}
    assert len(desk.admitted) == 2


async def test_answers_only_after_the_alerts_are_admitted(client: Any, desk: Desk) -> None:
    """The 200 says "durable": while the commit is under way there is no answer."""
    committed = asyncio.Event()
    begun = asyncio.Event()
    admit_now = desk.admit

    async def slow(alerts: Sequence[Alert], _: Authority) -> Accepted:
        begun.set()
        await committed.wait()
        return await admit_now(alerts)

    receiver = Receiver(
        slow,
        set_aside=desk.keep,
        telemetry=desk.telemetry,
        max_body_bytes=LIMIT,
        stopping=desk.stopping,
    )
    application = web.Application(middlewares=[let_in(desk)])
    application.add_routes(receiver.routes())
    async with TestClient(TestServer(application)) as own_client:
        asking = asyncio.ensure_future(own_client.post("/webhook", data=body(), headers=JSON))
        await begun.wait()
        assert not asking.done()
        committed.set()
        assert (await asking).status == 200


async def test_reports_a_quarantined_alert_and_keeps_the_others(client: Any, desk: Desk) -> None:
    answer = await client.post("/webhook", data=body(element(), element(startsAt="never")), headers=JSON)
    assert answer.status == 200
    told = await answer.json()
    assert told["accepted"] == 1
    assert told["quarantined"][0]["place"] == "alerts[1].startsAt"
    assert [one.place for one in desk.set_aside] == ["alerts[1].startsAt"], "it is kept as well"
    assert "remediator_alerts_quarantined_total 1.0" in desk.metrics()


async def test_malformed_is_400_with_the_place(client: Any, desk: Desk) -> None:
    answer = await client.post("/webhook", data=b'{"version": "4",}', headers=JSON)
    assert answer.status == 400
    told = await answer.json()
    assert told["place"] == "line 1 column 17"
    assert "not JSON" in told["error"]
    assert desk.admitted == []


async def test_a_store_that_cannot_commit_is_503(client: Any, desk: Desk) -> None:
    desk.failure = StoreUnavailable("disk full: /secret/path")
    answer = await client.post("/webhook", data=body(), headers=JSON)
    assert answer.status == 503
    assert "secret" not in await answer.text()


async def test_draining_is_503_and_closes_the_connection(client: Any, desk: Desk) -> None:
    desk.stopping.set()
    answer = await client.post("/webhook", data=body(), headers=JSON)
    assert answer.status == 503
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "zstd"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
async def test_other_encodings_and_types_are_415(client: Any, headers: dict[str, str]) -> None:
    compressed = gzip.compress(body())
    answer = await client.post("/webhook", data=compressed, headers=headers, skip_auto_headers=["Content-Type"])
    assert answer.status == 415


async def test_a_charset_beside_the_type_is_accepted(client: Any) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "identity"}
    assert (await client.post("/webhook", data=body(), headers=headers)).status == 200


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_above_the_limit_is_413(client: Any, desk: Desk, is_chunked: bool) -> None:
    async def chunks() -> Any:
        yield b" " * LIMIT
        yield body()

    answer = await client.post("/webhook", data=chunks() if is_chunked else b" " * LIMIT + body(), headers=JSON)
    assert answer.status == 413
    assert "max_body_bytes" in (await answer.json())["error"]
    assert desk.admitted == []


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/webhook", 405), ("POST", "/webhook/", 404), ("POST", "/nothing", 404)]
)
async def test_never_redirects(client: Any, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path, allow_redirects=False)
    assert answer.status == status


async def test_counts_requests_by_code_and_alerts_by_status(client: Any, desk: Desk) -> None:
    await client.post("/webhook", data=captured("mixed-firing-and-resolved.json"), headers=JSON)
    await client.post("/webhook", data=b"", headers=JSON)
    desk.failure = RuntimeError("a fault of ours")
    await client.post("/webhook", data=body(), headers=JSON)
    assert {line for line in desk.metrics() if line.startswith("remediator_webhook_requests_total")} == {
        'remediator_webhook_requests_total{code="200"} 1.0',
        'remediator_webhook_requests_total{code="400"} 1.0',
        'remediator_webhook_requests_total{code="500"} 1.0',
    }
    assert 'remediator_alerts_received_total{status="firing"} 1.0' in desk.metrics()
    assert 'remediator_alerts_received_total{status="resolved"} 1.0' in desk.metrics()


async def test_a_body_that_breaks_off_is_not_admitted(client: Any, desk: Desk) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    writer.write(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
    await writer.drain()
    writer.write_eof()
    writer.close()
    await writer.wait_closed()
    assert (await client.post("/webhook", data=body(), headers=JSON)).status == 200
    assert len(desk.admitted) == 1


OF_SHOP = Authority(namespaces=compile_pattern("shop|shop-.*"))


async def test_what_a_credential_may_not_speak_of_is_set_aside_and_the_rest_is_admitted(
    client: Any, desk: Desk
) -> None:
    desk.sender = Principal("shop", Proof.TOKEN, Credential("shop", frozenset({May.ALERT}), OF_SHOP))
    strange = element(labels={"alertname": "A", "namespace": "pay"})
    answer = await client.post("/webhook", data=body(element(), strange), headers=JSON)
    told = await answer.json()
    problem = "credential shop: namespace 'pay' is outside of what it may speak of"
    assert (answer.status, told["accepted"]) == (200, 1)
    assert told["quarantined"] == [{"place": "alerts[1].labels", "error": problem}]
    assert [(one.problem, one.credential) for one in desk.set_aside] == [(problem, "shop")], "it is kept"
    assert [alert.credential for alert in desk.admitted] == ["shop"]
    assert desk.authorities == [OF_SHOP]
    assert 'remediator_alerts_outside_credential_total{credential="shop"} 1.0' in desk.metrics()
    assert "remediator_alerts_quarantined_total 1.0" in desk.metrics()


async def test_what_the_store_finds_to_be_anothers_is_counted_and_told(client: Any, desk: Desk) -> None:
    desk.sender = Principal("shop", Proof.TOKEN, Credential("shop", frozenset({May.ALERT}), OF_SHOP))
    desk.foreign = 1
    told = await (await client.post("/webhook", data=body(element(), element()), headers=JSON)).json()
    assert (told["accepted"], told["queued"]) == (1, 1)
    assert told["quarantined"][0]["error"].startswith("1 with the fingerprint of an alert that is outside")
    assert 'remediator_alerts_outside_credential_total{credential="shop"} 1.0' in desk.metrics()


async def test_without_limits_nothing_is_outside(client: Any, desk: Desk) -> None:
    await client.post("/webhook", data=body(element(labels={"alertname": "A"})), headers=JSON)
    assert [(alert.credential, desk.authorities) for alert in desk.admitted] == [("", [UNLIMITED])]
    assert not any("outside_credential" in line and "{" in line for line in desk.metrics())
