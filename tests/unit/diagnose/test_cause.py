"""Findings -> cause: each row of the table, and the look-alikes that must not lead to an action."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.diagnose.cause import classify
from remediator.model import Cause, Finding


def waiting(reason: str, *, current: bool = True, **facts: Any) -> Finding:
    about = {"pod": "p", "container": "app", "restarts": 5, "is_current": current, "reason": reason, "message": ""}
    return Finding("container-waiting", "", {**about, **facts})


def ended(code: int, reason: str = "Error", *, current: bool = True, restarts: int = 5) -> Finding:
    about = {"pod": "p", "container": "app", "restarts": restarts, "is_current": current}
    return Finding("container-terminated", "", {**about, "exit_code": code, "reason": reason, "message": ""})


def event(reason: str, message: str) -> Finding:
    return Finding("event", "", {"object": "Pod/p", "reason": reason, "message": message})


def log(text: str) -> Finding:
    return Finding("log", "", {"pod": "p", "container": "app", "previous": True, "text": text})


LOOP = waiting("CrashLoopBackOff")
TRACE = log("starting\nTypeError: unsupported operand")
CHANGED = Finding("config-changed", "", {"name": "app-config"})
MISSING = Finding("config-missing", "", {"missing": "ConfigMap app-config"})

CASES: list[tuple[str, Cause, list[Finding]]] = [
    ("crash with a stack trace", Cause.CODE_ERROR, [LOOP, ended(1), TRACE]),
    ("crash without logs", Cause.CODE_ERROR, [LOOP, ended(2)]),
    ("native crash", Cause.CODE_ERROR, [LOOP, ended(139)]),
    ("main process ends well, again and again", Cause.CODE_ERROR, [LOOP, ended(0, "Completed")]),
    ("image cannot be pulled", Cause.IMAGE_ERROR, [waiting("ImagePullBackOff")]),
    ("image name is wrong", Cause.IMAGE_ERROR, [waiting("InvalidImageName")]),
    ("config error", Cause.MISSING_CONFIG, [waiting("CreateContainerConfigError", missing="ConfigMap app-config")]),
    ("mount of a missing ConfigMap", Cause.MISSING_CONFIG, [MISSING, event("FailedMount", 'configmap "x" not found')]),
    ("command not found", Cause.CANNOT_START, [LOOP, ended(127)]),
    ("start error", Cause.CANNOT_START, [LOOP, ended(128, "StartError")]),
    ("container cannot be created", Cause.CANNOT_START, [waiting("CreateContainerError")]),
    ("out of memory", Cause.OUT_OF_MEMORY, [LOOP, ended(137, "OOMKilled"), TRACE]),
    (
        "liveness probe",
        Cause.PROBE_FAILING,
        [LOOP, ended(137), event("Killing", "Container app failed liveness probe, will be restarted")],
    ),
    ("dependency away", Cause.DEPENDENCY_DOWN, [LOOP, ended(1), log("dial tcp 10.0.0.7:5432: connection refused")]),
    ("dependency unknown to DNS", Cause.DEPENDENCY_DOWN, [LOOP, ended(1), log("lookup db: no such host")]),
    (
        "configuration changed and is blamed",
        Cause.CHANGED_CONFIG,
        [LOOP, ended(1), CHANGED, log("missing required setting TIMEOUT")],
    ),
    ("configuration changed, another fault", Cause.CODE_ERROR, [LOOP, ended(1), CHANGED, TRACE]),
    ("pod evicted", Cause.NODE_FAULT, [Finding("pod-failed", "", {"reason": "Evicted", "is_current": True})]),
    ("node not ready", Cause.NODE_FAULT, [Finding("node-fault", "", {"node": "n", "ready": "Unknown"})]),
    # Look-alikes: nothing here may be taken for a fault of the release.
    ("one restart, running again", Cause.UNKNOWN, [ended(1, restarts=1)]),
    ("the previous release crashed, not this one", Cause.UNKNOWN, [waiting("CrashLoopBackOff", current=False)]),
    ("the previous release's exit codes", Cause.UNKNOWN, [LOOP, ended(1, current=False)]),
    (
        "an old connection error above the trace",
        Cause.CODE_ERROR,
        [LOOP, ended(1), log("connection refused\n" + "x\n" * 20)],
    ),
    ("killed by SIGKILL without a probe", Cause.CODE_ERROR, [LOOP, ended(137)]),
    ("a ConfigMap is missing but pods run", Cause.UNKNOWN, [MISSING]),
    ("could not read the logs", Cause.UNKNOWN, [Finding("unavailable", "", {"collector": "logs"})]),
    ("nothing found", Cause.UNKNOWN, []),
]


@pytest.mark.parametrize(("cause", "findings"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_findings_add_up_to_a_cause(cause: Cause, findings: list[Finding]) -> None:
    found = classify(findings)

    assert found.cause is cause
    assert bool(found.evidence) == (cause is not Cause.UNKNOWN)
