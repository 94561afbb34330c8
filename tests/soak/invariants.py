"""What must hold whatever happened: what was answered, what was written, and the file, against each other. Pure but
for reading a copy of the file; a violation is a sentence."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from remediator.audit.findings import Answer
from remediator.audit.verify import anchors, trusted_keys, verify
from remediator.model import TERMINAL
from remediator.store.rows import to_micros
from tests.soak.child import Sample
from tests.soak.courier import Ledger
from tests.soak.gate import Written

COOLDOWN = timedelta(minutes=15)
MOST_FILES, MOST_TASKS = 150, 200
WARM_SECONDS = 60.0
MOST_SLOPE = 4.0
"""MiB in a minute that the process may grow, by the line through its last life without its first minute. Where that is
shorter than two minutes nothing is said."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """From `since` to `until`, in monotonic seconds, nothing may be written."""

    since: float
    until: float
    why: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What the file holds, as far as it is looked at. `intents`: each audit id with (remediation, kind, step, when in
    microseconds, target)."""

    problems: Sequence[str]
    episodes: Mapping[tuple[str, int], tuple[int, str]]
    undone: Collection[tuple[str, int]]
    states: Mapping[str, int]
    reasons: Mapping[str, int]
    outcomes: Mapping[str, int]
    intents: Mapping[str, tuple[int, str, int, int, str]]
    orphans: int
    records: int


def copied(database: Path, folder: Path) -> Path:
    """A copy of the file of a process that has ended, with its log: to look at it changes nothing."""
    copy = folder / "look.db"
    for suffix in ("", "-wal", "-journal", "-shm"):
        there = Path(f"{copy}{suffix}")
        there.unlink(missing_ok=True)
        if (source := Path(f"{database}{suffix}")).exists():
            shutil.copyfile(source, there)
    return copy


def kept(path: Path) -> Kept:
    with closing(sqlite3.connect(path)) as connection:
        problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        problems += [f"foreign key of {row[0]}" for row in connection.execute("PRAGMA foreign_key_check")]
        episodes = {
            (row[0], row[1]): (row[2], row[3])
            for row in connection.execute("SELECT fingerprint, starts_at, times_received, status FROM alerts")
        }
        undone = connection.execute(
            "SELECT fingerprint, starts_at FROM alerts WHERE id NOT IN (SELECT alert_id FROM remediations)"
        ).fetchall()
        states = dict(connection.execute("SELECT state, count(*) FROM remediations GROUP BY state"))
        reasons = dict(
            connection.execute("SELECT reason, count(*) FROM remediations WHERE plan IS NOT NULL GROUP BY reason")
        )
        outcomes = dict(
            connection.execute("SELECT kind, count(*) FROM records WHERE kind LIKE 'outcome.%' GROUP BY kind")
        )
        bodies = connection.execute("SELECT canonical FROM records WHERE kind LIKE '%.intent'").fetchall()
        intents = dict(_intent(json.loads(row[0])) for row in bodies)
        terminal = ",".join(f"'{state}'" for state in sorted(TERMINAL))
        [[orphans]] = connection.execute(
            "SELECT count(*) FROM incidents i WHERE closed_at IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM escalations e WHERE e.incident_id = i.id AND e.ended_at IS NULL) "
            "AND NOT EXISTS (SELECT 1 FROM remediations r WHERE r.incident_id = i.id "
            f"AND r.state NOT IN ({terminal}))"
        )
        [[records]] = connection.execute("SELECT count(*) FROM records")
    return Kept(problems, episodes, set(undone), states, reasons, outcomes, intents, orphans, records)


def _intent(entry: Mapping[str, Any]) -> tuple[str, tuple[int, str, int, int, str]]:
    body = entry["body"]
    at = to_micros(_instant(entry["at"]))
    return body["audit_id"], (entry["remediation"], entry["kind"], body["step"], at, str(body.get("target")))


def _instant(text: str) -> Any:
    from remediator.clock import parse_rfc3339

    return parse_rfc3339(text)


