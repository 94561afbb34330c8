"""All benchmarks, short: `python -m tests.bench`. One table in Markdown, in which every figure is a ratio to something
that was measured beside it in the same run, and so is much the same on any machine; the absolute goals with what they
are here stand under it. `-o json` gives the figures. Each one alone, and longer: `python -m tests.bench.way` and so on.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import audit, backtest, export, match, postgres, receive, size, way

PAIRS = 3
POSTGRES_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """`measured` is a ratio, `beside` what it is to. `here`: the absolute figure with its goal, where there is one."""

    what: str
    measured: float
    beside: str
    goal: str = ""
    here: str = ""


def receiving() -> Iterator[Row]:
    for alerts, requests in receive.REQUESTS.items():
        count = max(receive.CONNECTIONS, requests // 4)
        pairs = [asyncio.run(receive.measure(alerts, requests=count, with_worker=False)) for _ in range(PAIRS)]
        aim = f">= {receive.AIMS[alerts]:.2f}"
        yield Row(f"alerts accepted durably, {alerts} a request", statistics.median(pairs), "bare aiohttp", aim)


def on_the_way() -> Iterator[Row]:
    ways, spans, syncs, steps = asyncio.run(way.measure(way.BATCH))
    found = way.report(ways, spans, syncs, steps)
    here = f"median {found['median']:.1f} ms, p99 {found['p99']:.1f} ms (goal <= {way.GOAL_MS:g})"
    least = found["commits"] * found["bare_ms"]
    commits = f"its {found['commits']:.0f} commits, bare"
    yield Row("alert to PATCH on the wire", found["median"] / least, commits, here=here)
    yield Row("CPU of it, in thousands", found["steps"] / 1000, "a step of a loop in Python")
    for what, name in (("commit_ms", "commits"), ("answer_ms", "API server and Prometheus"), ("rest_ms", "our own")):
        yield Row(f"share of it: {name}", found[what] / found["median"], "the whole")


def matching() -> Iterator[Row]:
    rules, step = match.table(1000), statistics.median(way.step_seconds() for _ in range(PAIRS))
    worst = max(match.microseconds(rules, alerts, rounds=5) for alerts in match.samples(1000).values())
    here = f"{worst:.1f} us (goal <= {match.GOAL_US:g})"
    yield Row("1,000 rules matched, an alert", worst / 1e6 / step, "a step of a loop in Python", here=here)
    slowest = match.worst_milliseconds(rounds=3)
    here = f"{slowest:.2f} ms (goal <= {match.GOAL_MS:g})"
    yield Row("most hostile pattern, 4 KiB label", slowest / 1e3 / step, "a step of a loop in Python", here=here)


def sizes() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rest = asyncio.run(size.at_rest(folder, folder / "empty.db", rounds=PAIRS))
        found = asyncio.run(size.costs(folder / "full.db", size.OPEN))
        full = asyncio.run(size.at_rest(folder, folder / "full.db", rounds=1))
    here = f"{rest['start']:.2f} s (goal <= {size.START_GOAL_SECONDS:g})"
    yield Row("start to ready", rest["ratio"], "an import of aiohttp, pydantic, SQLAlchemy", here=here)
    here = f"{rest['pss']:.0f} MiB (goal <= {size.MEMORY_GOAL_MIB:g})"
    yield Row("memory at idle", rest["pss"] / rest["bare_pss"], "the same import", here=here)
    yield Row("memory with 10,000 open incidents", full["pss"] / rest["pss"], "at idle", here=f"{full['pss']:.0f} MiB")
    few, many = found[min(found)], found[max(found)]
    for what in few:
        yield Row(f"{what}, with 10,000 open incidents", many[what] / few[what], "with 10 open", "about 1")


def recording() -> Iterator[Row]:
    made = receive.bodies(requests=150, alerts=10)
    pairs = [(asyncio.run(audit.rate(made, 10)), asyncio.run(audit.rate(made, 10, "--bare"))) for _ in range(PAIRS)]
    yield Row("accepted with the signed log", statistics.median(a / b for a, b in pairs), "without a log")


def stores() -> Iterator[Row]:
    async def found() -> list[tuple[str, list[float], list[float]]]:
        return [one async for one in postgres.measure(POSTGRES_SECONDS, postgres.REPLICAS)]

    for name, _, (accepted, decided) in asyncio.run(found())[1:]:
        yield Row(f"{name}: accepted", accepted, "SQLite")
        yield Row(f"{name}: decided", decided, "SQLite")


def playing() -> Iterator[Row]:
    """The two that time a month: what they print of themselves goes to stderr."""
    for name, run in (("backtest of 500 alerts", lambda: backtest.main(500)), ("month of 10,000 records", _month)):
        began = time.process_time()
        run()
        spent = time.process_time() - began
        yield Row(f"{name}, CPU in millions", spent / way.step_seconds() / 1e6, "a step of a loop in Python")


def _month() -> None:
    asyncio.run(export.main(2000))


BENCHES: Mapping[str, Callable[[], Iterator[Row]]] = {
    "receive": receiving,
    "way": on_the_way,
    "match": matching,
    "size": sizes,
    "audit": recording,
    "postgres": stores,
    "months": playing,
}


def table(rows: Sequence[Row]) -> str:
    lines = ["| what | ratio | to | goal |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {_short(row.measured)} | {row.beside} | {row.goal} |" for row in rows]
    absolute = [f"{row.what}: {row.here}" for row in rows if row.here]
    return "\n".join([*lines, "", *absolute])


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, epilog="Example: python -m tests.bench match size"
    )
    parser.add_argument("benches", nargs="*", choices=[*BENCHES, []], help="which (default all)")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    given = parser.parse_args()
    rows, failed = list[Row](), list[str]()
    names = given.benches or list(BENCHES)
    for number, name in enumerate(names, start=1):
        if sys.stderr.isatty():
            print(f"{number} of {len(names)}: {name}", file=sys.stderr, flush=True)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                rows += BENCHES[name]()
        except Exception as error:  # what the others have found in minutes is not lost with it
            failed.append(f"{name}: {type(error).__name__}: {error}")
    print(json.dumps([asdict(row) for row in rows], indent=2) if given.output == "json" else table(rows))
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
