"""How long a month takes: 50,000 records in a file, the monthly report over them, and the records themselves exported.

Run `python -m tests.bench.export [ALERTS]`. Each alert leaves five records, with plans and diagnoses of some 4 KiB, so
that a query that reads them shows. Prints seconds, size and the most memory that the process has held.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from remediator.clock import SystemClock
from remediator.export.monthly_report import monthly_report, read_monthly
from remediator.export.report_forms import FORMS
from remediator.export.stream import Labels, Wanted, export
from remediator.export.table import FORMATS
from remediator.model import Mode, Remediation, State, Target
from remediator.reasons import Reason
from remediator.store.base import Change, Record
from remediator.store.database import Database
from remediator.store.exporting_base import Period
from remediator.store.opening import open_database
from tests.unit.store.examples import firing, plan, resolved

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
BATCH = 500
LARGE = {"text": "x" * 4000}


async def main(alerts: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = await open_database(f"sqlite:///{Path(folder) / 'r.db'}", clock=SystemClock())
        try:
            for first in range(0, alerts, BATCH):
                await _batch(store, first, BEGIN + (END - BEGIN) * (first / alerts))
            print(f"{(await store.log_standing()).size} records")
            await _measure(store)
        finally:
            await store.close()


async def _batch(store: Database, first: int, at: datetime) -> None:
    numbers, began = range(first, first + BATCH), at - timedelta(minutes=5)
    await store.accept([firing(number, starts_at=began) for number in numbers], at=at)
    claimed = await store.claim(owner="bench", at=at, lease=timedelta(hours=1), limit=BATCH)
    await asyncio.gather(*(_decide(store, one, at) for one in claimed))
    await store.accept([resolved(number, starts_at=began) for number in numbers], at=at + timedelta(minutes=9))


async def _decide(store: Database, mine: Remediation, at: datetime) -> None:
    on = Target("lab", "Deployment", "shop", f"api-{mine.id}", "uid")
    rule = f"rule-{mine.id % 20}"
    known = Change(target=on, rule=rule, severity=1, mode=Mode.ACTIVE)
    mine = await store.advance(mine, to=State.DIAGNOSING, record=Record("step.diagnosing", {}), at=at, change=known)
    body = {"rule": rule, "reason": "storm", "evidence": ["x" * 300], "plan": LARGE, "detail": "because"}
    made = Change(plan=plan(on), diagnosis=LARGE)
    mine = await store.advance(mine, to=State.PLANNED, record=Record("step.planned", body), at=at, change=made)
    ended = Change(reason=Reason.STORM)
    await store.advance(mine, to=State.ESCALATED, record=Record("decision.escalated", body), at=at, change=ended)


async def _measure(store: Database) -> None:
    begun = time.perf_counter()
    month = await read_monthly(store.reports, begin=BEGIN, now=END)
    report = monthly_report(month, made_at=END, version="bench")
    size = len(FORMS["html"].write(report, tz=None))
    print(f"monthly      {time.perf_counter() - begun:6.2f} s  {size / 1e6:8.2f} MB  {_memory()}")
    period = Period(BEGIN, END + timedelta(days=1))
    for name in ("jsonl", "csv", "cloudevents"):
        begun, size = time.perf_counter(), 0
        async for piece in export(Wanted(FORMATS[name], period=period), store.exports, Labels(END, "lab", "bench")):
            size += len(piece)
        print(f"{name:<12} {time.perf_counter() - begun:6.2f} s  {size / 1e6:8.2f} MB  {_memory()}")


def _memory() -> str:
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most"


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
