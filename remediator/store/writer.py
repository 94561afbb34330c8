"""The one thread that talks to the database: calls wait in a bounded queue and share transactions (group commit).

`database.py` makes every call of the protocols through `Writer`. A call's answer is given after COMMIT and never
before; if COMMIT fails, every call of the batch fails. Inside a batch reads come first, then all calls that can be
merged in one go, then the other writes. A call that fails by its own fault fails alone.

A batch is one visit to the thread. A driver that goes there and back for each statement (aiosqlite) spends more time
on the way than SQLite does on the work: `tests/bench/receive.py` tells the two apart.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa

from remediator.errors import ConfigError, cut
from remediator.store.backend import Backend, Work
from remediator.store.base import StoreUnavailable
from remediator.store.log import Log
from remediator.store.sqlite import SQLITE
from remediator.store.transaction import Transaction

_log = logging.getLogger(__name__)

_R = TypeVar("_R")
_A = TypeVar("_A")

_MAX_WAITING = 20_000
"""Weight of the calls that may wait (an alert weighs 1, any other call 1): about 50 MB and some seconds of work.
Pushes back: what does not fit is answered with StoreUnavailable, which the receiver turns into 503."""

_BEYOND_LIMITS = "54"
"""Class of PostgreSQL's errors for what is too large or too complex, say a text that does not fit an index."""

_MAX_BATCH = 2_000
"""Weight of one transaction, so that a storm of alerts does not keep other calls waiting for long."""


class Kind(Enum):
    READ = 0
    MERGED = 1
    WRITE = 2


@dataclass(slots=True, eq=False)
class _Call:
    """`run` takes the arguments of one or more calls of its kind and answers as many."""

    kind: Kind
    run: Callable[[Transaction, Sequence[Any]], Sequence[Any]]
    argument: Any
    weight: int
    answer: asyncio.Future[Any]


_Outcome = tuple[_Call, Any, Exception | None]


