"""Bodies, headers and addresses made by Hypothesis, through the real server: nothing is a fault of ours (bar X1).

The seed is fixed: a run that fails, fails again. Each drawn body is sent with `VARIANTS` more, in which bytes are
changed. All of it goes over HTTP. `--long` sends 100,000 bodies and 20,000 headers.
"""

from __future__ import annotations

import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.hostile.client import NOTHING, Seen, answer_of, asked, connected, posting
from tests.hostile.serving import Served, served
from tests.unit.receive.bodies import API_V2, PAYLOADS

BASES = [path.read_bytes() for path in sorted(PAYLOADS.glob("*.json")) if path.name not in API_V2]
VARIANTS = 7
BODIES, BODIES_LONG = 2_000, 100_000
REQUESTS, REQUESTS_LONG = 500, 20_000
MAX_GROWTH_BYTES = 50 * 1024 * 1024

ODD_TEXT = st.sampled_from(
    [
        "",
        "\x00",
        "\ud800",
        "\udc00x",
        "\u202e",
        "\x1b[2J",
        "a\nb",
        "{{ 7*7 }}",
        "${jndi:x}",
        "../../etc/passwd",
        "<script>alert(1)</script>",
        "' OR 1=1 --",
        "password=hunter2 " * 3,
        "x" * 4097,
        "é" * 2000,
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:60Z",
        "2026-02-30T00:00:00Z",
        "2026-11-23T07:10:45.347+99:99",
        "-----BEGIN RSA PRIVATE KEY-----",
    ]
)
SCALARS = st.one_of(
    ODD_TEXT,
    st.text(max_size=20),
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True, allow_infinity=True),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(pairs):
        yield value, key
        yield from places(item)


@st.composite
def mutated(draw: Callable[..., Any]) -> bytes:
    """A body that Alertmanager sent, with up to four of its values replaced, renamed, doubled, nested or taken away."""
    value = json.loads(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(0, 4))):
        all_places = list(places(value))
        if not all_places:
            break
        container, key = all_places[draw(st.integers(0, 10_000)) % len(all_places)]
        match draw(st.integers(0, 5)):
            case 0 | 1:
                container[key] = draw(VALUES)
            case 2:
                del container[key]
            case 3 if isinstance(container, dict):
                container[draw(ODD_TEXT)] = container.pop(key)
            case 4:
                container[key] = [container[key]] * draw(st.integers(0, 70))
            case _:
                for _ in range(draw(st.integers(1, 20))):
                    container[key] = {"a": container[key]}
    return json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def variants(body: bytes, seed: int) -> Iterator[bytes]:
    """The body, and others in which bytes are flipped, cut, doubled, or put in."""
    yield body
    chance = random.Random(seed)
    pieces = (
        b'"',
        b"{",
        b"[" * 40,
        b"\\u0000",
        b"\\ud800",
        b"NaN",
        b"1e999",
        b"9" * 30,
        b"\xff",
        b"\xef\xbb\xbf",
        b",",
    )
    for _ in range(VARIANTS):
        changed = bytearray(body)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(changed) + 1)
            match chance.randrange(4):
                case 0 if at < len(changed):
                    changed[at] ^= 1 << chance.randrange(8)
                case 1:
                    del changed[at : at + chance.randint(1, 40)]
                case 2:
                    changed[at:at] = changed[at : at + chance.randint(1, 200)]
                case _:
                    changed[at:at] = chance.choice(pieces)
        yield bytes(changed)


class Line:
    """One connection for many requests, opened again when the server has closed it."""

    def __init__(self, service: Served) -> None:
        self._service = service
        self._client: socket.socket | None = None
        self._stack = ExitStack()

    def ask(self, request: bytes) -> Seen:
        for _ in range(2):  # the one before may have been closed after its answer
            if self._client is None:
                self._client = self._stack.enter_context(connected(self._service.port))
            try:
                self._client.sendall(request)
                seen = answer_of(self._client)
            except OSError:
                seen = NOTHING
            if seen is NOTHING or seen.headers.get("connection") == "close":
                self.close()
            if seen is not NOTHING:
                return seen
        return NOTHING

    def close(self) -> None:
        self._stack.close()
        self._client = None


def profile(count: int) -> settings:
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # what fails is seen with its bytes; to shrink it would take hours here
        suppress_health_check=list(HealthCheck),
    )


