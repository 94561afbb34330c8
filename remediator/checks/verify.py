"""Step 8 of an alert: one look at everything that was to prove success. Called by `pipeline.py` until it decides."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from remediator.checks import ALWAYS, CHECKS
from remediator.checks.base import Look, Result, Scene
from remediator.errors import RemediatorError, cut
from remediator.kube.base import Cluster, NotFound, path_of
from remediator.model import Alert, Json, Outcome, Plan, Target
from remediator.prometheus.base import Metrics

CHECK_TIMEOUT_SECONDS = 15.0


BY_ALERTS = frozenset({"alert-clear", "no-new-alert"})
"""Checks whose good answer is that something is not heard of."""


@dataclass(frozen=True, slots=True)
class Verification:
    """`outcome` None: too early to say. `evidence`: check -> {look, detail}; `memory` is for the next look."""

    outcome: Outcome | None
    evidence: Mapping[str, Json]
    memory: Mapping[str, Json]


async def verify(
    plan: Plan,
    alert: Alert,
    *,
    acted_at: datetime,
    now: datetime,
    cluster: Cluster,
    metrics: Metrics | None,
    memory: Mapping[str, Json],
    gives_back: bool = False,
    new_alerts: Sequence[str] = (),
    absence: str | None = None,
) -> Verification:
    """Look once with every check the plan expects, and those that are always looked at.

    All passed: verified. Any failed: failed. Otherwise, once `proof.within` is over: unknown if any check had no
    answer, failed if anything does not hold. What holds but has not been watched for long enough, as after a restart of
    ours, is watched on: it soon passes or no longer holds. A check that raises has no answer; it never passes.

    `absence` says why alerts may not reach us now, None: they do. Then that none fires proves nothing: what looks good
    by alerts alone has no answer.

    With `gives_back`, what is gone or wants no pods any more needs nothing that was lent to it.
    """
    if gives_back and (why := await _needs_nothing(plan.target, cluster)) is not None:
        return Verification(Outcome.VERIFIED, {"needed": {"look": Look.PASSED.value, "detail": why}}, {})
    results: dict[str, Result] = {}
    expected = [CHECKS[name] for name in plan.proof.expect]
    for check in [*expected, *(ALWAYS if expected else ())]:
        name = check.name
        scene = Scene(plan, alert, acted_at, now, cluster, metrics, memory.get(name, {}), gives_back, new_alerts)
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                results[name] = await check.look(scene)
        except TimeoutError:
            results[name] = Result(Look.UNKNOWN, f"no answer within {CHECK_TIMEOUT_SECONDS:.0f} s")
        except RemediatorError as error:
            results[name] = Result(Look.UNKNOWN, cut(str(error)))
    if absence is not None:
        results |= {name: _unproved(results[name], absence) for name in BY_ALERTS & results.keys()}
    looks = {result.look for result in results.values()}
    outcome: Outcome | None = None
    if Look.FAILED in looks:
        outcome = Outcome.FAILED
    elif looks == {Look.PASSED}:
        outcome = Outcome.VERIFIED
    elif now - acted_at >= plan.proof.within or not looks:
        if Look.UNKNOWN in looks or not looks:
            outcome = Outcome.UNKNOWN
        elif Look.WAITING in looks:
            outcome = Outcome.FAILED
    return Verification(
        outcome=outcome,
        evidence={name: {"look": r.look.value, "detail": r.detail} for name, r in results.items()},
        memory={name: dict(r.memory) for name, r in results.items() if r.memory},
    )


def _unproved(result: Result, absence: str) -> Result:
    if result.look not in (Look.PASSED, Look.SETTLING):
        return result
    return Result(Look.UNKNOWN, f"{absence}: that nothing fires proves nothing ({result.detail})", result.memory)


async def _needs_nothing(target: Target, cluster: Cluster) -> str | None:
    """Why there is nobody that the rest could be proved of, in words; None: it is there, or nobody can say."""
    path = path_of(target.kind, namespace=target.namespace or None, name=target.name)
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            item = await cluster.get(path)
    except NotFound:
        return f"{target} is gone"
    except (TimeoutError, RemediatorError):
        return None
    if item["metadata"]["uid"] != target.uid:
        return f"{target} was replaced by another object of that name"
    return f"{target} wants no pods any more" if (item.get("spec") or {}).get("replicas") == 0 else None
