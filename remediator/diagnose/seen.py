"""What the table of `cause.py` is asked about: findings by kind, of the present revision, with what has ended since.

Only the present revision's pods count, and only what still goes on: an end that a container has long run well since is
history. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from remediator.diagnose.patterns import LogPattern
from remediator.model import Finding

Findings = Sequence[Finding]

LOST_REASONS = frozenset({"ContainerStatusUnknown"})


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything the table is asked about. `patterns` are the log patterns of the rule set in force."""

    findings: Findings
    patterns: Sequence[LogPattern] = ()

    def of(self, kind: str, **wanted: frozenset[str] | frozenset[bool]) -> list[Finding]:
        """Findings of the kind about present pods, or about no pod at all, with one of the wanted values each."""
        return [
            one
            for one in self.findings
            if one.kind == kind
            and one.facts.get("is_current", True)
            and all(one.facts.get(name) in values for name, values in wanted.items())
        ]

    def former(self) -> Seen:
        """The same of the pods of former revisions."""
        return replace(
            self,
            findings=[
                replace(one, facts={**one.facts, "is_current": not one.facts["is_current"]})
                if "is_current" in one.facts
                else one
                for one in self.findings
            ],
        )

    def events(self, reasons: frozenset[str], *, about: frozenset[str] | None = None) -> list[Finding]:
        """Events with one of these reasons; `about`: names of pods, None for any object."""
        objects = {f"Pod/{name}" for name in about} if about is not None else None
        return [one for one in self.of("event", reason=reasons) if objects is None or one.facts["object"] in objects]

    def ended(self) -> list[Finding]:
        """How present containers ended, unless they have run well for long since."""
        return [one for one in self.of("container-terminated") if not one.facts.get("is_settled")]

    def crashed(self) -> list[Finding]:
        """Containers that end again and again."""
        looping = {container_of(one) for one in self.waiting(frozenset({"CrashLoopBackOff"}))}
        return [
            one
            for one in self.ended()
            if one.facts["reason"] not in LOST_REASONS
            and (container_of(one) in looping or (one.facts["restarts"] >= 2 and one.facts["exit_code"]))
        ]

    def is_unready(self) -> bool:
        """Whether a present pod is not ready now, so that an older event may still hold."""
        return any(one.facts["not_ready"] for one in self.of("readiness"))

    def waiting(self, reasons: frozenset[str]) -> list[Finding]:
        return self.of("container-waiting", reason=reasons)

    def events_of_waiting(self, reasons: frozenset[str]) -> list[Finding]:
        """Events about what still waits to start: not about former pods, nor about those whose containers did run."""
        past = {
            f"Pod/{one.facts['pod']}"
            for one in self.findings
            if one.kind == "container-terminated" or one.facts.get("is_current") is False
        }
        return [one for one in self.events(reasons) if one.facts["object"] not in past]


def container_of(finding: Finding) -> tuple[str, str]:
    return finding.facts["pod"], finding.facts["container"]


def pods_of(findings: Findings) -> frozenset[str]:
    return frozenset(one.facts["pod"] for one in findings)
