"""A connection that takes statements which are built once straight to SQLite's driver.

For `direct.py`, where the way through SQLAlchemy costs more than what SQLite does on the statement. SQLAlchemy still
compiles each statement, once; what it makes of it is what runs here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.sql.compiler import SQLCompiler

_AS_THEY_ARE = (sa.Text, sa.Integer, sa.LargeBinary, sa.types.NullType)
"""Types of which SQLite's driver gives what the store wants: no value needs a second look."""


class _Compiled(NamedTuple):
    """`names` of the values in the order of the placeholders, `fixed` those that stand in the statement; `answer`
    describes the rows, None: there are none. Without a text it is SQLAlchemy's to run."""

    text: str
    names: tuple[str, ...]
    fixed: Mapping[str, Any]
    answer: SimpleResultMetaData | None

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        fixed = self.fixed
        return [given[name] if name in given else fixed[name] for name in self.names]


_NOT_SIMPLE = _Compiled("", (), {}, None)


class _Done(NamedTuple):
    """The result of a statement that gives no rows."""

    rowcount: int


class QuickConnection(sa.Connection):
    """On the driver's connection of another one. Errors of what it runs itself are sqlite3's own, not wrapped: for a
    caller to whom each is a fault of ours."""

    def __init__(self, connection: sa.Connection) -> None:
        super().__init__(connection.engine, connection.connection)
        self._driver: Any = connection.connection.driver_connection
        self._known: WeakKeyDictionary[Any, _Compiled | None] = WeakKeyDictionary()

    def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        compiled = self._known.get(statement) or self._seen(statement, parameters)
        if not compiled.text:
            return super().execute(statement, parameters, execution_options=execution_options)
        if isinstance(parameters, list):
            lines = [compiled.values(line) for line in parameters]
            return _Done(self._driver.executemany(compiled.text, lines).rowcount)
        cursor = self._driver.execute(compiled.text, compiled.values(parameters or {}))
        if compiled.answer is None:
            return _Done(cursor.rowcount)
        return IteratorResult(compiled.answer, iter(cursor.fetchall()))

    def _seen(self, statement: Any, parameters: Any) -> _Compiled:
        """What is built for one call is never seen again: it is compiled here when it comes a second time."""
        if statement not in self._known:
            self._known[statement] = None
            return _NOT_SIMPLE
        compiled = self._known[statement] = _compiled(statement, parameters, self.dialect)
        return compiled


def _compiled(statement: sa.ClauseElement, parameters: Any, dialect: sa.Dialect) -> _Compiled:
    line = parameters[0] if isinstance(parameters, list) else parameters
    compiled = statement.compile(dialect=dialect, column_keys=list(line) if isinstance(statement, sa.Insert) else None)
    if not isinstance(compiled, SQLCompiler) or compiled.positiontup is None or compiled.post_compile_params:
        return _NOT_SIMPLE
    columns = compiled._result_columns
    if not all(isinstance(column.type, _AS_THEY_ARE) for column in columns):
        return _NOT_SIMPLE
    answer = SimpleResultMetaData([column.keyname for column in columns]) if columns else None
    fixed = {name: value for name, value in compiled.params.items() if not compiled.binds[name].required}
    return _Compiled(str(compiled), tuple(compiled.positiontup), fixed, answer)
