"""More alerts at once than can be decided: none is lost, the severe are decided first, and what does not fit is 503."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from remediator.receive.payload import fingerprint
from tests.hostile.client import answer_of, connected, posting
from tests.hostile.serving import Served, empty_cluster, served
from tests.unit.receive.bodies import body, element

PER_REQUEST = 10
REQUESTS, REQUESTS_LONG = 200, 2_000
CLIENTS = 8
SEVERITIES = (4, 3, 2, 1)
RULES = "rules:\n" + "".join(
    f"  - name: severity-{severity}\n    match: ['alertname=\"S{severity}\"']\n    severity: {severity}\n"
    "    respond: [{do: escalate}]\n"
    for severity in SEVERITIES
)


def burst(requests: int) -> list[bytes]:
    """The least severe come first; every alert has a pod of its own."""
    made = []
    for request in range(requests):
        elements = []
        for number in range(PER_REQUEST):
            severity = SEVERITIES[len(SEVERITIES) * request // requests]
            labels = {"alertname": f"S{severity}", "namespace": "shop", "pod": f"api-{request}-{number}"}
            elements.append(element(labels=labels, fingerprint=fingerprint(labels)))
        made.append(body(*elements))
    return made


def post(port: int, bodies: Sequence[bytes]) -> Counter[int]:
    """All of them by some connections at once: how often each status was answered."""
    statuses: Counter[int] = Counter()
    waiting = iter(bodies)
    lock = threading.Lock()

    def one() -> None:
        while True:
            with connected(port) as client:
                while True:
                    with lock:
                        if (made := next(waiting, None)) is None:
                            return
                    client.sendall(posting(made))
                    seen = answer_of(client)
                    with lock:
                        statuses[seen.status] += 1
                    if seen.headers.get("connection") == "close":
                        break

    threads = [threading.Thread(target=one) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def queued(folder: Path) -> Counter[int | None]:
    with sqlite3.connect(f"file:{folder / 'hostile.db'}?immutable=1", uri=True) as database:
        return Counter(row[0] for row in database.execute("SELECT severity FROM remediations"))


def decided(folder: Path) -> list[int]:
    """The severities of what was decided, in that order."""
    ends = "SELECT m.severity FROM records r JOIN remediations m ON m.id = r.remediation_id WHERE r.kind LIKE 'dec%'"
    with sqlite3.connect(f"file:{folder / 'hostile.db'}?immutable=1", uri=True) as database:
        return [row[0] for row in database.execute(f"{ends} GROUP BY m.id ORDER BY min(r.seq)")]


@pytest.fixture
def cluster() -> Iterator[str]:
    with empty_cluster() as url:
        yield url


def test_a_burst_is_kept_whole_and_decided_by_severity(
    tmp_path: Path, cluster: str, request: pytest.FixtureRequest
) -> None:
    """`--long` waits until the last is decided. The worker begins when all have come: until then it is busy."""
    is_long = request.config.getoption("--long")
    count = REQUESTS_LONG if is_long else REQUESTS
    alerts = count * PER_REQUEST
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    flags = {"rules": str(tmp_path / "rules.yaml"), "workers": 1, "kube_server": cluster}
    with served(tmp_path, max_waiting=alerts + 100, **flags) as service:
        began = time.monotonic()
        assert post(service.port, burst(count)) == {200: count}
        seconds = time.monotonic() - began
        service.begin_deciding()
        wait_for_decisions(service, count=alerts if is_long else 100, seconds=1200 if is_long else 120)
    kept = queued(tmp_path)
    print(f"\n{alerts} alerts in {count} requests: {seconds:.1f} s, {kept.total()} kept")
    assert kept.total() == alerts
    assert set(kept) == set(SEVERITIES), "how severe each is is known before it is looked at"
    order = decided(tmp_path)
    assert order == sorted(order)
    assert len(order) >= (alerts if is_long else 100)


def wait_for_decisions(service: Served, *, count: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (made := service.metric("remediator_decisions_total")) < count:
        assert time.monotonic() < deadline, f"{made} decided"
        time.sleep(0.2)


def test_what_exceeds_the_room_is_503_whole_and_comes_again(tmp_path: Path) -> None:
    """Nothing is acknowledged and lost: a refused body leaves nothing, and repeats and resolutions go on."""
    bodies = burst(20)
    with served(tmp_path, max_waiting=105) as service:
        statuses = post(service.port, bodies)
        assert statuses == {200: 10, 503: 10}
        assert post(service.port, bodies) == {200: 10, 503: 10}, "what is known begins nothing"
        resolved = [json.loads(made) for made in bodies]
        for one in resolved:
            for alert in one["alerts"]:
                alert |= {"status": "resolved", "endsAt": "2026-11-23T08:00:00Z"}
        assert post(service.port, [json.dumps(one).encode() for one in resolved]) == {200: 20}
        assert service.metric("remediator_alerts_refused_total") == 200
        assert [line for line in service.log() if "max_waiting" in line["event"]]
    assert queued(tmp_path).total() == 100
