"""Findings -> cause: one table, first match wins, with the evidence it rests on. Pure.

The order and the classes are those of the kubelet's and containerd's own reasons (kubernetes/kubernetes
`pkg/kubelet/images/types.go`, `kuberuntime_container.go`; containerd `internal/cri/server/helpers.go`). Only pods of
the present revision count. Log patterns may turn a code error into one that restarts or rollbacks would not mend, never
the other way round: they block an action, they do not trigger one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from remediator.model import Cause, Finding

IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
    }
)
START_REASONS = frozenset(
    {"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun", "PostStartHookError"}
)
LOST_REASONS = frozenset({"ContainerStatusUnknown"})
POD_REASONS = frozenset({"Evicted", "NodeLost", "Shutdown", "UnexpectedAdmissionError"})
NOT_EXECUTABLE = frozenset({126, 127})

DEPENDENCY_LOG = re.compile(
    r"(?i)connection refused|no such host|name or service not known|temporary failure in name resolution"
    r"|i/o timeout|connect(?:ion)? timed out|upstream.{0,40}\b50[234]\b|too many connections|no route to host"
)
CONFIG_LOG = re.compile(
    r"(?i)missing (?:required )?(?:env|environment|config|setting|key)"
    r"|environment variable \S+ (?:is )?(?:not set|required)"
    r"|permission denied|(?:cannot|could not|failed to) parse (?:the )?config|address already in use"
    r"|(?-i:KeyError: '[A-Z][A-Z0-9]*_[A-Z0-9_]+')"
)


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """The cause, and the findings that decided it."""

    cause: Cause
    evidence: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Row:
    cause: Cause
    applies: Callable[[Sequence[Finding]], Sequence[Finding]]
    """The findings that make the row apply; none: it does not."""


def classify(findings: Sequence[Finding]) -> Diagnosed:
    """The first row of `CAUSES` that has evidence; else unknown, which never acts."""
    for row in CAUSES:
        if evidence := row.applies(findings):
            return Diagnosed(row.cause, evidence)
    return Diagnosed(Cause.UNKNOWN, ())


def _with(kind: str, **wanted: frozenset[str]) -> Callable[[Sequence[Finding]], Sequence[Finding]]:
    def applies(findings: Sequence[Finding]) -> Sequence[Finding]:
        return [
            finding
            for finding in findings
            if finding.kind == kind
            and finding.facts.get("is_current", True)
            and all(finding.facts.get(key) in values for key, values in wanted.items())
        ]

    return applies


def _terminated(findings: Sequence[Finding]) -> list[Finding]:
    """Ends of present containers; those of one that has run well since are history."""
    return [
        f
        for f in findings
        if f.kind == "container-terminated" and f.facts.get("is_current", True) and not f.facts.get("is_settled")
    ]


def _events_about(ended: Sequence[Finding], findings: Sequence[Finding]) -> list[Finding]:
    """Events about the pods of these containers."""
    pods = {f"Pod/{f.facts['pod']}" for f in ended}
    return [f for f in findings if f.kind == "event" and f.facts["object"] in pods]


def _probe_killed(findings: Sequence[Finding]) -> Sequence[Finding]:
    killed = [f for f in _terminated(findings) if f.facts["exit_code"] in (137, 143) and f.facts["reason"] == "Error"]
    said = [
        f
        for f in _events_about(killed, findings)
        if f.facts["reason"] in ("Killing", "Unhealthy")
        and re.search(r"(?i)(?:liveness|startup) probe", f.facts["message"])
    ]
    return [*killed, *said] if killed and said else []


def _missing_config(findings: Sequence[Finding]) -> Sequence[Finding]:
    waiting = _with("container-waiting", reason=frozenset({"CreateContainerConfigError"}))(findings)
    named = [f for f in findings if f.kind == "config-missing"]
    mount = [
        f
        for f in findings
        if f.kind == "event" and f.facts["reason"] == "FailedMount" and "not found" in f.facts["message"]
    ]
    return [*waiting, *named, *mount] if waiting or (named and mount) else []


def _cannot_start(findings: Sequence[Finding]) -> Sequence[Finding]:
    waiting = _with("container-waiting", reason=START_REASONS)(findings)
    ended = [
        f
        for f in _terminated(findings)
        if f.facts["reason"] in START_REASONS or f.facts["exit_code"] in NOT_EXECUTABLE
    ]
    hooks = [f for f in _events_about(_crashed(findings), findings) if f.facts["reason"] == "FailedPostStartHook"]
    return [*waiting, *ended, *hooks]


def _crashed(findings: Sequence[Finding]) -> list[Finding]:
    """Containers that end again and again with an exit code of their own."""
    looping = {
        (f.facts["pod"], f.facts["container"])
        for f in findings
        if f.kind == "container-waiting" and f.facts["reason"] == "CrashLoopBackOff" and f.facts.get("is_current")
    }
    return [
        f
        for f in _terminated(findings)
        if f.facts["reason"] not in LOST_REASONS
        and (
            (f.facts["pod"], f.facts["container"]) in looping or (f.facts["restarts"] >= 2 and f.facts["exit_code"])
        )
    ]


def _crash_logs(pattern: re.Pattern[str]) -> Callable[[Sequence[Finding]], Sequence[Finding]]:
    def applies(findings: Sequence[Finding]) -> Sequence[Finding]:
        crashed = _crashed(findings)
        # A sidecar says "connection refused" of the very application that crashed: only its own words count.
        own = {(f.facts["pod"], f.facts["container"]) for f in crashed}
        lines = [
            f
            for f in findings
            if f.kind == "log"
            and (f.facts["pod"], f.facts["container"]) in own
            and pattern.search(_last_lines(f.facts["text"]))
        ]
        return [*crashed, *lines] if crashed and lines else []

    return applies


def _last_lines(text: str) -> str:
    """Only the end of a log says why the process ended."""
    return "\n".join(text.splitlines()[-15:])


def _changed_config(findings: Sequence[Finding]) -> Sequence[Finding]:
    crashed = _crashed(findings)
    changed = [f for f in findings if f.kind == "config-changed"]
    lines = _crash_logs(CONFIG_LOG)(findings)
    return [*crashed, *changed, *lines] if crashed and changed and lines else []


def _node_fault(findings: Sequence[Finding]) -> Sequence[Finding]:
    failed = _with("pod-failed", reason=POD_REASONS)(findings)
    lost = _with("container-terminated", reason=LOST_REASONS)(findings)
    return [*failed, *lost, *_with("node-fault")(findings)]


CAUSES: tuple[Row, ...] = (
    Row(Cause.IMAGE_ERROR, _with("container-waiting", reason=IMAGE_REASONS)),
    Row(Cause.MISSING_CONFIG, _missing_config),
    Row(Cause.CANNOT_START, _cannot_start),
    Row(Cause.OUT_OF_MEMORY, _with("container-terminated", reason=frozenset({"OOMKilled"}))),
    Row(Cause.PROBE_FAILING, _probe_killed),
    Row(Cause.DEPENDENCY_DOWN, _crash_logs(DEPENDENCY_LOG)),
    Row(Cause.CHANGED_CONFIG, _changed_config),
    Row(Cause.CODE_ERROR, _crashed),
    Row(Cause.NODE_FAULT, _node_fault),
)