class AtOnce(Executor):
    """Runs what it is given in the caller's thread: in memory nothing blocks for long, and what is played twice is done
    in the same order twice."""

    def submit(self, fn: Callable[..., _R], /, *args: Any, **kwargs: Any) -> Future[_R]:
        future: Future[_R] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class Writer:
    """Owns the thread and its connection. `connect` opens it again when it has become doubtful; None: it cannot be (in
    memory)."""

    @classmethod
    async def open(
        cls,
        ready: Callable[[], sa.Connection],
        *,
        connect: Callable[[], sa.Connection] | None,
        log: Log,
        thread: Executor | None = None,
        backend: Backend = SQLITE,
    ) -> Writer:
        """Start the thread, or use this one, and let `ready` make the connection in it. Raises what that does."""
        thread = thread or ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, ready)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(thread, connection, connect=connect, log=log, backend=backend)

    def __init__(
        self,
        thread: Executor,
        connection: sa.Connection,
        *,
        connect: Callable[[], sa.Connection] | None,
        log: Log,
        backend: Backend,
    ) -> None:
        self._log = log
        self._backend = backend
        self._thread = thread
        self._connection: sa.Connection | None = connection
        self._connect = connect
        self._waiting: deque[_Call] = deque()
        self._weight = 0
        self._merging = False
        self._arrived = asyncio.Event()
        self._closing = False
        self._disconnected: Future[None] | None = None
        # The one task without a TaskGroup: it lives as long as the store, and `close` awaits it.
        self._task = asyncio.create_task(self._serve(), name="store-writer")

    async def read(self, run: Callable[[Transaction], _R]) -> _R:
        return await self._call(Kind.READ, lambda transaction, _: [run(transaction)], None, weight=1)

    async def write(self, run: Callable[[Transaction], _R]) -> _R:
        return await self._call(Kind.WRITE, lambda transaction, _: [run(transaction)], None, weight=1)

    async def merge(self, run: Callable[[Transaction, Sequence[_A]], Sequence[_R]], argument: _A, *, weight: int) -> _R:
        """Calls that wait together are one `run`. There is one such function for a writer."""
        return await self._call(Kind.MERGED, run, argument, weight=weight)

    @property
    def is_shared(self) -> bool:
        """Whether other processes write the database too."""
        return self._backend.is_shared

    @property
    def is_merging(self) -> bool:
        """Whether calls that are merged wait, or are being served now."""
        return self._merging or any(call.kind is Kind.MERGED for call in self._waiting)

    async def close(self) -> None:
        """Serve what waits, then close the connection. Later calls raise StoreUnavailable."""
        self._closing = True
        self._arrived.set()
        await self._task
        if self._disconnected is not None:
            await asyncio.wrap_future(self._disconnected)

    async def _call(
        self, kind: Kind, run: Callable[[Transaction, Sequence[Any]], Sequence[_R]], argument: Any, *, weight: int
    ) -> _R:
        if self._closing or self._task.done():
            raise StoreUnavailable("the store is closed")
        if self._waiting and self._weight + weight > _MAX_WAITING:
            raise StoreUnavailable("the store is behind: too many calls wait for it")
        call = _Call(kind, run, argument, weight, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        self._weight += weight
        self._arrived.set()
        answer: _R = await call.answer
        return answer

    async def _serve(self) -> None:
        try:
            while self._waiting or not self._closing:
                if not self._waiting:
                    self._arrived.clear()
                    await self._arrived.wait()
                    continue
                batch = self._next_batch()
                if not batch:
                    continue
                self._merging = any(call.kind is Kind.MERGED for call in batch)
                try:
                    outcomes = await self._served(batch)
                except BaseException:
                    _fail(batch, "the store has stopped")
                    _log.critical("the store's writer has stopped", exc_info=True)
                    raise
                for call, result, error in outcomes:
                    _answer(call, result, error)
                self._merging = False
        finally:
            self._closing = True
            _fail(self._waiting, "the store has stopped")
            self._disconnected = self._thread.submit(self._disconnect)
            self._thread.shutdown(wait=False)

    def _next_batch(self) -> list[_Call]:
        batch: list[_Call] = []
        weight = 0
        while self._waiting and (not batch or weight + self._waiting[0].weight <= _MAX_BATCH):
            call = self._waiting.popleft()
            self._weight -= call.weight
            if not call.answer.done():  # its caller was cancelled: nobody was promised anything
                batch.append(call)
                weight += call.weight
        batch.sort(key=lambda call: call.kind.value)
        return batch

    async def _served(self, batch: Sequence[_Call]) -> Sequence[_Outcome]:
        loop = asyncio.get_running_loop()
        waiting = loop.run_in_executor(self._thread, partial(self._transact, batch))
        if self._backend.give_up is None:
            return await waiting
        limit = loop.call_later(self._backend.patience_seconds, self._give_up)
        try:
            return await waiting
        finally:
            limit.cancel()

    def _give_up(self) -> None:
        """The database has not answered for too long: let the thread's call fail, so that its callers hear of it."""
        if self._connection is not None and self._backend.give_up is not None:
            _log.error("the store does not answer: its connection is given up")
            self._backend.give_up(self._connection)

    # -- in the thread

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _transact(self, batch: Sequence[_Call]) -> Sequence[_Outcome]:
        self._log.rolled_back()  # whatever a transaction before left that was not committed
        try:
            connection = self._opened()
            is_reading = all(call.kind is Kind.READ for call in batch)
            begin = partial(self._backend.begin, connection, Work.READS if is_reading else Work.WRITES)
            try:
                with begin():
                    outcomes = _run_together(Transaction(connection, self._log), batch)
            except _CallFailed as failed:
                if len(batch) == 1:
                    return [(batch[0], None, failed.error)]
                self._log.rolled_back()
                with begin():
                    outcomes = _run_apart(Transaction(connection, self._log), batch)
            # After COMMIT: what is gone from now on was lost after the answer, not before it.
            self._backend.check_in_place(connection)
            self._log.committed()
            return outcomes
        except (ConfigError, OSError) as error:
            why = f"the store cannot be opened again: {error}"
        except sa.exc.SQLAlchemyError as error:
            why = f"the store cannot commit: {_text(error)}"
            self._recover(error)
        _log.error(why)
        return [(call, None, StoreUnavailable(why)) for call in batch]

    def _opened(self) -> sa.Connection:
        if self._connection is None:
            assert self._connect is not None
            self._connection = self._connect()
        return self._connection

    def _recover(self, error: sa.exc.SQLAlchemyError) -> None:
        connection = self._connection
        if connection is None:
            return
        failures: tuple[type[Exception], ...] = (sa.exc.SQLAlchemyError, *self._backend.errors)
        doubtful = self._backend.is_doubtful(error)
        try:
            self._backend.roll_back(connection)
        except failures as second:
            _log.error("the failed transaction could not be rolled back: %s", cut(str(second)))
            doubtful = True
        if not doubtful or self._connect is None:
            return
        # A sync that failed once may "succeed" when repeated with the data gone: begin again from what the disk has.
        self._connection = None
        try:
            connection.close()
        except failures as second:
            _log.error("the doubtful connection did not close: %s", cut(str(second)))


class _CallFailed(Exception):
    """A call of an unprotected batch failed by its own fault: the batch is rolled back, and run with protection."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _run_together(transaction: Transaction, batch: Sequence[_Call]) -> list[_Outcome]:
    """Everything between BEGIN and COMMIT, without a savepoint, since failing calls are rare. Raises _CallFailed."""
    outcomes: list[_Outcome] = []
    for group in _groups(batch):
        try:
            results = group[0].run(transaction, [call.argument for call in group])
        except Exception as error:
            if _is_of_database(error):
                raise
            raise _CallFailed(error) from error
        outcomes += [(call, result, None) for call, result in zip(group, results, strict=True)]
    transaction.write_records()
    return outcomes


def _run_apart(transaction: Transaction, batch: Sequence[_Call]) -> list[_Outcome]:
    """The same with each call under its own savepoint, so that its failure stays its own."""
    outcomes: list[_Outcome] = []
    for call in batch:
        mark = transaction.mark()
        savepoint = transaction.connection.begin_nested()
        try:
            [result] = call.run(transaction, [call.argument])
        except Exception as error:  # carried to the caller whose call it was
            if _is_of_database(error):
                raise
            savepoint.rollback()
            transaction.go_back(mark)
            outcomes.append((call, None, error))
        else:
            savepoint.commit()
            outcomes.append((call, result, None))
    transaction.write_records()
    return outcomes


def _groups(batch: Sequence[_Call]) -> list[list[_Call]]:
    merged = [call for call in batch if call.kind is Kind.MERGED]
    groups = [[call] for call in batch if call.kind is Kind.READ]
    groups += [merged] if merged else []
    return groups + [[call] for call in batch if call.kind is Kind.WRITE]


def _is_of_database(error: Exception) -> bool:
    """Whether the database failed and with it the whole batch, rather than one call by what it asked for."""
    asked_wrongly = (sa.exc.IntegrityError, sa.exc.DataError, sa.exc.ProgrammingError, sa.exc.InterfaceError)
    if not isinstance(error, sa.exc.DBAPIError) or str(getattr(error.orig, "sqlstate", "")).startswith(_BEYOND_LIMITS):
        return False
    return error.connection_invalidated or not isinstance(error, asked_wrongly)


def _text(error: sa.exc.SQLAlchemyError) -> str:
    return cut(str(getattr(error, "orig", None) or error))


def _answer(call: _Call, result: Any, error: Exception | None) -> None:
    if call.answer.done():
        return
    if error is None:
        call.answer.set_result(result)
    elif isinstance(error, sa.exc.SQLAlchemyError):
        failure = StoreUnavailable(f"the store refused the call: {_text(error)}")
        failure.__cause__ = error
        call.answer.set_exception(failure)
    else:
        call.answer.set_exception(error)


def _fail(calls: Sequence[_Call] | deque[_Call], why: str) -> None:
    for call in calls:
        if not call.answer.done():
            call.answer.set_exception(StoreUnavailable(why))
