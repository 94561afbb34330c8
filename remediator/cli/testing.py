"""`remediator test rules`: do the rules decide as their tests say? Plays stories on the embedded cluster.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 good, 1 a test
failed, 2 a file cannot be used.
"""

from __future__ import annotations

import difflib
import glob
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from remediator.cli.junit import Case, report, text_of
from remediator.cli.output import Output
from remediator.log_format import configure_logging
from remediator.rules.report import Problem
from remediator.simulate.outcome import Difference, moment_text
from remediator.simulate.stories import Placed, StoryError, read_stories, story_files
from remediator.simulate.trial import Trial, tried

GOOD, FAILED, MISUSE = 0, 1, 2
FILES_FOR_ONE = 4
"""So many files are played in this process: to start others takes longer than they do."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One trial and how long it took, in seconds."""

    trial: Trial
    seconds: float


def rules(
    patterns: Sequence[str],
    output: Output,
    *,
    junit: Path | None = None,
    as_diff: bool = False,
    as_table: bool = False,
    jobs: int | None = None,
) -> int:
    """Play every test of these files and folders; a pattern that no shell expanded is expanded here."""
    configure_logging("critical", log_format="console")
    began = time.monotonic()
    try:
        files = story_files(_expanded(patterns))
        stories = _read(files)
    except StoryError as error:
        print(error, file=sys.stderr)
        return MISUSE
    results = list(_played(stories, jobs if jobs is not None else _jobs(files)))
    seconds = time.monotonic() - began
    if junit is not None:
        try:
            junit.write_text(text_of(report("remediator test rules", map(_case, results))), encoding="utf-8")
        except OSError as error:
            print(f"error: {junit}: {error.strerror}", file=sys.stderr)
            return MISUSE
    if output is Output.JSON:
        print(json.dumps({"ok": _is_good(results), "tests": [_as_json(one) for one in results]}, indent=2))
    elif as_table:
        print("\n".join(table_lines([one.trial for one in results])))
    else:
        print("\n".join(_lines(results, seconds, as_diff=as_diff)))
    return GOOD if _is_good(results) else FAILED


def _expanded(patterns: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    for pattern in patterns:
        if glob.has_magic(pattern) and not Path(pattern).exists():
            found += [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]
        else:
            found.append(Path(pattern))
    return found


def _read(files: Sequence[Path]) -> list[Placed]:
    """All of them. Raises StoryError with the problems of every file."""
    stories: list[Placed] = []
    problems: list[Problem] = []
    for file in files:
        try:
            stories += read_stories(file)
        except StoryError as error:
            problems += error.problems
    if problems:
        raise StoryError(problems)
    return stories


def _jobs(files: Sequence[Path]) -> int:
    return 1 if len(files) <= FILES_FOR_ONE else min(os.cpu_count() or 1, len(files))


def _played(stories: Sequence[Placed], jobs: int) -> Iterator[Timed]:
    """In their order. Each process loads a table once, so that stories of one file stay together."""
    if jobs <= 1:
        yield from map(timed, stories)
        return
    # A fork has the tables' code and this command's imports already.
    how = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context(how)) as pool:
        yield from pool.map(timed, stories, chunksize=4)


def timed(placed: Placed) -> Timed:
    """One story, tried."""
    began = time.monotonic()
    trial = tried(placed)
    return Timed(trial, time.monotonic() - began)


def _is_good(results: Sequence[Timed]) -> bool:
    return all(one.trial.is_good for one in results)


# --- for people


def _lines(results: Sequence[Timed], seconds: float, *, as_diff: bool) -> Iterator[str]:
    for file, group in groupby(results, key=lambda one: one.trial.file):
        yield file
        for one in group:
            trial = one.trial
            where = "" if trial.is_good else f"  ({trial.file}:{trial.line})"
            yield f"  {'ok  ' if trial.is_good else 'FAIL'}  {trial.name}{where}"
            if trial.problem:
                yield f"          cannot be played: {trial.problem}"
            yield from _diff(trial) if as_diff else _differences(trial)
    failed = sum(not one.trial.is_good for one in results)
    harm = sum(len(one.trial.harm) for one in results)
    said = f"{failed} failed, {len(results) - failed} passed" if failed else f"{len(results)} passed"
    yield f"{said}, harmful writes {harm} ({seconds:.1f} s)"


def _differences(trial: Trial) -> Iterator[str]:
    told = ""
    for one in trial.differences:
        yield f"          {one.field:<10} expected {one.expected:<16} got {one.got:<16} {one.about}".rstrip()
        if one.because and one.because != told:
            yield f"          {'because':<10} {one.because.replace(f'{Path.cwd()}/', '')}"
        told = one.because


def _diff(trial: Trial) -> Iterator[str]:
    """What the file says, and what it would have to say, as a unified diff."""
    for about, group in groupby(trial.differences, key=lambda one: one.about):
        found: list[Difference] = list(group)
        wanted = [f"{one.field}: {one.expected}\n" for one in found]
        got = [f"{one.field}: {one.got}\n" for one in found]
        for line in difflib.unified_diff(wanted, got, f"expected of {about}", f"got of {about}", n=0):
            yield f"          {line.rstrip()}"


def table_lines(trials: Sequence[Trial]) -> Iterator[str]:
    """Incident, cause, response, reason, writes: a line for each answer that differs, as a Markdown table."""
    yield "| incident | cause | response | reason | writes |"
    yield "|---|---|---|---|---|"
    for trial in trials:
        answers = dict.fromkeys((one.cause, one.does, one.state, one.reason) for one in trial.standings)
        causes = ", ".join(dict.fromkeys(cause or "-" for cause, *_ in answers))
        responses = ", ".join(dict.fromkeys(_response(does, state) for _, does, state, _ in answers))
        reasons = ", ".join(dict.fromkeys(reason or "-" for *_, reason in answers))
        bad = "" if trial.is_good else "FAIL: "
        yield f"| {bad}{trial.name} | {causes} | {responses} | {reasons} | {'; '.join(trial.writes) or 'none'} |"
    harm = sum(len(one.harm) for one in trials)
    acted = sum(bool(one.writes) for one in trials)
    yield ""
    yield f"{len(trials)} incidents, harmful writes {harm}, acted on {acted}"


def _response(does: str, state: str) -> str:
    return state if does in ("", "recommend", "escalate") else f"{does}: {state}"


# --- for machines


def _as_json(one: Timed) -> dict[str, Any]:
    standings = [{**asdict(standing), "began": moment_text(standing.began)} for standing in one.trial.standings]
    told = {**asdict(one.trial), "standings": standings}
    return {"ok": one.trial.is_good, "seconds": round(one.seconds, 3), **told}


def _case(one: Timed) -> Case:
    trial = one.trial
    lines = [] if trial.is_good else [*_differences(trial)] or [trial.problem]
    return Case(trial.file, trial.name, trial.line, [line.strip() for line in lines], one.seconds)
