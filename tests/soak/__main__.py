"""`python -m tests.soak --minutes 20 --seed 1`: the service under random faults. A line each minute on stderr, a
summary as JSON on stdout; exit code 1 if anything did not hold, and then the end of the service's log is on stderr."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.soak.faults import schedule
from tests.soak.run import Plan, Soak
from tests.soak.service import PLANTS


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, epilog="Example: python -m tests.soak --minutes 20 --seed 1"
    )
    parser.add_argument("--minutes", type=float, default=20.0, help="how long, without the end (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the faults, their order and their times")
    parser.add_argument("--plant", choices=sorted(PLANTS), default="", help="a fault of ours that must be found")
    parser.add_argument("--schedule", action="store_true", help="print the faults of this seed, and do nothing")
    parser.add_argument("--log", type=Path, help="where the service's log is written at the end (its last 2,000 lines)")
    given = parser.parse_args()
    if given.minutes < 0.1:
        parser.error("--minutes: at least 0.1")
    if given.schedule:
        process, network = schedule(given.seed, given.minutes * 60)
        for fault in sorted((*process, *network), key=lambda one: one.begins):
            print(f"{fault.begins:8.1f} s  {fault.name:<20}{fault.lasts:6.1f} s")
        return 0
    with tempfile.TemporaryDirectory(prefix="remediator-soak-") as folder:
        soak = Soak(Plan(given.minutes * 60, given.seed, given.plant), Path(folder), say=_say)
        try:
            summary = asyncio.run(soak.run())
        finally:
            if given.log is not None and hasattr(soak, "child"):
                given.log.write_text("\n".join(soak.child.log) + "\n", encoding="utf-8")
    print(json.dumps(summary, indent=2))
    if summary["violations"]:
        print("\n".join(list(soak.child.log)[-40:]), file=sys.stderr)
    return 1 if summary["violations"] else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
