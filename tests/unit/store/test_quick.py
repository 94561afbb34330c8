"""The way around SQLAlchemy's execution gives what that gives, for whatever a statement is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from remediator.store.quick import QuickConnection
from remediator.store.sqlite import check_url, connect

META = sa.MetaData()
THINGS = sa.Table(
    "things",
    META,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("name", sa.Text, unique=True),
    sa.Column("body", sa.LargeBinary),
    sa.Column("is_good", sa.Boolean),
)
ROWS = [{"id": n, "name": f"n{n}", "body": bytes([n]) if n % 2 else None, "is_good": n % 3 == 0} for n in range(9)]
OF = sa.bindparam("of")

QUESTIONS: dict[str, tuple[Any, Any]] = {
    "row": (sa.select(THINGS.c.id, THINGS.c.body).where(THINGS.c.id == OF), {"of": 3}),
    "null": (sa.select(THINGS.c.body).where(THINGS.c.id == OF), {"of": 2}),
    "none": (sa.select(THINGS.c.id).where(THINGS.c.name == OF), {"of": "nobody"}),
    "fixed value": (sa.select(THINGS.c.name).where(THINGS.c.id > 4, THINGS.c.id < OF), {"of": 7}),
    "one value twice": (sa.select(THINGS.c.id).where(sa.or_(THINGS.c.id == OF, THINGS.c.id == OF + 1)), {"of": 1}),
    "list": (sa.select(THINGS.c.id).where(THINGS.c.id.in_(sa.bindparam("some", expanding=True))), {"some": [1, 5]}),
    "boolean": (sa.select(THINGS.c.is_good).where(THINGS.c.id == OF), {"of": 3}),
    "count": (sa.select(sa.func.count()).select_from(THINGS), None),
    "limit": (sa.select(THINGS.c.id).order_by(THINGS.c.id.desc()).limit(sa.bindparam("most")), {"most": 2}),
    "returning": (THINGS.update().where(THINGS.c.id == OF).values(name="x").returning(THINGS.c.name), {"of": 4}),
}


@pytest.fixture
def plain() -> Iterator[sa.Connection]:
    connection = connect(check_url("sqlite:///:memory:"))
    with connection.begin():
        META.create_all(connection)
        connection.execute(THINGS.insert(), ROWS)
    yield connection
    connection.close()


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_answer_is_that_of_sqlalchemy_each_time(plain: sa.Connection, name: str) -> None:
    statement, given = QUESTIONS[name]
    with plain.begin():
        expected = [dict(row) for row in plain.execute(statement, given).mappings()]
        types = [[type(value) for value in row.values()] for row in expected]
    quick = QuickConnection(plain)
    with quick.begin():
        for _ in range(3):
            answer = [dict(row) for row in quick.execute(statement, given).mappings()]
            assert answer == expected
            assert [[type(value) for value in row.values()] for row in answer] == types


def test_changes_are_counted_and_seen(plain: sa.Connection) -> None:
    quick = QuickConnection(plain)
    rename = THINGS.update().where(THINGS.c.id < sa.bindparam("below")).values(name=THINGS.c.name + "!")
    add = THINGS.insert()
    with quick.begin():
        assert [quick.execute(rename, {"below": below}).rowcount for below in (1, 4, 0)] == [1, 4, 0]
        for number in (20, 21):
            quick.execute(add, {"id": number, "name": f"n{number}"})
        quick.execute(add, [{"id": 22, "name": "n22"}, {"id": 23, "name": "n23"}])
        assert quick.execute(sa.select(sa.func.count()).select_from(THINGS)).scalar_one() == len(ROWS) + 4


def test_a_value_that_is_not_given_and_a_row_that_may_not_be_are_errors(plain: sa.Connection) -> None:
    quick = QuickConnection(plain)
    add = THINGS.insert()
    with quick.begin():
        quick.execute(add, {"id": 30, "name": "n30"})
        quick.execute(add, {"id": 31, "name": "n31"})
        with pytest.raises(KeyError):
            quick.execute(add, {"id": 32})
        with pytest.raises(sqlite3.IntegrityError):
            quick.execute(add, {"id": 33, "name": "n30"})
