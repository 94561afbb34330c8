"""First schema: alerts, incidents, remediations, audit records, template ledger, kill switch, cursors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.BigInteger()

_OPEN = (
    "state IN ('acting', 'awaiting_approval', 'diagnosing', 'failed', 'held', 'planned', 'queued', 'reverting', "
    "'verifying')"
)
_BUSY = "state IN ('acting', 'failed', 'reverting', 'verifying')"


def upgrade() -> None:
    _create_alerts()
    _create_incidents()
    _create_remediations()
    _create_records()
    _create_facts()


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("starts_at", _INSTANT, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("ends_at", _INSTANT),
        sa.Column("resolved_at", _INSTANT),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("annotations", sa.Text, nullable=False),
        sa.Column("generator_url", sa.Text, nullable=False),
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("group_key", sa.Text, nullable=False),
        sa.Column("truncated", sa.BigInteger, nullable=False),
        sa.Column("times_received", sa.BigInteger, nullable=False),
        sa.Column("first_received_at", _INSTANT, nullable=False),
        sa.Column("last_received_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("fingerprint", "starts_at", name="uq_alerts_episode"),
    )
    _create_index("ix_alerts_firing", "alerts", ["fingerprint", "starts_at"], where="status = 'firing'")


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("target_key", sa.Text),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("opened_at", _INSTANT, nullable=False),
        sa.Column("closed_at", _INSTANT),
    )
    _create_index("uq_incidents_open_target", "incidents", ["target_key"], unique=True, where="closed_at IS NULL")


def _create_remediations() -> None:
    op.create_table(
        "remediations",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("incident_id", _ID, sa.ForeignKey("incidents.id", name="fk_remediations_incident")),
        sa.Column("action_id", sa.Text, nullable=False),
        sa.Column("alert_id", _ID, sa.ForeignKey("alerts.id", name="fk_remediations_alert"), nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("rule", sa.Text),
        sa.Column("severity", sa.Integer),
        sa.Column("mode", sa.Text),
        sa.Column("target_key", sa.Text),
        sa.Column("target", sa.Text),
        sa.Column("plan", sa.Text),
        sa.Column("diagnosis", sa.Text),
        sa.Column("progress", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("acted_at", _INSTANT),
        sa.Column("due_at", _INSTANT, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_until", _INSTANT),
    )
    _create_index("uq_remediations_busy_target", "remediations", ["target_key"], unique=True, where=_BUSY)
    _create_index(
        "ix_remediations_claim", "remediations", [sa.text("coalesce(severity, 3)"), "created_at", "id"], where=_OPEN
    )
    _create_index("ix_remediations_target", "remediations", ["target_key", "acted_at"], where="target_key IS NOT NULL")
    _create_index("ix_remediations_rule", "remediations", ["rule", "acted_at"], where="acted_at IS NOT NULL")
    _create_index("ix_remediations_incident", "remediations", ["incident_id"], where="incident_id IS NOT NULL")
    op.create_index("ix_remediations_alert", "remediations", ["alert_id"])


def _create_records() -> None:
    op.create_table(
        "records",
        sa.Column("seq", _ID, primary_key=True, autoincrement=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("remediation_id", _ID),
        sa.Column("incident_id", _ID),
        sa.Column("canonical", sa.LargeBinary, nullable=False),
    )
    _create_index("ix_records_remediation", "records", ["remediation_id"], where="remediation_id IS NOT NULL")
    _create_index("ix_records_incident", "records", ["incident_id"], where="incident_id IS NOT NULL")
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER records_no_{verb.lower()} BEFORE {verb} ON records "
                "BEGIN SELECT RAISE(ABORT, 'records are append-only'); END"
            )
        # Also refuses INSERT OR REPLACE, which deletes without the trigger on DELETE.
        op.execute(
            "CREATE TRIGGER records_dense BEFORE INSERT ON records "
            "WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM records) "
            "BEGIN SELECT RAISE(ABORT, 'records are append-only and dense'); END"
        )


def _create_facts() -> None:
    op.create_table(
        "template_events",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("target_key", sa.Text, nullable=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("template_hash", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("remediation_id", _ID, nullable=False),
    )
    op.create_index("ix_template_events_target", "template_events", ["target_key"])
    kill_switch = op.create_table(
        "kill_switch",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("engaged", sa.Boolean, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("until", _INSTANT),
    )
    op.bulk_insert(kill_switch, [{"id": 1, "engaged": False, "comment": "", "by": "", "at": 0}])
    op.create_table(
        "cursors",
        sa.Column("sink", sa.Text, primary_key=True),
        sa.Column("seq", _ID, nullable=False),
        sa.Column("moved_at", _INSTANT, nullable=False),
    )


def _create_index(
    name: str, table: str, columns: list[str | sa.TextClause], *, where: str, unique: bool = False
) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
