"""Requests that two servers in a row could take for different ones, and more of everything than there is room for.

A proxy in front that reads one length, and we the other, would let a stranger's request pass as the rest of a good one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostile.client import HEAD, answer_of, asked, connected, posting
from tests.hostile.serving import Served, served
from tests.unit.receive.bodies import body

BODY = body()
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
TRANSFER = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("smuggling")) as running:
        yield running


AMBIGUOUS = {
    "both lengths": LENGTH + TRANSFER + b"\r\n" + CHUNKED,
    "both, the other way": TRANSFER + LENGTH + b"\r\n" + CHUNKED,
    "two lengths": LENGTH + b"Content-Length: 3\r\n\r\n" + BODY,
    "a list of lengths": b"Content-Length: %d, %d\r\n\r\n" % (len(BODY), len(BODY)) + BODY,
    "a length with a sign": b"Content-Length: +%d\r\n\r\n" % len(BODY) + BODY,
    "a length with a dash": b"Content-Length: -1\r\n\r\n" + BODY,
    "a length in underscores": b"Content-Length: 1_0\r\n\r\n" + BODY,
    "a blank before the colon": b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKED,
    "chunked, and something else": b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED,
    "another coding": b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED,
    "coded twice": TRANSFER + TRANSFER + b"\r\n" + CHUNKED,
    "a folded header": b"Transfer-Encoding:\r\n chunked\r\n" + LENGTH + b"\r\n" + BODY,
    "NUL in a header": b"X: a\x00b\r\n" + LENGTH + b"\r\n" + BODY,
    "a bare return": b"X: a\rTransfer-Encoding: chunked\r\n" + LENGTH + b"\r\n" + BODY,
    "a chunk with a sign": TRANSFER + b"\r\n" + b"+" + CHUNKED,
    "a chunk in 0x": TRANSFER + b"\r\n0x" + CHUNKED,
    "a chunk that is no number": TRANSFER + b"\r\nzz\r\n" + BODY,
    "a chunk that is longer than it says": TRANSFER + b"\r\n3\r\n" + BODY + b"\r\n0\r\n\r\n",
    "no host": b"",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused_and_ends_the_connection(service: Served, name: str) -> None:
    before = service.metric("remediator_alerts_received_total")
    head = HEAD if name != "no host" else HEAD.replace(b"Host: x\r\n", b"") + LENGTH + b"\r\n" + BODY
    with connected(service.port) as client:
        client.sendall(head + AMBIGUOUS[name] + posting(BODY))
        assert answer_of(client).status == 400
        client.settimeout(5)
        rest = bytearray()
        try:
            while more := client.recv(65536):
                rest += more
        except ConnectionError:
            pass
    assert b"200 OK" not in rest, "what follows is not answered"
    assert service.metric("remediator_alerts_received_total") == before


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (TRANSFER + b"\r\n" + CHUNKED, 200),
        (TRANSFER + b"\r\n1\r\n" + BODY[:1] + b"\r\n%x;x=y\r\n" % (len(BODY) - 1) + BODY[1:] + b"\r\n0\r\n\r\n", 200),
        (b"Content-Encoding: gzip\r\n" + LENGTH + b"\r\n" + BODY, 415),
        (b"Content-Encoding: br\r\n" + TRANSFER + b"\r\n" + CHUNKED, 415),
        (b"X: " + b"x" * 9000 + b"\r\n" + LENGTH + b"\r\n" + BODY, 400),
        (b"X: y\r\n" * 200 + LENGTH + b"\r\n" + BODY, 400),
        (b"X: y\r\n" * 50 + LENGTH + b"\r\n" + BODY, 200),
        (b"Content-Length: 99999999999\r\n\r\n", 413),
        (b"Content-Length: %d\r\n\r\n" % 10**30, 400),
    ],
    ids=["chunked", "chunks with extensions", "gzip", "br", "a long header", "many headers", "some", "huge", "more"],
)
def test_sizes_and_codings(service: Served, more: bytes, status: int) -> None:
    assert asked(service.port, HEAD + more).status == status


def test_a_long_address_is_refused(service: Served) -> None:
    assert asked(service.port, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n").status == 400


def test_requests_in_a_row_are_answered_in_a_row(service: Served) -> None:
    """Pipelined: each is one, none is answered twice or by another's answer."""
    with connected(service.port) as client:
        client.sendall(posting(BODY) * 20 + b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" + posting(b"{}"))
        kept = bytearray()
        assert [answer_of(client, kept=kept).status for _ in range(22)] == [200] * 20 + [404, 400]


def test_what_is_no_http_fills_no_log(service: Served) -> None:
    """Whoever reaches the port can send it."""
    for _ in range(50):
        assert asked(service.port, b"\x16\x03\x01 not HTTP\r\n\r\n").status == 400
    assert not [line for line in service.log() if line["level"] in ("warning", "error") and "HTTP" in line["event"]]
    assert service.faults() == []
    assert service.metric("remediator_connections_refused_total") >= 50
