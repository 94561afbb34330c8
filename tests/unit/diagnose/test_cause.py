"""Findings -> cause: rows against each other, what a log may say, and what the messages of a cluster cannot slow."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.diagnose.cause import CAUSES, classify
from remediator.diagnose.patterns import (
    CAUSES_OF_LOGS,
    MAX_CHARS,
    MAX_LINES,
    LogPattern,
    first_said,
    telling_lines,
)
from remediator.model import Cause, Finding
from remediator.rules.patterns import Anywhere
from tests.unit.diagnose.scenes import PATTERNS


def waiting(reason: str, *, current: bool = True, **facts: Any) -> Finding:
    about = {"pod": "p", "container": "app", "restarts": 5, "is_current": current, "reason": reason, "message": ""}
    return Finding("container-waiting", "", {**about, **facts})


def ended(code: int, reason: str = "Error", *, current: bool = True, restarts: int = 5) -> Finding:
    about = {"pod": "p", "container": "app", "restarts": restarts, "is_current": current, "node": "n"}
    return Finding("container-terminated", "", {**about, "exit_code": code, "reason": reason, "message": ""})


def event(reason: str, message: str, about: str = "Pod/p") -> Finding:
    return Finding("event", "", {"object": about, "reason": reason, "message": message})


def log(text: str) -> Finding:
    return Finding("log", "", {"pod": "p", "container": "app", "previous": True, "text": text})


def readiness(*, not_ready: int = 1, pods: int = 1, old_ready: int = 1) -> Finding:
    return Finding("readiness", "", {"not_ready": not_ready, "pods": pods, "old_ready": old_ready})


LOOP = waiting("CrashLoopBackOff")
TRACE = log("starting\nTypeError: unsupported operand")
REFUSED = log("dial tcp 10.0.0.7:5432: connection refused")
CHANGED = Finding("config-changed", "", {"name": "app-config"})
MISSING = Finding("config-missing", "", {"missing": "ConfigMap app-config"})
BEGAN = Finding("began-with-rollout", "", {"began": True})
LATER = Finding("began-with-rollout", "", {"began": False})
AWAY = Finding("dependency", "", {"name": "db", "healthy": False})
NOT_KNOWN = Finding("dependency", "", {"name": "db", "healthy": None})
FAULT = Finding("node-fault", "", {"node": "n", "ready": "Unknown"})
QUOTA = Finding("quota-exceeded", "", {"quota": "pods", "message": "exceeded quota: pods"})
SATURATED = Finding("saturation", "", {"is_saturated": True})


def scheduling(kind: str, *, current: bool = True) -> Finding:
    return Finding("scheduling", "", {"pod": "q", "is_current": current, "class": kind, "nominated_node": None})


def trend(shape: str) -> Finding:
    return Finding("memory-trend", "", {"shape": shape})


CASES: list[tuple[str, Cause, list[Finding]]] = [
    ("a crash wins over what surrounds it", Cause.CODE_ERROR, [LOOP, ended(1), TRACE, BEGAN, QUOTA, SATURATED]),
    ("config error", Cause.MISSING_CONFIG, [waiting("CreateContainerConfigError", missing="ConfigMap app-config")]),
    ("mount of a missing ConfigMap", Cause.MISSING_CONFIG, [MISSING, event("FailedMount", 'configmap "x" not found')]),
    ("a ConfigMap is missing but pods run", Cause.UNKNOWN, [MISSING]),
    ("a node that crashes all", Cause.NODE_FAULT, [LOOP, ended(1), TRACE, FAULT]),
    ("a dependency that crashes all", Cause.DEPENDENCY_DOWN, [LOOP, ended(1), TRACE, AWAY]),
    ("a dependency that is not known", Cause.CODE_ERROR, [LOOP, ended(1), TRACE, NOT_KNOWN]),
    ("could not read the logs", Cause.UNKNOWN, [Finding("unavailable", "", {"collector": "logs"})]),
    ("the previous release crashed, not this one", Cause.UNKNOWN, [waiting("CrashLoopBackOff", current=False)]),
    ("the previous release's exit codes", Cause.UNKNOWN, [LOOP, ended(1, current=False)]),
    ("nothing found", Cause.UNKNOWN, []),
    # A rollout is blamed only for what nothing else explains.
    ("began with the rollout", Cause.BAD_ROLLOUT, [BEGAN]),
    ("began before the rollout", Cause.UNKNOWN, [LATER]),
    ("began, not known whether with the rollout", Cause.UNKNOWN, [readiness()]),
    ("began with the rollout, saturated", Cause.BAD_ROLLOUT, [BEGAN, SATURATED]),
    ("began with the rollout, dependency away", Cause.DEPENDENCY_DOWN, [BEGAN, AWAY]),
    ("began with the rollout, node fault", Cause.NODE_FAULT, [BEGAN, FAULT]),
    ("began with the rollout, quota", Cause.QUOTA, [BEGAN, QUOTA]),
    ("began with the rollout, capacity", Cause.CAPACITY, [BEGAN, scheduling("capacity")]),
    ("began with the rollout, affinity", Cause.TAINT_OR_AFFINITY, [BEGAN, scheduling("affinity")]),
    ("began with the rollout, volume", Cause.VOLUME, [BEGAN, scheduling("volume")]),
    ("began with the rollout, not placed for many reasons", Cause.UNKNOWN, [BEGAN, scheduling("mixed")]),
    ("began with the rollout, a gate", Cause.UNKNOWN, [BEGAN, scheduling("gate")]),
    ("began with the rollout, an old pod not placed", Cause.UNKNOWN, [BEGAN, scheduling("capacity", current=False)]),
    ("began with the rollout, configuration changed", Cause.CHANGED_CONFIG, [BEGAN, CHANGED]),
    ("began with the rollout, leak", Cause.LEAK, [BEGAN, trend("leak")]),
    ("began with the rollout, load", Cause.LOAD, [BEGAN, trend("load")]),
    ("began with the rollout, memory too", Cause.BAD_ROLLOUT, [BEGAN, trend("began-with-rollout")]),
    ("began with the rollout, memory flat", Cause.BAD_ROLLOUT, [BEGAN, trend("flat")]),
    ("saturated", Cause.LOAD, [SATURATED, LATER]),
    ("not known whether saturated", Cause.UNKNOWN, [Finding("saturation", "", {"is_saturated": None})]),
]


@pytest.mark.parametrize(("cause", "findings"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_findings_add_up_to_a_cause(cause: Cause, findings: list[Finding]) -> None:
    found = classify(findings, PATTERNS)

    assert found.cause is cause
    assert found.evidence or cause is Cause.UNKNOWN


def test_what_kept_a_cause_from_being_named_is_kept_as_evidence() -> None:
    heap = log("java.lang.OutOfMemoryError: Java heap space")

    found = classify([LOOP, ended(3), heap], PATTERNS)

    assert found.cause is Cause.UNKNOWN
    assert heap in found.evidence


def test_names_of_rows_are_unique() -> None:
    assert len({row.name for row in CAUSES}) == len(CAUSES)


class TestLogs:
    """A log can take the blame from a release. It can bring no action about."""

    def test_without_a_crash_no_log_says_anything(self) -> None:
        texts = [log(line) for line in ("connection refused", "no space left on device", "missing required setting X")]

        assert classify([*texts, CHANGED, readiness()], PATTERNS).cause is Cause.UNKNOWN

    def test_no_pattern_may_name_a_cause_that_an_action_answers(self) -> None:
        assert {pattern.cause for pattern in PATTERNS} <= set(CAUSES_OF_LOGS)
        assert set(CAUSES_OF_LOGS) == {Cause.DEPENDENCY_DOWN, Cause.CHANGED_CONFIG, Cause.UNKNOWN}

    def test_whatever_crashed_containers_write_only_their_own_causes_come_of_it(self) -> None:
        """With any shipped pattern as its last line, what was a code error is one of those, or stays one."""
        lines = {line for pattern in PATTERNS for line in _words_of(pattern)}

        causes = {classify([LOOP, ended(1), log(line), CHANGED], PATTERNS).cause for line in lines}

        assert causes <= {Cause.CODE_ERROR, *CAUSES_OF_LOGS}

    def test_a_changed_configuration_counts_only_where_one_changed(self) -> None:
        said = [LOOP, ended(1), log("missing required setting TIMEOUT")]

        assert classify(said, PATTERNS).cause is Cause.CODE_ERROR
        assert classify([*said, CHANGED], PATTERNS).cause is Cause.CHANGED_CONFIG

    def test_only_the_last_lines_count(self) -> None:
        far = log("connection refused\n" + "step\n" * MAX_LINES)
        near = log("connection refused\n" + "step\n" * (MAX_LINES - 1))

        assert classify([LOOP, ended(1), far], PATTERNS).cause is Cause.CODE_ERROR
        assert classify([LOOP, ended(1), near], PATTERNS).cause is Cause.DEPENDENCY_DOWN

    def test_frames_of_a_stack_trace_are_not_lines_that_count(self) -> None:
        frames = "\tat a.b.C.d(C.java:1)\n" * 40 + "\t... 27 more\n" + '  File "/app/x.py", line 3, in run\n'

        assert list(telling_lines(f"Caused by: boom\n{frames}\n")) == ["Caused by: boom"]

    def test_the_beginning_of_a_line_that_is_too_long_counts(self) -> None:
        assert classify([LOOP, ended(1), log("connection refused " + "x" * 100_000)], PATTERNS).cause is (
            Cause.DEPENDENCY_DOWN
        )


def _words_of(pattern: LogPattern) -> list[str]:
    assert isinstance(pattern.expression, Anywhere)
    return [part.strip("(?i)") for part in pattern.expression.text.split("|")]


class _Counting:
    """An expression that matches nothing and counts the characters that it is given."""

    def __init__(self) -> None:
        self.characters = 0

    def matches(self, value: str) -> bool:
        self.characters += len(value)
        return False


class _Counted(str):
    """A line that counts how many of its characters are looked at."""

    looked = 0

    def __iter__(self) -> Any:
        for char in str(self):
            self.looked += 1
            yield char


HOSTILE = {
    "one line": "a" * 2**20,
    "many lines": "connection refuse\n" * 2**16,
    "frames": "\tat a.b.C\n" * 2**17,
    "beginnings of all patterns": "upstream connection to getaddrinfo database lock file x509 " * 2**14,
    "blank lines": "\n" * 2**20,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_of_a_log_of_any_length_a_bounded_part_is_searched(text: str) -> None:
    counting = _Counting()

    first_said(text, [LogPattern("counting", Cause.UNKNOWN, counting)])

    assert counting.characters <= MAX_CHARS


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: str(pattern.name))
def test_each_pattern_takes_a_step_for_a_character_however_long_the_line(pattern: LogPattern) -> None:
    """No backtracking: twice the line is twice the steps, never more."""
    for text in ("a", "upstream 50", "connection to ", "lock file  ", "KeyError: 'A_", "environment variable x "):
        for times in (100, 200, 400):
            line = _Counted(text * times)
            pattern.expression.matches(line)
            assert line.looked <= len(line)
