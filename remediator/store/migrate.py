"""Brings the database to the schema of this version; `database.py` calls it before anything else.

The revisions are in `migrations/versions/`, part of the package. All of them run in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from threading import Lock

import sqlalchemy as sa

from remediator.errors import ConfigError
from remediator.store.backend import Backend, Work
from remediator.store.sqlite import SQLITE

_FOLDER = Path(__file__).parent / "migrations"

_one_at_a_time = Lock()
"""What Alembic works on is global: of two stores that one process opens at once one would migrate the other's."""


def migrate(connection: sa.Connection, backend: Backend = SQLITE) -> None:
    """Raises ConfigError when the database was written by a newer version. Blocks: call it from the store's thread.

    Of several replicas that start at once one does it; the others wait for it, and find it done.
    """
    with backend.begin(connection, Work.READS):
        is_present = _heads(connection) == {newest()}
    if is_present:
        return  # as at nearly every start: Alembic would take 10 MiB, and a fifth of a second, to say so
    with _one_at_a_time:
        upgrade = _load()
        with backend.begin(connection, Work.MIGRATES):
            upgrade(connection)


def newest() -> str:
    """The newest revision, by the names of the files."""
    return max(path.stem for path in (_FOLDER / "versions").glob("[0-9]*.py")).partition("_")[0]


def _heads(connection: sa.Connection) -> set[str]:
    """Which revision the database is at, where Alembic has written it; none: it is new."""
    table = sa.table("alembic_version", sa.column("version_num", sa.Text))
    if not sa.inspect(connection).has_table(table.name):
        return set()
    return set(connection.execute(sa.select(table.c.version_num)).scalars())


def _load() -> Callable[[sa.Connection], None]:
    """Import Alembic, which takes long, and read the revisions."""
    command = import_module("alembic.command")
    config = import_module("alembic.config").Config()
    # ConfigParser expands %, which may stand in a path.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    script = import_module("alembic.script").ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    migration_context = import_module("alembic.runtime.migration").MigrationContext

    def upgrade(connection: sa.Connection) -> None:
        present = set(migration_context.configure(connection).get_current_heads())
        if present - known:
            raise ConfigError(
                f"the database has schema {', '.join(sorted(present - known))}, which this version does not know: "
                "it was written by a newer remediator; run that version, or restore a backup"
            )
        if present != set(script.get_heads()):
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    return upgrade
