"""What the audit log costs: `python -m tests.bench.audit`.

Prints, in one run: accepted alerts per second of the service with its signed log, of the same service with records
that are neither committed to, hashed nor signed, and the ratio, for 1, 10 and 100 alerts per request, in turns; then
how long a database and a bundle of 100,000 records take to be verified, in seconds of one core.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from remediator.audit import commitments
from remediator.audit.verify import anchors, trusted_keys, verify
from remediator.clock import SystemClock
from remediator.export.bundle import write_bundle
from remediator.store import episodes, log
from remediator.store.base import Record
from remediator.store.opening import open_database
from tests.bench.receive import bodies, drive, serve_real
from tests.logkeys import KEYS, signing

REQUESTS = {1: 2000, 10: 600, 100: 120}
ROUNDS = 5
RECORDS = 100_000


def without_log() -> None:
    """Records as they would be without a log to prove them: written, and nothing more."""

    def append(self: log.Log, connection: sa.Connection, entries: Sequence[log.Entry]) -> Sequence[dict[str, Any]]:
        if self._kept_at is None:  # the first time: the rule for numbers knows of no head
            self._kept_at = 0
            connection.exec_driver_sql("DROP TRIGGER records_grow")
            connection.exec_driver_sql(
                "CREATE TRIGGER records_dense BEFORE INSERT ON records "
                "WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM records) "
                "BEGIN SELECT RAISE(ABORT, 'dense'); END"
            )
        first = connection.exec_driver_sql("SELECT coalesce(max(seq), 0) + 1 FROM records").scalar_one()
        return [log._row(entry, first + number) for number, entry in enumerate(entries)]

    def hidden(values: Mapping[str, bytes]) -> tuple[Mapping[str, str], bytes]:
        return {name: value.decode() for name, value in values.items()}, b"{}"

    log.Log.append = append  # type: ignore[method-assign]
    commitments.hidden = hidden
    episodes.hidden = hidden  # type: ignore[attr-defined]


@asynccontextmanager
async def serving(folder: Path, *flags: str) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.audit", "--serve", str(folder), *flags, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            port = int(await process.stdout.readline())
        yield port
    finally:
        process.kill()
        await process.wait()


async def rate(made: Sequence[bytes], alerts: int, *flags: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        async with serving(Path(folder), *flags) as port:
            count, seconds = await drive(port, made)
    return count * alerts / seconds


async def append(scale: float) -> None:
    print("alerts/request    with log   without log   ratio (median of pairs)")
    for alerts, requests in REQUESTS.items():
        made = bodies(requests=max(64, int(requests * scale)), alerts=alerts)
        pairs = [(await rate(made, alerts), await rate(made, alerts, "--bare")) for _ in range(ROUNDS)]
        ratio = statistics.median(logged / bare for logged, bare in pairs)
        logged, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{alerts:>14}  {logged:>8.0f}/s  {bare:>10.0f}/s   {ratio:.3f}", flush=True)


async def write(folder: Path, count: int) -> None:
    """A log as a busy month leaves it: every record with something free in it."""
    store = await open_database(f"sqlite:///{folder / 'r.db'}", clock=SystemClock(), keys=KEYS)
    now = SystemClock().now()
    evidence = ["container app exited with code 1", "restarted 5 times in 10 minutes", "released 12 minutes before"]
    for start in range(0, count, 1000):
        bodies_of = [
            {"alertname": "KubePodCrashLooping", "rule": "crash-loop", "target": f"shop/deployment/app-{n}"}
            | {"action_id": f"{n:032x}", "evidence": evidence, "detail": "would roll back 7 to 6"}
            for n in range(start, start + 1000)
        ]
        await store.note([Record("decision.recommended", body) for body in bodies_of], at=now)
    with (folder / "bundle.zip").open("wb") as out:
        await write_bundle(out, store, scope="everything", seqs=range(1, count + 1), files=())
    (folder / "anchor").write_bytes((await store.log_standing()).note)
    await store.close()


def verified(path: Path, folder: Path) -> str:
    began = time.process_time()
    report = verify(
        path,
        trusted=trusted_keys(f"{KEYS.known[0]}\n"),
        anchored=anchors((folder / "anchor").read_text(encoding="utf-8")),
    )
    return f"{time.process_time() - began:.2f} s of one core for {report.records} records: {report.answer}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--scale", type=float, default=1.0, help="times the number of requests (default 1)")
    given = parser.parse_args()
    if given.serve:
        if given.bare:
            without_log()
        folder = Path(given.serve)
        asyncio.run(serve_real(str(folder / "bench.db"), with_worker=False, more=signing(folder)))
        return
    asyncio.run(append(given.scale))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(write(folder, RECORDS))
        print(f"database  {verified(folder / 'r.db', folder)}")
        print(f"bundle    {verified(folder / 'bundle.zip', folder)}")


if __name__ == "__main__":
    main()
