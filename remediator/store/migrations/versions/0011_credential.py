"""An alert remembers by which credential it came. Those from before have none, and are not acted on where one is asked
for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("alerts", sa.Column("credential", sa.Text, nullable=False, server_default=""))
