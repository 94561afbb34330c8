"""The tree over the audit records: its head, its tiles, the kept checkpoints, and what stands beside a record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("records", sa.Column("beside", sa.LargeBinary))
    op.create_table(
        "log_head",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("size", _ID, nullable=False),
        sa.Column("nodes", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
        sa.Column("pruned", _ID, nullable=False, server_default="0"),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "log_tiles",
        sa.Column("number", _ID, primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("origin", sa.Text, primary_key=True),
        sa.Column("size", _ID, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        _guard_records()


def _guard_records() -> None:
    """As before append-only; but what is free may be taken back, and what retention has given up may go."""
    for name in ("records_no_update", "records_no_delete", "records_dense"):
        op.execute(f"DROP TRIGGER {name}")
    op.execute(
        "CREATE TRIGGER records_no_update BEFORE UPDATE OF seq, at, kind, remediation_id, incident_id, canonical "
        "ON records BEGIN SELECT RAISE(ABORT, 'records are append-only'); END"
    )
    op.execute(
        "CREATE TRIGGER records_no_delete BEFORE DELETE ON records "
        "WHEN OLD.seq > coalesce((SELECT pruned FROM log_head), 0) "
        "BEGIN SELECT RAISE(ABORT, 'records are append-only'); END"
    )
    # Not "one more than the last": a log whose last records were taken away goes on behind what its head knows.
    op.execute(
        "CREATE TRIGGER records_grow BEFORE INSERT ON records "
        "WHEN NEW.seq <= (SELECT coalesce(max(seq), 0) FROM records) "
        "OR NEW.seq > coalesce((SELECT size FROM log_head), 0) "
        "BEGIN SELECT RAISE(ABORT, 'records are append-only'); END"
    )
