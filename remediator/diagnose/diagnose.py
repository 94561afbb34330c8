"""Step 4 of an alert: collect evidence in parallel, each collector within its bounds, and name the cause.

Bounds of one diagnosis: `MAX_API_CALLS` reads of the API server, `COLLECTOR_TIMEOUT_SECONDS` (all run at once),
`MAX_BYTES` of findings. What is left out or failed is a finding of its own; nothing of it ends the diagnosis.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from remediator.diagnose import ALWAYS, COLLECTORS
from remediator.diagnose.allowance import Allowance
from remediator.diagnose.base import Collector, Scene, apart, unavailable, words
from remediator.diagnose.cause import classify
from remediator.diagnose.patterns import LogPattern
from remediator.errors import RemediatorError
from remediator.model import Cause, Finding, Json

COLLECTOR_TIMEOUT_SECONDS = 20.0
MAX_API_CALLS = 100
"""Of all collectors together, beyond the picture of the workload. A rule without dependencies and named workloads needs
40 at most."""
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings in the order of the collectors, the cause, and the findings that decided it."""

    findings: Sequence[Finding]
    cause: Cause
    evidence: Sequence[Finding]

    @property
    def owner(self) -> str | None:
        """The contact of the dependency that is to blame, None: none is, or it names none. Rather of one that was seen
        to be unhealthy than of one that could not be looked at."""
        if self.cause is not Cause.DEPENDENCY_DOWN:
            return None
        seen = [finding.facts for finding in self.findings if finding.kind == "dependency" and finding.facts["contact"]]
        suspects = [facts["contact"] for health in (False, None) for facts in seen if facts["healthy"] is health]
        return next(iter(suspects), None)

    def as_json(self) -> Json:
        return {
            "cause": self.cause.value,
            "evidence": [finding.summary for finding in self.evidence],
            "findings": [
                {"kind": finding.kind, "summary": finding.summary, "facts": dict(finding.facts)}
                for finding in self.findings
            ],
        }


async def diagnose(names: Sequence[str], scene: Scene, *, patterns: Sequence[LogPattern] = ()) -> Diagnosis:
    """Run the named collectors (and those that always run) at once; a failing one becomes a finding of its own.

    `patterns` are the log patterns of the rule set in force.
    """
    wanted = [*ALWAYS, *(name for name in dict.fromkeys(names) if name not in ALWAYS)]
    bounded = replace(scene, cluster=Allowance(scene.cluster, max_calls=MAX_API_CALLS))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_collect(COLLECTORS[name], bounded)) for name in wanted]
    findings = within_bytes([finding for task in tasks for finding in task.result()], max_bytes=MAX_BYTES)
    logs = sum(len(finding.facts["text"]) for finding in findings if finding.kind == "log")
    diagnosed = await apart(logs, partial(classify, findings, patterns))
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
        return [Finding("unavailable", f"{collector.name}: {words(str(error))}", facts)]
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # Objects of add-ons have whatever shape their authors let through.
        text = f"an object is not as its API describes it ({type(error).__name__})"
        return [unavailable(collector.name, collector.name, text)]


def within_bytes(findings: Sequence[Finding], *, max_bytes: int) -> list[Finding]:
    """The findings in their order as long as they fit; how many did not is a finding too."""
    kept: list[Finding] = []
    left, left_out = max_bytes, 0
    for finding in findings:
        size = len(json.dumps([finding.kind, finding.summary, dict(finding.facts)], ensure_ascii=False).encode())
        if size <= left:
            kept.append(finding)
            left -= size
        else:
            left_out += 1
    if left_out:
        text = f"{left_out} findings left out: a diagnosis holds {max_bytes // 1024} KiB"
        kept.append(Finding("unavailable", text, {"collector": "diagnose", "left_out": left_out}))
    return kept
