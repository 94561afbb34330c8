"""The highest numbers that were given out, where retention has given up the rows that had them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "numbers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("highest", _ID, nullable=False),
    )
