"""What people have to do: who was told, when the next one is, and who acknowledged it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.BigInteger()


def upgrade() -> None:
    op.create_table(
        "escalations",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("incident_id", _ID, sa.ForeignKey("incidents.id", name="fk_escalations_incident")),
        sa.Column("remediation_id", _ID, sa.ForeignKey("remediations.id", name="fk_escalations_remediation")),
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("gate", sa.Text),
        sa.Column("contact", sa.Text, nullable=False),
        sa.Column("severity", sa.Integer, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("reminders", sa.Integer, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("needs_person", sa.Boolean, nullable=False),
        sa.Column("opened_at", _INSTANT, nullable=False),
        sa.Column("next_at", _INSTANT),
        sa.Column("acked_at", _INSTANT),
        sa.Column("acked_by", sa.Text),
        sa.Column("acked_comment", sa.Text),
        sa.Column("ended_at", _INSTANT),
        sa.Column("ended", sa.Text),
    )
    _index("uq_escalations_open_incident", ["incident_id"], unique=True, where="ended_at IS NULL")
    _index("uq_escalations_open_gate", ["cluster", "gate"], unique=True, where="ended_at IS NULL")
    _index("ix_escalations_due", ["next_at"], where="next_at IS NOT NULL")
    _index("ix_escalations_incident", ["incident_id"], where="incident_id IS NOT NULL")


def _index(name: str, columns: list[str], *, where: str, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(
        name, "escalations", columns, unique=unique, sqlite_where=condition, postgresql_where=condition
    )