def lost(told: Ledger, file: Kept) -> Iterator[str]:
    """What was answered 200 and is not there, or not as often, or not as ended, or nobody looks at it."""
    for (name, starts_at), times in told.told.items():
        key = (name, to_micros(starts_at))
        if key not in file.episodes:
            yield f"lost: alert {name} of {starts_at} was answered 200 and is not in the file"
            continue
        count, status = file.episodes[key]
        if count < times:
            yield f"lost: alert {name} of {starts_at} was answered 200 {times} times, the file knows of {count}"
        if (name, starts_at) in told.ended:
            if status != "resolved":
                yield f"lost: the end of alert {name} of {starts_at} was answered 200 and is not in the file"
        elif key in file.undone:
            yield f"lost: alert {name} of {starts_at} is in the file and nothing looks at it"


def written(writes: Sequence[Written], file: Kept) -> Iterator[str]:
    """Each write has its own intent, which was committed before it; none has two; cooldowns were kept."""
    for audit_id, times in Counter(one.audit_id for one in writes).items():
        if times > 1:
            yield f"duplicate: the request {audit_id} changed the cluster {times} times"
    effects: Counter[tuple[int, str, int]] = Counter()
    last: dict[str, int] = {}
    for one in sorted(writes, key=lambda write: write.began):
        intent = file.intents.get(one.audit_id)
        if intent is None:
            yield f"no intent: {one.method} {one.path} ({one.audit_id}) is in no record"
            continue
        remediation, kind, step, at, target = intent
        effects[remediation, kind, step] += 1
        if kind != "action.intent" or step != 1:
            continue
        if target in last and at - last[target] < COOLDOWN / timedelta(microseconds=1):
            yield f"cooldown: {target} was written {(at - last[target]) / 1e6:.0f} s after the write before"
        last[target] = at
    for (remediation, kind, step), times in effects.items():
        if times > 1:
            yield f"duplicate: step {step} of {kind} of remediation {remediation} changed the cluster {times} times"


def forbidden(writes: Sequence[Written], windows: Sequence[Forbidden]) -> Iterator[str]:
    for window in windows:
        for one in writes:
            if window.since < one.began < window.until:
                yield f"{window.why}: {one.method} {one.path} {one.began - window.since:.2f} s after it began"


def ended(file: Kept) -> Iterator[str]:
    """At the end, when nothing fires any more and all had time: every remediation and every incident is over, or
    somebody has been called."""
    for state, count in file.states.items():
        if state not in TERMINAL:
            yield f"not ended: {count} remediations are still {state}"
    if file.orphans:
        yield f"not ended: {file.orphans} incidents are open, and nothing is under way and nobody was called"


def bounded(samples: Sequence[Sample]) -> Iterator[str]:
    for name, most in (("files", MOST_FILES), ("tasks", MOST_TASKS)):
        found = max((getattr(sample, name) for sample in samples), default=0)
        if found > most:
            yield f"not bounded: {found} {name} at once, {most} are allowed"
    if (grown := slope(samples)) is not None and grown > MOST_SLOPE:
        yield f"not bounded: the process grows by {grown:.1f} MiB a minute"


def slope(samples: Sequence[Sample]) -> float | None:
    """MiB in a minute, by least squares over the last life; None: it was too short."""
    last = max((sample.life for sample in samples), default=0)
    points = [(one.age / 60, one.memory) for one in samples if one.life == last and one.age > WARM_SECONDS]
    if len(points) < 3 or points[-1][0] - points[0][0] < 2:
        return None
    middle = (sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points))
    spread = sum((x - middle[0]) ** 2 for x, _ in points)
    return sum((x - middle[0]) * (y - middle[1]) for x, y in points) / spread


def verified(path: Path, key: str, anchor: Path) -> Iterator[str]:
    report = verify(path, trusted=trusted_keys(key), anchored=anchors(anchor.read_text(encoding="utf-8")))
    if report.answer is not Answer.VERIFIED:
        yield f"audit: {report.answer}: {report.reason}"
