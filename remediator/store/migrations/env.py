"""Alembic's entry: runs the revisions on the connection that `store/migrate.py` put into the configuration."""

from __future__ import annotations

from alembic import context

from remediator.store.indexes import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
