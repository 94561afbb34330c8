"""A PostgreSQL server of this run: started once, on a free port of loopback, with a database for each test.

Debian's programs are used as they are (`postgresql`), in any version; `REMEDIATOR_TEST_POSTGRES` may name another
folder with `initdb` and `postgres`. They refuse to be run by root, so root becomes `nobody` for them. `fsync` stays on:
what the tests look at is a server as in production. A run with several workers (-n) has a server in each that asks for
one.

Without the programs the tests that need them are skipped, and under CI, where that would go unnoticed, fail.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from remediator.store.indexes import metadata
from remediator.store.opening import open_database
from tests.clocks import FakeClock

USER = "remediator"
START_SECONDS = 60
PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql")
DATABASES = ("sqlite", "postgresql")
"""What `database_url` is given by turns."""

SETTINGS = {
    "fsync": "on",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "logging_collector": "off",
    "autovacuum": "on",
}


class PostgresUnavailable(Exception):
    """The programs are not there."""


def programs() -> Path:
    """The folder with `initdb` and `postgres`. Raises PostgresUnavailable."""
    if named := os.environ.get("REMEDIATOR_TEST_POSTGRES"):
        return Path(named)
    found = [path.parent for place in PLACES for path in Path(place).glob("**/bin/initdb")]
    if found:
        return max(found, key=lambda folder: [int(number) for number in re.findall(r"\d+", str(folder))])
    if (path := shutil.which("initdb")) is not None:
        return Path(path).resolve().parent
    raise PostgresUnavailable("PostgreSQL is not installed: apt-get install --no-install-recommends postgresql")


class Server:
    """One server. `settings` are added to its configuration file."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._bin = programs()
        self._folder = folder
        self._data = folder / "data"
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._free: list[str] = []
        self._blank: dict[str, list[tuple[object, ...]]] = {}
        self.port = _free_port()
        self._as = _nobody() if os.geteuid() == 0 else None
        if self._as is not None:
            os.chown(folder, self._as.pw_uid, self._as.pw_gid)
        self._run("initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.configure(**{**SETTINGS, "port": str(self.port), **settings})

    def configure(self, **settings: str) -> None:
        """Add to the configuration file; `restart` or `reload` makes the server read it."""
        lines = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(lines)

    def start(self) -> None:
        """Start it, and wait until it answers. A port that was free when it was chosen may be taken by now."""
        for _ in range(5):
            if self._starts():
                return
            if "could not bind" not in self._log.read_text(errors="replace"):
                break
            self.port = _free_port()
            self.configure(port=str(self.port))
        raise AssertionError(f"PostgreSQL did not start: {self._log.read_text(errors='replace')[-2000:]}")

    def _starts(self) -> bool:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                **self._user(),
            )
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.05)
        return False

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it. SIGQUIT is `pg_ctl stop -m immediate`: without a checkpoint, as after a crash; SIGINT is `fast`."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=60)
            self._process = None

    def reload(self) -> None:
        """Let it read its configuration again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement outside of any transaction; its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return [] if cursor.description is None else cursor.fetchall()

    def empty_database(self, **options: str) -> str:
        """A new database without a schema; its name."""
        name = f"t_{secrets.token_hex(6)}"
        said = " ".join(f"{option} {value}" for option, value in options.items())
        self.execute(f"CREATE DATABASE {name} {said}")
        return name

    async def database(self) -> str:
        """A database with the schema of this version, as new; its URL. `give_back` lets another test have it."""
        if self._free:
            return self._free.pop()
        url = self.url(self.empty_database())
        await (await open_database(url, clock=FakeClock())).close()
        with psycopg.connect(url) as connection:
            for table in metadata.sorted_tables:
                self._blank[table.name] = connection.execute(f"SELECT * FROM {table.name}".encode()).fetchall()
        return url

    def give_back(self, url: str) -> None:
        """Empty it: a new database takes a hundred times as long, and nothing here is as old as its statistics."""
        with psycopg.connect(url) as connection:
            # The audit log defends itself.
            emptying = ["SET LOCAL session_replication_role = replica"]
            emptying += [f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)]
            connection.execute("; ".join(emptying).encode())
            for table in metadata.sorted_tables:
                for row in self._blank[table.name]:
                    places = ", ".join(["%s"] * len(row))
                    connection.execute(f"INSERT INTO {table.name} VALUES ({places})".encode(), row)
        self._free.append(url)

    def drop(self, url: str) -> None:
        self.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        done = subprocess.run(command, capture_output=True, cwd=self._folder, check=False, **self._user())
        if done.returncode:
            raise AssertionError(f"{program} failed: {done.stderr.decode(errors='replace')[-2000:]}")

    def _user(self) -> dict[str, object]:
        if self._as is None:
            return {}
        return {"user": self._as.pw_uid, "group": self._as.pw_gid, "extra_groups": [], "env": {"PATH": os.defpath}}


def _nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


def _folder() -> Path:
    """Not below pytest's own folder, which other users may not enter."""
    return Path(tempfile.mkdtemp(prefix="remediator-postgres-"))


def programs_or_skip() -> None:
    """For fixtures: skip where the programs are not; fail on CI."""
    try:
        programs()
    except PostgresUnavailable as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server of this run."""
    yield from serving()


@pytest.fixture
async def postgres_url(postgres: Server) -> AsyncIterator[str]:
    """A database on it with the schema of this version, as new."""
    made = await postgres.database()
    yield made
    postgres.give_back(made)


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    """A server for one test that does things to it."""
    yield from serving()


def serving(**settings: str) -> Iterator[Server]:
    programs_or_skip()
    folder = _folder()
    server = Server(folder, **settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=DATABASES)
async def database_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A new database of each kind: in memory for SQLite, with the schema already there for PostgreSQL."""
    if request.param == "sqlite":
        yield "sqlite:///:memory:"
        return
    server: Server = request.getfixturevalue("postgres")
    url = await server.database()
    yield url
    server.give_back(url)
