"""The deployment watch: rollouts, when each cluster was last looked at, and incidents by target and time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.BigInteger()


def upgrade() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("target_key", sa.Text, nullable=False),
        sa.Column("template_hash", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger),
        sa.Column("images", sa.Text, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("is_exact", sa.Boolean, nullable=False),
        sa.Column("first_seen_at", _INSTANT, nullable=False),
        sa.Column("completed_at", _INSTANT),
        sa.Column("watched_until", _INSTANT, nullable=False),
        sa.Column("deployed_by", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("available_since", _INSTANT),
        sa.Column("proven_good_at", _INSTANT),
        sa.Column("stable_at", _INSTANT),
        sa.Column("incident_id", _ID),
        sa.Column("baseline", sa.Text),
        sa.Column("ended_at", _INSTANT),
    )
    op.create_table(
        "rollout_looks",
        sa.Column("cluster", sa.Text, primary_key=True),
        sa.Column("looked_at", _INSTANT, nullable=False),
    )
    _create_index("uq_rollouts_present_target", "rollouts", ["target_key"], unique=True, where="ended_at IS NULL")
    _create_index("ix_rollouts_ended", "rollouts", ["ended_at"], where="ended_at IS NOT NULL")
    op.create_index("ix_rollouts_place", "rollouts", ["namespace", "name"])
    _create_index("ix_incidents_target", "incidents", ["target_key", "opened_at"], where="target_key IS NOT NULL")


def _create_index(name: str, table: str, columns: list[str], *, where: str, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
