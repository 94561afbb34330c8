"""Two replicas on one PostgreSQL and the real API server: what one is stopped at, the other brings to its end, once.

`tests/crash/test_replicas.py` stops and kills many of them, at every point of a write, on the embedded cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from remediator.store import tables
from tests.cluster import audit
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import ACTIVE
from tests.cluster.lossy import Fate, LossyProxy
from tests.cluster.monitoring import Prometheus
from tests.cluster.service import RunningService, rules_with
from tests.cluster.steps import App
from tests.cluster.test_recovery import GOOD, app, outcome, prometheus, send_alert, story, until_verified, written
from tests.cluster.waiting import wait_for
from tests.logkeys import signing

__all__ = ["app", "prometheus"]

LEASE_SECONDS = 5
SETTINGS = f"lease_seconds: {LEASE_SECONDS}\npoll_seconds: 0.2\n"
OLD_INTENT = "UPDATE remediations SET acted_at = acted_at - 200000000, due_at = created_at WHERE state = 'acting'"
"""As if minutes had gone by since it was committed: younger, its request might still be on its way."""

Start = Callable[[str, LossyProxy], RunningService]


@pytest.fixture
def start(
    control_plane: ControlPlane, permissions: None, prometheus: Prometheus, postgres_url: str, tmp_path: Path
) -> Iterator[Start]:
    """A replica, by its name and its way to the API server."""
    rules = rules_with(tmp_path / "rules", expect=["rollout-complete", "pods-ready"], within="60s", stable_for="1s")
    settings = tmp_path / "settings.yaml"
    settings.write_text(SETTINGS, encoding="utf-8")
    keys = [f"--audit.{name[6:].replace('_', '-')}={file}" for name, file in signing(tmp_path).items()]
    with ExitStack() as stack:

        def started(name: str, way: LossyProxy) -> RunningService:
            folder = tmp_path / name
            folder.mkdir()
            flags = (
                "--mode=active",
                f"--config.file={settings}",
                f"--kubeconfig={way.kubeconfig(folder, token=control_plane.token(ACTIVE))}",
                f"--prometheus.url={prometheus.url}",
                f"--storage.url={postgres_url}",
                *keys,
            )
            service = RunningService(control_plane, folder, user=ACTIVE, flags=flags, rules=rules)
            return stack.enter_context(service)

        yield started
    leave_the_log(postgres_url, tmp_path / "remediator.db")


def leave_the_log(url: str, file: Path) -> None:
    """Beside its key and its anchor, as a service on SQLite leaves it, for `test_zz_audit.py` to compare."""
    engine = sa.create_engine(f"sqlite:///{file}")
    log = [tables.records, tables.log_head, tables.log_tiles, tables.log_gaps]
    with psycopg.connect(url) as database, engine.begin() as copy:
        tables.metadata.create_all(copy, tables=log)
        for table in log:
            names = [column.name for column in table.columns]
            for row in database.execute(f"SELECT {', '.join(names)} FROM {table.name}".encode()):
                copy.execute(table.insert(), dict(zip(names, row, strict=True)))
    engine.dispose()


def test_what_a_stopped_replica_has_on_the_wire_is_refused_once_another_has_done_it(
    control_plane: ControlPlane, app: App, start: Start, postgres_url: str
) -> None:
    """Its request had passed all that we can look at; it arrives when another replica has taken over and acted."""
    held, free = LossyProxy(control_plane, Fate.LATE), LossyProxy(control_plane, Fate.LATE, times=0)
    with held, free, psycopg.connect(postgres_url, autocommit=True) as database:
        one = start("one", held)
        send_alert(one, app)
        wait_for(lambda: held.writes, timeout_seconds=20, what="the write is on its way")
        one.suspend()
        other = start("other", free)

        def is_done() -> bool:
            database.execute(OLD_INTENT)
            return [audit.response_code(event) for event in written(app)] == [200]

        wait_for(is_done, timeout_seconds=60, what="the other replica takes over, and acts")
        held.let_arrive()
        assert held.has_arrived.wait(timeout=20)
        one.resume()
        until_verified(other)
        wait_for(lambda: len(written(app)) == 2, timeout_seconds=20, what="the late write is in the audit log")

        assert [audit.response_code(event) for event in written(app)] == [200, 422]
        assert (len(held.writes), len(free.writes)) == (1, 1)
        assert app.images() == [GOOD]
        kinds = story(other)
        assert (kinds.count("action.intent"), kinds.count("action.applied")) == (2, 1)
        assert outcome(one) == "verified"


def test_what_a_stopped_replica_did_is_found_by_another_and_not_done_again(
    control_plane: ControlPlane, app: App, start: Start, postgres_url: str
) -> None:
    """Its write was done and nobody but the API server knows: the object bears its mark."""
    lost, free = LossyProxy(control_plane, Fate.LATE), LossyProxy(control_plane, Fate.LATE, times=0)
    with lost, free:
        one = start("one", lost)
        send_alert(one, app)
        wait_for(lambda: lost.writes, timeout_seconds=20, what="the write is on its way")
        one.suspend()
        lost.let_arrive()
        assert lost.has_arrived.wait(timeout=20)
        other = start("other", free)
        until_verified(other)
        one.resume()

        assert [audit.response_code(event) for event in written(app)] == [200]
        assert free.writes == []
        assert app.images() == [GOOD]
        assert story(other).count("action.intent") == 1
        assert outcome(one) == "verified"
