"""The client against what a real Alertmanager answered: listed, muted and why; and every way not to answer."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remediator.alertmanager.base import AlertmanagerUnavailable, Listed
from remediator.alertmanager.client import MAX_BYTES, AlertmanagerApi
from remediator.alertmanager.status import status_of
from remediator.errors import ConfigError
from tests.certificates import Authority
from tests.unit.scripted_server import DROP, HANG, Answer, ScriptedServer
from tests.workloads import alert

LIST = json.loads((Path(__file__).parents[2] / "data" / "payloads" / "api-v2-alerts.json").read_text())
ACTIVE, SILENCED, INHIBITED = "b858091acc0265a6", "ba70311ee0546673", "e6ccfbba7309150c"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    one = ScriptedServer()
    await one.start()
    one.answers(Answer(body=LIST))
    yield one
    await one.stop()


async def looked_up(fingerprint: str, *urls: str, token: Path | None = None) -> Listed | None:
    client = AlertmanagerApi(urls, token_file=token)
    try:
        return await client.look_up(alert(fingerprint=fingerprint))
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("fingerprint", "listed"),
    [
        (ACTIVE, Listed(())),
        (SILENCED, Listed(("silence 6a815f74-c5f8-491a-85a5-4b75af75d9c9",))),
        (INHIBITED, Listed(("inhibited by 4b56b2b678ba6979",))),
        ("0" * 16, None),
    ],
)
async def test_what_it_says_of_an_alert(server: ScriptedServer, fingerprint: str, listed: Listed | None) -> None:
    assert await looked_up(fingerprint, server.url) == listed


async def test_asks_with_escaped_matchers_and_the_token(server: ScriptedServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n")
    client = AlertmanagerApi([f"{server.url}/am/"], token_file=token)
    await client.look_up(alert(labels={"alertname": 'a"} or b', "namespace": "shop"}))
    await client.close()
    [asked] = server.asked
    assert (asked.method, asked.path, asked.headers["Authorization"]) == ("GET", "/am/api/v2/alerts", "Bearer abc")
    assert asked.query["filter"] == 'alertname="a\\"} or b"'


@pytest.mark.parametrize(
    "answer",
    [HANG, DROP, Answer(500), Answer(401), Answer(body=b"not json"), Answer(body={}), Answer(body=["x"])],
    ids=["hang", "drop", "500", "401", "no json", "no list", "no objects"],
)
async def test_no_usable_answer_is_no_answer(
    server: ScriptedServer, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediator.alertmanager.client.TIMEOUT_SECONDS", 0.3)
    server.answers(answer)
    with pytest.raises(AlertmanagerUnavailable, match=r"127\.0\.0\.1"):
        await looked_up(ACTIVE, server.url)


async def test_one_replica_that_answers_is_enough_and_one_that_mutes_too(server: ScriptedServer) -> None:
    other = ScriptedServer()
    await other.start()
    try:
        other.answers(Answer(body=[]))
        assert await looked_up(ACTIVE, other.url, server.url) == Listed(())
        other.answers(Answer(500))
        assert await looked_up(ACTIVE, server.url, other.url) == Listed(())
        muted = [item for item in LIST if item["fingerprint"] == SILENCED]
        other.answers(Answer(body=[{**muted[0], "fingerprint": ACTIVE}]))
        found = await looked_up(ACTIVE, server.url, other.url)
        assert found is not None
        assert found.muted_by
    finally:
        await other.stop()


def test_refuses_what_is_no_address() -> None:
    with pytest.raises(ConfigError, match="alertmanager:9093"):
        AlertmanagerApi(["alertmanager:9093"])


async def test_a_long_list_is_read_to_its_end(server: ScriptedServer) -> None:
    """It comes in many pieces, and the alert that is asked for may be in the last one."""
    long = [{**LIST[0], "fingerprint": f"{n:016x}", "annotations": {"text": "x" * 2000}} for n in range(1000)]
    server.answers(Answer(body=[*long, *LIST]))
    assert await looked_up(ACTIVE, server.url) == Listed(())


async def test_a_list_beyond_the_bound_is_no_answer(server: ScriptedServer) -> None:
    """No part of a list is one: what is not in it is not told from what does not fire."""
    server.answers(Answer(body=b" " * MAX_BYTES + json.dumps(LIST).encode()))
    with pytest.raises(AlertmanagerUnavailable, match="answered with more than 16 MiB"):
        await looked_up(ACTIVE, server.url)


async def test_all_that_fires_is_listed_once(server: ScriptedServer) -> None:
    """Of two replicas the same alert once; what is quieted is not asked for."""
    client = AlertmanagerApi([server.url, f"{server.url}/"])
    try:
        found = await client.alerts()
    finally:
        await client.close()
    assert sorted(one["fingerprint"] for one in found) == sorted({one["fingerprint"] for one in LIST})
    assert {tuple(sorted(asked.query.items())) for asked in server.asked} == {
        (("active", "true"), ("inhibited", "false"), ("silenced", "false"))
    }


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(server: ScriptedServer, status: int) -> None:
    """Nobody named where it leads to."""
    elsewhere = ScriptedServer()
    await elsewhere.start()
    server.answers(Answer(status, b"", {"Location": f"{elsewhere.url}/api/v2/alerts"}))
    with pytest.raises(AlertmanagerUnavailable, match=f"answered {status}"):
        await looked_up(ACTIVE, server.url)
    with pytest.raises(AlertmanagerUnavailable, match=f"answered {status}"):
        await status_of(server.url, token_file=None, ca_file=None, limit_seconds=5)
    assert elsewhere.asked == []
    await elsewhere.stop()


async def test_whom_to_believe_is_read_again_and_holds_for_the_next_question(tmp_path: Path) -> None:
    """Also where a connection stands that the authority of before vouched for."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    pair = old.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    server = ScriptedServer()
    await server.start(tls=context)
    server.answers(Answer(body=LIST))
    file = tmp_path / "ca.pem"
    file.write_bytes(old.file.read_bytes())
    client = AlertmanagerApi([server.url], ca_file=file)
    try:
        for ca, is_believed in ((old, True), (new, False), (old, True)):
            file.write_bytes(ca.file.read_bytes())
            client.trust.reload()
            if is_believed:
                assert await client.look_up(alert(fingerprint=ACTIVE)) == Listed(())
            else:
                with pytest.raises(AlertmanagerUnavailable, match="certificate verify failed"):
                    await client.look_up(alert(fingerprint=ACTIVE))
        file.write_text("half of a certificate")
        assert client.trust.is_changed()
        with pytest.raises(ConfigError, match="holds no certificate"):
            client.trust.reload()
        assert await client.look_up(alert(fingerprint=ACTIVE)) == Listed(()), "what was in force stays"
    finally:
        await client.close()
        await server.stop()
