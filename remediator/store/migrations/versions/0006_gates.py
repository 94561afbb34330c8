"""Gates that many remediations share, and what the pods that do not work have in common."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_INSTANT = sa.BigInteger()


def upgrade() -> None:
    op.create_table(
        "gates",
        sa.Column("cluster", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("seen_at", _INSTANT, nullable=False),
        sa.Column("until", _INSTANT, nullable=False),
    )
    op.create_table(
        "affected",
        sa.Column("target_key", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("image", sa.Text, nullable=False),
        sa.Column("dependency", sa.Text, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
    )
    op.create_index("ix_affected_at", "affected", ["cluster", "at"])
    known = sa.text("target_key IS NOT NULL")
    op.create_index(
        "ix_remediations_came",
        "remediations",
        ["created_at", "target_key"],
        sqlite_where=known,
        postgresql_where=known,
    )
