"""Two more states: `temporary` is open, `restoring` is open and keeps its target busy."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_OPEN = (
    "state IN ('acting', 'awaiting_approval', 'diagnosing', 'failed', 'held', 'planned', 'queued', 'restoring', "
    "'reverting', 'temporary', 'verifying')"
)
_BUSY = "state IN ('acting', 'failed', 'restoring', 'reverting', 'verifying')"


def upgrade() -> None:
    op.drop_index("uq_remediations_busy_target", "remediations")
    op.drop_index("ix_remediations_claim", "remediations")
    _create_index("uq_remediations_busy_target", ["target_key"], unique=True, where=_BUSY)
    _create_index("ix_remediations_claim", [sa.text("coalesce(severity, 3)"), "created_at", "id"], where=_OPEN)


def _create_index(name: str, columns: list[str | sa.TextClause], *, where: str, unique: bool = False) -> None:
    op.create_index(
        name, "remediations", columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )
