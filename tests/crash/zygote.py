"""A process that has loaded the service and forks one for each line that it is given: a start takes milliseconds
instead of a second. `python -m tests.crash.zygote`; ends with its input, and what it started with it.

`start <spec as JSON>` answers with the process id, `wait <pid>` with the wait status of one that ended.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import traceback
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import remediator.api.application as application
import remediator.app as app
import remediator.store.opening as opening
import remediator.store.postgres  # noqa: F401  # the service imports it only where it is asked for
import remediator.store.sqlite as sqlite
from tests.crash.service_child import Spec, run


def prepare() -> None:
    """What takes most of a start and is the same each time is done once: the table of rules, and the API's document."""
    application.document = cache(application.document)
    application.document(app.VERSION)
    app.rule_table = _loaded_once(app.rule_table)
    opening.migrate = _migrated_once(opening.migrate)


def _loaded_once(load: Any) -> Any:
    tables: dict[bytes, Any] = {}

    def loaded(paths: tuple[Path, ...]) -> Any:
        text = b"".join(path.read_bytes() for path in paths)
        if text not in tables:
            tables[text] = load(paths)
        return tables[text]

    return loaded


def _migrated_once(migrate: Any) -> Any:
    """A new file begins as a copy of one that the migrations were run on; any other is left to them."""
    connection = sqlite.connect(sqlite.check_url("sqlite:///:memory:"))
    migrate(connection)
    blank = sqlite.image_of(connection)
    connection.close()

    def migrated(connection: Any, backend: Any) -> None:
        if backend is sqlite.SQLITE and not _has_tables(connection):
            with closing(sqlite3.connect(":memory:")) as source:
                source.deserialize(blank)
                source.backup(connection.connection.driver_connection)
        migrate(connection, backend)

    return migrated


def _has_tables(connection: Any) -> bool:
    driver: sqlite3.Connection = connection.connection.driver_connection
    return bool(driver.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def main() -> None:
    prepare()
    living: set[int] = set()
    for line in sys.stdin:
        word, _, rest = line.partition(" ")
        if word == "start":
            spec = Spec(**json.loads(rest))
            app.rule_table(tuple(map(Path, spec.settings["rules"])))
            pid = os.fork()
            if not pid:
                _become(spec)
            living.add(pid)
            print(pid, flush=True)
        else:
            _, status = os.waitpid(int(rest), 0)
            living.discard(int(rest))
            print(status, flush=True)
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _become(spec: Spec) -> None:
    try:
        os.close(0)
        run(spec)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
