"""The tables, as SQLAlchemy Core sees them. Everything else in this folder builds its SQL on these.

Instants are integers, microseconds since 1970 in UTC, so that they compare in SQL and keep every digit. JSON values
are canonical text. Ids are given out by the writer (`transaction.py`), so that they grow without holes. Their indexes
are in `indexes.py`. A change here needs a migration; a test compares the two.
"""

from __future__ import annotations

import sqlalchemy as sa

from remediator.model import TRANSITIONS, State

BUSY_STATES = frozenset({State.ACTING, State.VERIFYING, State.FAILED, State.REVERTING, State.RESTORING})
"""A target has at most one remediation in these: from the write on, until it is known what became of it."""

WAITING_STATES = frozenset({State.QUEUED, State.HELD, State.AWAITING_APPROVAL, State.TEMPORARY})
"""Nothing is done for a remediation in these until it is due."""

SEVERITY_IF_UNKNOWN = 3

# SQLite gives out row ids only for a column that is declared exactly INTEGER.
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Instant = sa.BigInteger()

metadata = sa.MetaData()

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("starts_at", Instant, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("ends_at", Instant),
    sa.Column("resolved_at", Instant),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("annotations", sa.Text, nullable=False),
    sa.Column("generator_url", sa.Text, nullable=False),
    sa.Column("receiver", sa.Text, nullable=False),
    sa.Column("group_key", sa.Text, nullable=False),
    sa.Column("truncated", sa.BigInteger, nullable=False),
    sa.Column("times_received", sa.BigInteger, nullable=False),
    sa.Column("first_received_at", Instant, nullable=False),
    sa.Column("last_received_at", Instant, nullable=False),
    sa.Column("credential", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("fingerprint", "starts_at", name="uq_alerts_episode"),
)

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("target_key", sa.Text),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("closed_at", Instant),
)

