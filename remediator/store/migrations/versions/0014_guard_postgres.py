"""The audit log defends itself on PostgreSQL as it does on SQLite (0012)."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"

_REFUSE = "RAISE EXCEPTION 'records are append-only' USING ERRCODE = 'integrity_constraint_violation'"
_FUNCTIONS = {
    "records_refuse": f"BEGIN {_REFUSE}; END",
    # What retention has given up may go.
    "records_no_delete": (
        f"BEGIN IF OLD.seq > coalesce((SELECT pruned FROM log_head), 0) THEN {_REFUSE}; END IF; RETURN OLD; END"
    ),
    # Not "one more than the last": a log whose last records were taken away goes on behind what its head knows.
    "records_grow": (
        "BEGIN IF NEW.seq <= coalesce((SELECT max(seq) FROM records), 0) "
        f"OR NEW.seq > coalesce((SELECT size FROM log_head), 0) THEN {_REFUSE}; END IF; RETURN NEW; END"
    ),
}
_TRIGGERS = (
    "records_no_update BEFORE UPDATE OF seq, at, kind, remediation_id, incident_id, canonical ON records "
    "FOR EACH ROW EXECUTE FUNCTION records_refuse()",
    "records_no_truncate BEFORE TRUNCATE ON records FOR EACH STATEMENT EXECUTE FUNCTION records_refuse()",
    "records_no_delete BEFORE DELETE ON records FOR EACH ROW EXECUTE FUNCTION records_no_delete()",
    "records_grow BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION records_grow()",
)


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for name, body in _FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
    for trigger in _TRIGGERS:
        op.execute(f"CREATE TRIGGER {trigger}")
