"""The schema: the revisions make what `tables.py` says, and the audit log defends itself."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from remediator import store
from remediator.clock import SystemClock
from remediator.errors import ConfigError
from remediator.store import queue
from remediator.store.indexes import metadata
from remediator.store.migrate import migrate, newest
from remediator.store.opening import open_database
from remediator.store.sqlite import check_url, connect
from remediator.store.tables import alerts, debits, remediations
from remediator.together import together
from tests.unit.store.examples import NOW, firing


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    opened = connect(check_url("sqlite:///:memory:"))
    migrate(opened)
    yield opened
    opened.close()


def test_the_revisions_make_what_the_tables_say(connection: sa.Connection) -> None:
    def differences(sync: sa.Connection) -> object:
        with warnings.catch_warnings():
            # The index on an expression; the next test looks at it.
            warnings.filterwarnings("ignore", "(autogenerate skipping|Skipped unsupported)")
            return compare_metadata(MigrationContext.configure(sync), metadata)

    with connection.begin():
        assert differences(connection) == []


def test_the_newest_file_is_the_head_of_the_revisions() -> None:
    """By it a database that is up to date is known without Alembic."""
    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [newest()]


async def test_stores_that_one_process_opens_at_once_migrate_each_its_own() -> None:
    opened = await together(*(open_database("sqlite:///:memory:", clock=SystemClock()) for _ in range(4)))

    assert [await one.queue_depth() for one in opened] == [{}] * 4
    for one in opened:
        await one.close()


def test_what_was_sent_before_there_was_a_ledger_stands_in_it() -> None:
    """An upgrade gives nobody a second helping; what was never sent is no debit."""
    opened = connect(check_url("sqlite:///:memory:"))
    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
    config.attributes["connection"] = opened
    with opened.begin():
        command.upgrade(config, "0003")
        then = [column for column in alerts.c if column.name != "credential"]
        alert = {column.name: 0 if column.type.python_type is int else "" for column in then}
        opened.execute(alerts.insert().values(alert | {"id": 1}))
        common = {"alert_id": 1, "fingerprint": "f", "reason": "", "progress": "{}", "created_at": 1, "due_at": 1}
        common |= {"epoch": 0, "tries": 0, "rule": "crash-loop", "plan": '{"action":"rollback"}'}
        common |= {"target": '{"cluster":"lab","namespace":"shop"}'}
        for number, sent_at in ((1, 77), (2, None)):
            row = {"id": number, "action_id": str(number), "state": "verified", "acted_at": sent_at}
            opened.execute(remediations.insert(), common | row)
    migrate(opened)
    with opened.begin():
        [line] = opened.execute(sa.select(debits)).mappings()
        assert opened.execute(sa.select(alerts.c.credential)).scalar_one() == "", "it came before there were any"
    opened.close()

    expected = {"id": 1, "remediation_id": 1, "rule": "crash-loop", "action": "rollback", "cluster": "lab"}
    assert line == expected | {
        "namespace": "shop",
        "at": 77,
        "returned_at": None,
        "rule_digest": "",
        "target_key": "",
        "is_shadow": False,
        "outcome": "verified",
    }


def test_every_index_of_the_tables_is_made_with_its_condition(connection: sa.Connection) -> None:
    # Alembic compares neither conditions nor expressions.
    memory = sa.create_engine("sqlite://")
    metadata.create_all(memory)
    query = "SELECT name, replace(sql, '\n', '') FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    with memory.connect() as reference:
        wanted = {tuple(row) for row in reference.exec_driver_sql(query)}
    memory.dispose()
    with connection.begin():
        assert {tuple(row) for row in connection.exec_driver_sql(query)} == wanted


def plan_of(connection: sa.Connection, query: sa.Select[Any]) -> list[str]:
    text = query.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True}).string
    with connection.begin():
        asked = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (1,) * text.count("?"))
        return [row.detail for row in asked]


def test_a_claim_among_many_that_are_due_reads_its_index_in_order(connection: sa.Connection) -> None:
    steps = plan_of(connection, queue.CANDIDATES)
    assert steps[0] == "SCAN remediations USING INDEX ix_remediations_claim"
    assert not any("TEMP B-TREE" in step for step in steps)


def test_a_claim_among_many_that_wait_looks_for_what_is_due(connection: sa.Connection) -> None:
    assert plan_of(connection, queue.DUE_NOW) == [
        "SEARCH remediations USING COVERING INDEX ix_remediations_due (due_at<?)"
    ]
    few = plan_of(connection, queue.FEW_CANDIDATES.params(now=1, at_most=1, due=[1, 2]))
    assert few[0] == "SEARCH remediations USING INTEGER PRIMARY KEY (rowid=?)"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET kind = 'x'",
        "DELETE FROM records",
        "INSERT OR REPLACE INTO records (seq, at, kind, canonical) VALUES (1, 0, 'x', x'00')",
        "INSERT INTO records (seq, at, kind, canonical) VALUES (5, 0, 'x', x'00')",
    ],
    ids=["change", "delete", "replace", "leave a hole"],
)
async def test_the_audit_log_only_grows_by_the_next_number(tmp_path: Path, statement: str) -> None:
    store = await open_database(f"sqlite:///{tmp_path}/r.db", clock=SystemClock())
    await store.accept([firing()], at=NOW)
    await store.close()
    with (
        closing(sqlite3.connect(tmp_path / "r.db")) as direct,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        direct.execute(statement)


async def test_migrating_twice_keeps_what_is_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    store = await open_database(url, clock=SystemClock())
    await store.move_cursor("slack", after=0, to=3)
    await store.close()
    store = await open_database(url, clock=SystemClock())
    assert await store.cursor("slack") == 3
    await store.close()


async def test_refuses_the_schema_of_a_newer_version(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    await (await open_database(url, clock=SystemClock())).close()
    with closing(sqlite3.connect(tmp_path / "r.db")) as direct, direct:
        direct.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match=r"schema 9999.*newer remediator"):
        await open_database(url, clock=SystemClock())
