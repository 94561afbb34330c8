"""Step 4 of an alert: collect evidence in parallel, each collector within its bounds, and name the cause."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from remediator.diagnose import ALWAYS, COLLECTORS
from remediator.diagnose.base import Collector, Scene
from remediator.diagnose.cause import classify
from remediator.errors import RemediatorError, cut
from remediator.model import Cause, Finding, Json

COLLECTOR_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings in the order of the collectors, the cause, and the findings that decided it."""

    findings: Sequence[Finding]
    cause: Cause
    evidence: Sequence[Finding]

    def as_json(self) -> Json:
        return {
            "cause": self.cause.value,
            "evidence": [finding.summary for finding in self.evidence],
            "findings": [
                {"kind": finding.kind, "summary": finding.summary, "facts": dict(finding.facts)}
                for finding in self.findings
            ],
        }


async def diagnose(names: Sequence[str], scene: Scene) -> Diagnosis:
    """Run the named collectors (and those that always run) at once; a failing one becomes a finding of its own."""
    wanted = [*ALWAYS, *(name for name in names if name not in ALWAYS)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_collect(COLLECTORS[name], scene)) for name in wanted]
    findings = [finding for task in tasks for finding in task.result()]
    diagnosed = classify(findings)
    return Diagnosis(findings, diagnosed.cause, diagnosed.evidence)


async def _collect(collector: Collector, scene: Scene) -> Sequence[Finding]:
    facts = {"collector": collector.name}
    try:
        async with asyncio.timeout(COLLECTOR_TIMEOUT_SECONDS):
            return await collector.collect(scene)
    except TimeoutError:
        text = f"{collector.name}: no answer within {COLLECTOR_TIMEOUT_SECONDS:.0f} s"
        return [Finding("unavailable", text, facts)]
    except RemediatorError as error:
        return [Finding("unavailable", f"{collector.name}: {cut(str(error))}", facts)]
