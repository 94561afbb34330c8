"""What is due now, and what came lately and has no target yet, is found by its time, however much else is open."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_OPEN = (
    "state IN ('acting', 'awaiting_approval', 'diagnosing', 'failed', 'held', 'planned', 'queued', 'restoring', "
    "'reverting', 'temporary', 'verifying')"
)


def upgrade() -> None:
    where = sa.text(_OPEN)
    op.create_index(
        "ix_remediations_due", "remediations", ["due_at", "state"], sqlite_where=where, postgresql_where=where
    )
    op.drop_index("ix_remediations_came", "remediations")
    op.create_index("ix_remediations_came", "remediations", ["created_at", "target_key"])
