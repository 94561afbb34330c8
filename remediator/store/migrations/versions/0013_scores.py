"""The scorecard: each recommendation, what was seen of it afterwards, how it was judged, and what a person said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "scores",
        sa.Column("remediation_id", _ID, primary_key=True, autoincrement=False),
        sa.Column("incident_id", _ID),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("sense", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("target_key", sa.Text, nullable=False),
        sa.Column("would", sa.Text, nullable=False),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("looked_at", sa.BigInteger),
        sa.Column("seen", sa.Text),
        sa.Column("happened", sa.Text),
        sa.Column("is_right", sa.Boolean),
        sa.Column("is_harmful", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("saved", sa.BigInteger),
        sa.Column("detail", sa.Text),
        sa.Column("judged_at", sa.BigInteger),
        sa.Column("said_right", sa.Boolean),
        sa.Column("said_harmful", sa.Boolean),
        sa.Column("said_by", sa.Text),
        sa.Column("said_comment", sa.Text),
        sa.Column("said_at", sa.BigInteger),
    )
    is_due = sa.text("due_at IS NOT NULL")
    op.create_index("ix_scores_due", "scores", ["due_at"], sqlite_where=is_due, postgresql_where=is_due)
    op.create_index("ix_scores_rule", "scores", ["rule", "decided_at"])