def test_no_body_is_a_fault_of_ours(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    count = BODIES_LONG if request.config.getoption("--long") else BODIES
    statuses: Counter[int] = Counter()
    with served(tmp_path) as service:
        line = Line(service)
        for body in BASES:
            assert line.ask(posting(body)).status == 200
        before = service.memory_bytes()

        @profile(count // (1 + VARIANTS))
        @given(st.one_of(mutated(), st.binary(max_size=300)), st.integers(0, 2**32))
        def send(body: bytes, seed: int) -> None:
            for variant in variants(body, seed):
                status = line.ask(posting(variant)).status
                statuses[status] += 1
                assert status in (200, 400), (status, variant)

        send()
        growth = service.memory_bytes() - before
        kept = service.metric("remediator_alerts_received_total")
        line.close()
        faults = service.faults()
        assert faults == []
    print(f"\n{statuses.total()} bodies: {dict(statuses)}; {kept:.0f} alerts; memory {growth / 2**20:+.1f} MiB")
    assert statuses[200] > 100, "not all are refused: much goes the whole way"
    assert statuses[400] > 100
    assert growth < MAX_GROWTH_BYTES


ODD_METHODS = [b"PUT", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"PRI", b"get", b"", b"P\x00T", b"G" * 9000]
ODD_VERSIONS = [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1.1 x", b""]
TARGETS = [
    b"/api/v1/alerts",
    b"/api/v1/incidents",
    b"/api/v1/incidents/1",
    b"/api/v1/incidents?limit=5",
    b"/metrics",
    b"/-/healthy",
    b"/-/ready",
    b"/api/v1/export?incident=1",
    b"/openapi.json",
    b"/api/v1/deployments/a/b",
    b"/api/v1/approvals/1/approve",
    b"/api/v1/scorecard?since=1h",
    b"/api/v1/report/monthly?month=2026-11",
]
ODD_TARGETS = [
    b"*",
    b"",
    b"/",
    b"//",
    b"http://evil/api/v1/alerts",
    b"/..%2f..%2fetc/passwd",
    b"/%00",
    b"/%",
    b"/%ff%fe",
    b"/api/v1/incidents/%C3%28",
    b"/?" + b"a=b&" * 500,
    b"/" + b"a" * 9000,
    b"/api/v1/incidents?limit=" + b"9" * 400,
    b"/api/v1/incidents/99999999999999999999",
    b"http://[",
    b"/\xff\xfe",
    b"/#x",
    b"evil:80",
    b"/api/v1/export?since=%00",
    b"/api/v1/deployments/%00/%ed%a0%80",
    b"/api/v1/scorecard/9999999999999999999999/judge",
    b"/api/v1/promotion/%0a",
    b"/api/v1/incidents/-1",
    b"/api/v1/audit/records/9999999999999999999/proof",
    b"/api/v1/audit/records/0/proof",
    b"/api/v1/scorecard?since=9999999999d",
    b"/api/v1/export?since=0001-01-01T00:00:00Z&zone=../../etc/passwd",
    b"/api/v1/budgets?shadow=%F0%9F",
    b"/api/v1/incidents?open=true&open=false",
    b"/-/ready?x=%zz",
]
HEADERS = [
    b"Content-Type: application/json",
    b"Content-Length: 0",
    b"Content-Length: 2",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Accept-Encoding: gzip",
    b"Sec-Fetch-Site: none",
    b"Accept: */*",
    b"X: y",
]
ODD_HEADERS = [
    b"Content-Type: application/json; charset=utf-7",
    b"Content-Type: ;;;=",
    b"Content-Type: application/json; charset=\xff",
    b"Content-Length: -1",
    b"Content-Length: +5",
    b"Content-Length: 5",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5, 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding : chunked",
    b"Content-Encoding: gzip",
    b"Expect: 100-continue",
    b"Expect: something",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Upgrade: h2c\r\nConnection: Upgrade",
    b"Authorization: Basic !",
    b"Authorization: Bearer \xc3\xa9",
    b"Authorization: Basic " + b"A" * 4000,
    b"Origin: http://[",
    b"Origin: null",
    b"Sec-Fetch-Site: cross-site",
    b"Host: a",
    b"Host: \xff",
    b"Cookie: " + b"a=b; " * 800,
    b"X: " + b"x" * 9000,
    b"\r\n".join([b"X-Many: 1"] * 200),
    b" folded: 1",
    b": empty",
    b"no colon",
    b"X\x00Y: 1",
    b"X: a\x00b",
    b"X: a\rb",
    b"Traceparent: 00-" + b"0" * 600,
    b"Range: bytes=0-",
    b"Accept: */*;q=\xff",
    b"Accept: " + b"a/b," * 900,
    b"If-None-Match: *",
    b"Content-Disposition: \xff",
]


def wrong(seed: int) -> bytes:
    """The bytes of a request that is wrong here and there; most are right enough to be looked at."""
    chance = random.Random(seed)

    def one_of(right: Sequence[bytes], odd: Sequence[bytes], share: float = 0.1) -> bytes:
        picked = chance.choice(odd if chance.random() < share else right)
        return chance.randbytes(chance.randrange(40)) if chance.random() < share / 10 else picked

    target = one_of(TARGETS, ODD_TARGETS, 0.4)
    lines = [b" ".join((one_of((b"GET", b"GET", b"POST"), ODD_METHODS), target, one_of((b"HTTP/1.1",), ODD_VERSIONS)))]
    lines += [b"Host: x", *(one_of(HEADERS, ODD_HEADERS, 0.25) for _ in range(chance.randrange(4)))]
    odd_bodies = (b"{}", b"5\r\n{}   \r\n0\r\n\r\n", b"zz\r\n", b"GET /-/healthy HTTP/1.1\r\n\r\n")
    body = one_of((b"",), odd_bodies)
    return one_of((b"\r\n",), (b"\n",), 0.03).join([*lines, b"", body])


def test_no_header_or_address_is_a_fault_of_ours(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    count = REQUESTS_LONG if request.config.getoption("--long") else REQUESTS
    statuses: Counter[int] = Counter()
    with served(tmp_path) as service:
        ready = asked(service.port, b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n").status

        @profile(count)
        @given(st.integers(0, 2**64))
        def send(seed: int) -> None:
            raw = wrong(seed)
            status = asked(service.port, raw, patience_seconds=0.03).status
            statuses[status] += 1
            # Of a cluster that is not there /-/ready says 503, which is its answer.
            assert status < 500 or (status == ready and b"/-/ready" in raw), (status, raw)

        send()
        faults = service.faults()
        assert faults == []
        assert asked(service.port, posting(BASES[0])).status == 200
    print(f"\n{statuses.total()} requests: {dict(statuses)}")
    assert statuses[200]
    assert statuses[400]
    assert statuses[404]
