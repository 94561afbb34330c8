"""Findings -> cause: one table, first match wins, with the evidence it rests on. Pure; the end of step 4 of an alert.

Rows that name what a rollback does not mend stand before those that it does, so that a release is blamed for nothing
that a registry, a node, a dependency or a changed ConfigMap explains. Rows with the cause unknown are such look-alikes
without a name of their own. The predicates are in `signs.py`, what they ask in `seen.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remediator.diagnose import signs
from remediator.diagnose.patterns import LogPattern
from remediator.diagnose.seen import Seen
from remediator.diagnose.signs import Sign, former_too, log_says, memory_course, not_placed
from remediator.model import Cause, Finding


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """The cause, and the findings that decided it; with cause unknown, those that kept another from being named."""

    cause: Cause
    evidence: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Row:
    """`applies` gives the findings that make the row apply, none where it does not. `name` is unique, for people."""

    name: str
    cause: Cause
    applies: Sign


def classify(findings: Sequence[Finding], patterns: Sequence[LogPattern]) -> Diagnosed:
    """The first row of `CAUSES` that has evidence; else unknown, which never acts.

    `patterns` are the log patterns of the rule set in force: without them every crash looks like the code's own.
    """
    return first_of(CAUSES, Seen(findings, patterns))


def first_of(table: Sequence[Row], seen: Seen) -> Diagnosed:
    """What the first row that has evidence says."""
    for row in table:
        if evidence := row.applies(seen):
            return Diagnosed(row.cause, evidence)
    return Diagnosed(Cause.UNKNOWN, ())


CAUSES: tuple[Row, ...] = (
    # It never started.
    Row("node cannot start it", Cause.NODE_FAULT, signs.node_cannot_start),
    Row("registry away", Cause.DEPENDENCY_DOWN, signs.registry_away),
    Row("image of the former revision too", Cause.UNKNOWN, former_too(signs.image_not_pulled)),
    Row("image", Cause.IMAGE_ERROR, signs.image_not_pulled),
    Row("configuration missing", Cause.MISSING_CONFIG, signs.config_missing),
    Row("start of the former revision too", Cause.UNKNOWN, former_too(signs.cannot_start)),
    Row("start", Cause.CANNOT_START, signs.cannot_start),
    # It started and ended.
    Row("out of memory", Cause.OUT_OF_MEMORY, signs.out_of_memory),
    Row("killed for a probe", Cause.PROBE_FAILING, signs.probe_killed),
    Row("crash on a bad node", Cause.NODE_FAULT, signs.crash_on_bad_node),
    Row("crash without its dependency", Cause.DEPENDENCY_DOWN, signs.crash_without_dependency),
    Row("log of a dependency", Cause.DEPENDENCY_DOWN, log_says(Cause.DEPENDENCY_DOWN)),
    Row("log of a changed configuration", Cause.CHANGED_CONFIG, signs.crash_after_config_change),
    Row("log of something else", Cause.UNKNOWN, log_says(Cause.UNKNOWN)),
    Row("injected container", Cause.UNKNOWN, signs.only_injected_crash),
    Row("crash of the former revision too", Cause.UNKNOWN, former_too(Seen.crashed)),
    Row("crash", Cause.CODE_ERROR, signs.code_crashes),
    # It is not there, or not placed.
    Row("node", Cause.NODE_FAULT, signs.node_gone_bad),
    Row("quota", Cause.QUOTA, signs.quota_used_up),
    Row("webhook away", Cause.DEPENDENCY_DOWN, signs.webhook_away),
    Row("capacity", Cause.CAPACITY, not_placed("capacity")),
    Row("taint or affinity", Cause.TAINT_OR_AFFINITY, not_placed("taint", "affinity")),
    Row("volume", Cause.VOLUME, signs.volume_not_ready),
    Row("not placed otherwise", Cause.UNKNOWN, signs.not_placed_otherwise),
    # It runs, and not well.
    Row("dependency", Cause.DEPENDENCY_DOWN, signs.dependency_away),
    Row("cut off", Cause.UNKNOWN, signs.cut_off),
    Row("only the former revision fails", Cause.UNKNOWN, signs.only_former_fails),
    Row("leak", Cause.LEAK, memory_course("leak")),
    Row("load by memory", Cause.LOAD, memory_course("load")),
    Row("configuration changed with the rollout", Cause.CHANGED_CONFIG, signs.config_changed_with_rollout),
    Row("rollout", Cause.BAD_ROLLOUT, signs.began_with_rollout),
    Row("load by CPU", Cause.LOAD, signs.saturated),
)
