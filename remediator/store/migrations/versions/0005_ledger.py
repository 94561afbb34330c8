"""The ledger says what became of each action, and keeps what silent mode would have spent; people can set it back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.BigInteger()

_OUTCOMES = {
    "verified": ("verified", "temporary", "restoring"),
    "failed": ("failed", "reverting", "reverted"),
    "unknown": ("unknown",),
}


def upgrade() -> None:
    op.add_column("debits", sa.Column("rule_digest", sa.Text, nullable=False, server_default=""))
    op.add_column("debits", sa.Column("target_key", sa.Text, nullable=False, server_default=""))
    op.add_column("debits", sa.Column("is_shadow", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("debits", sa.Column("outcome", sa.Text))
    op.create_index("ix_debits_target", "debits", ["target_key", "at"])
    op.create_index("ix_debits_remediation", "debits", ["remediation_id"])
    own = "SELECT {} FROM remediations WHERE remediations.id = debits.remediation_id"
    op.execute(f"UPDATE debits SET target_key = coalesce(({own.format('target_key')}), '')")
    for outcome, states in _OUTCOMES.items():
        names = ", ".join(f"'{state}'" for state in states)
        op.execute(f"UPDATE debits SET outcome = '{outcome}' WHERE ({own.format('state')}) IN ({names})")
    op.execute(f"UPDATE debits SET outcome = 'failed' WHERE ({own.format('reason')}) = 'not-verified'")
    op.create_table(
        "resets",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
    )
    op.create_index("ix_resets_subject", "resets", ["what", "subject", "at"])
