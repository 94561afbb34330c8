"""The ledger of budgets; what was sent before stands in it, so that an upgrade gives nobody a second helping."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.BigInteger()


def upgrade() -> None:
    debits = op.create_table(
        "debits",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("remediation_id", _ID, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("returned_at", _INSTANT),
    )
    op.create_index("ix_debits_at", "debits", ["cluster", "at"])
    columns = "id, rule, plan, target, acted_at"
    query = f"SELECT {columns} FROM remediations WHERE acted_at IS NOT NULL ORDER BY acted_at"
    sent = op.get_bind().execute(sa.text(query))
    rows = [
        {
            "id": number,
            "remediation_id": row.id,
            "rule": row.rule or "",
            "action": json.loads(row.plan)["action"],
            "cluster": json.loads(row.target)["cluster"],
            "namespace": json.loads(row.target)["namespace"] or "",
            "at": row.acted_at,
            "returned_at": None,
        }
        for number, row in enumerate(sent, start=1)
        if row.plan and row.target
    ]
    if rows:
        op.bulk_insert(debits, rows)