remediations = sa.Table(
    "remediations",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("incident_id", Id, sa.ForeignKey("incidents.id", name="fk_remediations_incident")),
    sa.Column("action_id", sa.Text, nullable=False),
    sa.Column("alert_id", Id, sa.ForeignKey("alerts.id", name="fk_remediations_alert"), nullable=False),
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
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("acted_at", Instant),
    sa.Column("due_at", Instant, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", Instant),
)

records = sa.Table(
    "records",
    metadata,
    sa.Column("seq", Id, primary_key=True, autoincrement=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("remediation_id", Id),
    sa.Column("incident_id", Id),
    sa.Column("canonical", sa.LargeBinary, nullable=False),
    sa.Column("beside", sa.LargeBinary),
)

log_head = sa.Table(
    "log_head",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("size", Id, nullable=False),
    sa.Column("nodes", sa.LargeBinary, nullable=False),
    sa.Column("note", sa.LargeBinary, nullable=False),
    sa.Column("pruned", Id, nullable=False, server_default="0"),
    sa.Column("at", Instant, nullable=False),
)

log_tiles = sa.Table(
    "log_tiles",
    metadata,
    sa.Column("number", Id, primary_key=True, autoincrement=False),
    sa.Column("root", sa.LargeBinary, nullable=False),
    sa.Column("hashes", sa.LargeBinary, nullable=False),
)

log_gaps = sa.Table(
    "log_gaps",
    metadata,
    sa.Column("seq", Id, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)

numbers = sa.Table(
    "numbers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("highest", Id, nullable=False),
)

log_checkpoints = sa.Table(
    "log_checkpoints",
    metadata,
    sa.Column("origin", sa.Text, primary_key=True),
    sa.Column("size", Id, primary_key=True, autoincrement=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("note", sa.LargeBinary, nullable=False),
)

watchdog = sa.Table(
    "watchdog",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("seen_at", Instant, nullable=False),
    sa.Column("resolved_at", Instant),
    sa.Column("confirmed_to", Instant, nullable=False),
)

template_events = sa.Table(
    "template_events",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("target_key", sa.Text, nullable=False),
    sa.Column("uid", sa.Text, nullable=False),
    sa.Column("template_hash", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("remediation_id", Id, nullable=False),
)

debits = sa.Table(
    "debits",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("remediation_id", Id, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("cluster", sa.Text, nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("returned_at", Instant),
    sa.Column("rule_digest", sa.Text, nullable=False, server_default=""),
    sa.Column("target_key", sa.Text, nullable=False, server_default=""),
    sa.Column("is_shadow", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("outcome", sa.Text),
)
sa.Index("ix_debits_at", debits.c.cluster, debits.c.at)
sa.Index("ix_debits_target", debits.c.target_key, debits.c.at)
sa.Index("ix_debits_remediation", debits.c.remediation_id)

resets = sa.Table(
    "resets",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
)
sa.Index("ix_resets_subject", resets.c.what, resets.c.subject, resets.c.at)

gates = sa.Table(
    "gates",
    metadata,
    sa.Column("cluster", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("since", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False),
)

affected = sa.Table(
    "affected",
    metadata,
    sa.Column("target_key", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("cluster", sa.Text, nullable=False),
    sa.Column("node", sa.Text, nullable=False),
    sa.Column("image", sa.Text, nullable=False),
    sa.Column("dependency", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
)
sa.Index("ix_affected_at", affected.c.cluster, affected.c.at)

pauses = sa.Table(
    "pauses",
    metadata,
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("until", Instant),
)

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("remediation_id", Id, primary_key=True, autoincrement=False),
    sa.Column("plan_hash", sa.Text, nullable=False),
    sa.Column("is_granted", sa.Boolean, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
)

escalations = sa.Table(
    "escalations",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("incident_id", Id, sa.ForeignKey("incidents.id", name="fk_escalations_incident")),
    sa.Column("remediation_id", Id, sa.ForeignKey("remediations.id", name="fk_escalations_remediation")),
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
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("next_at", Instant),
    sa.Column("acked_at", Instant),
    sa.Column("acked_by", sa.Text),
    sa.Column("acked_comment", sa.Text),
    sa.Column("ended_at", Instant),
    sa.Column("ended", sa.Text),
)

kill_switch = sa.Table(
    "kill_switch",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("engaged", sa.Boolean, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("until", Instant),
)

duties = sa.Table(
    "duties",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("until", Instant, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
)

cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("sink", sa.Text, primary_key=True),
    sa.Column("seq", Id, nullable=False),
    sa.Column("moved_at", Instant, nullable=False),
)

rollouts = sa.Table(
    "rollouts",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=False),
    sa.Column("cluster", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("uid", sa.Text, nullable=False),
    sa.Column("target_key", sa.Text, nullable=False),
    sa.Column("template_hash", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger),
    sa.Column("images", sa.Text, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("is_exact", sa.Boolean, nullable=False),
    sa.Column("first_seen_at", Instant, nullable=False),
    sa.Column("completed_at", Instant),
    sa.Column("watched_until", Instant, nullable=False),
    sa.Column("deployed_by", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("available_since", Instant),
    sa.Column("proven_good_at", Instant),
    sa.Column("stable_at", Instant),
    sa.Column("incident_id", Id),
    sa.Column("baseline", sa.Text),
    sa.Column("ended_at", Instant),
)

rollout_looks = sa.Table(
    "rollout_looks",
    metadata,
    sa.Column("cluster", sa.Text, primary_key=True),
    sa.Column("looked_at", Instant, nullable=False),
)


scores = sa.Table(
    "scores",
    metadata,
    sa.Column("remediation_id", Id, primary_key=True, autoincrement=False),
    sa.Column("incident_id", Id),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("sense", sa.Text, nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("target_key", sa.Text, nullable=False),
    sa.Column("would", sa.Text, nullable=False),
    sa.Column("decided_at", Instant, nullable=False),
    sa.Column("due_at", Instant),
    sa.Column("looked_at", Instant),
    sa.Column("seen", sa.Text),
    sa.Column("happened", sa.Text),
    sa.Column("is_right", sa.Boolean),
    sa.Column("is_harmful", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("saved", sa.BigInteger),
    sa.Column("detail", sa.Text),
    sa.Column("judged_at", Instant),
    sa.Column("said_right", sa.Boolean),
    sa.Column("said_harmful", sa.Boolean),
    sa.Column("said_by", sa.Text),
    sa.Column("said_comment", sa.Text),
    sa.Column("said_at", Instant),
)


def _one_of(states: frozenset[State]) -> sa.ColumnElement[bool]:
    # Written out, not bound: a partial index serves a query only if the query shows the same text.
    return remediations.c.state.in_([sa.literal_column(f"'{state}'") for state in sorted(states)])


OPEN = _one_of(frozenset(TRANSITIONS))
BUSY = _one_of(BUSY_STATES)
WAITING = _one_of(WAITING_STATES)
URGENCY = sa.func.coalesce(remediations.c.severity, sa.literal_column(str(SEVERITY_IF_UNKNOWN)))

FIRING = alerts.c.status == sa.literal_column("'firing'")

STILL_FIRES = sa.or_(
    FIRING,
    sa.and_(
        alerts.c.status == sa.literal_column("'resolved'"),
        sa.exists().where(watchdog.c.confirmed_to < alerts.c.resolved_at),
    ),
)
"""Also what was reported as resolved, until the watchdog alert, where it is known, was heard after it."""
