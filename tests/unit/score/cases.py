"""Cases, looks and memories of the scorecard, for its tables."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from remediator.model import Json, RemediationId, Target
from remediator.score.follow import Kind, Memory, Noticed
from remediator.score.sight import Sight, Touched
from remediator.store.scores_base import Case, Touch, Would
from tests.workloads import NOW, TARGET

GAP = timedelta(minutes=2)
WINDOW = timedelta(hours=1)
POD = Target("test", "Pod", "shop", "checkout-3-a", "p-1")
AUTOSCALER = Target("test", "HorizontalPodAutoscaler", "shop", "checkout", "h-1")
BATCH = Target("test", "Deployment", "batch", "report", "d-2")
IMPORTER = Target("test", "Deployment", "batch", "import", "d-3")


def at(minutes: float) -> datetime:
    """So long after the decision."""
    return NOW + timedelta(minutes=minutes)


def value(touched: Target, before: Json, after: Json, *pointer: str) -> Touch:
    return Touch(touched, pointer or ("spec", "replicas"), before, after, is_gone=False)


def gone(touched: Target = POD) -> Touch:
    return Touch(touched, (), None, None, is_gone=True)


def would(action: str = "rollback", *touches: Touch, **changes: Any) -> Would:
    facts: dict[str, Any] = {
        "action": action,
        "target": TARGET,
        "generation": 7,
        "from_hash": "bad",
        "to_hash": "good" if action == "rollback" else "bad",
        "restarted_at": None,
        "container": "app" if action == "resize" else "",
        "touches": touches,
        "helps_within": timedelta(minutes=10),
        "stable_for": timedelta(minutes=2),
    }
    return Would(**{**facts, **changes})


def case(planned: Would | None = None) -> Case:
    return Case(
        remediation=RemediationId(1),
        incident=None,
        rule="crash-loop",
        alert="KubePodCrashLooping",
        fingerprint="f",
        starts_at=at(-5),
        would=planned or would(),
        decided_at=NOW,
        looked_at=None,
        seen=None,
    )


def sight(minutes: float = 1, **changes: Any) -> Sight:
    """What is there while nobody does anything: two of three pods are ready, the third fails."""
    facts: dict[str, Any] = {
        "at": at(minutes),
        "is_there": True,
        "generation": 7,
        "template_hash": "bad",
        "replicas": 2,
        "ready": 2,
        "is_whole": False,
        "failing": {"p-1": "checkout-3-a"},
        "pods": frozenset({"p-1", "p-2", "p-3"}),
    }
    return Sight(**{**facts, **changes})


def there(value: Json = None, **changes: bool) -> Touched:
    return Touched(True, value, **changes)


def seen(minutes: float, *noticed: Noticed, **changes: Any) -> Memory:
    """After a last look then: nothing is better or worse than at the first."""
    facts: dict[str, Any] = {
        "first_at": at(0.5),
        "ready": 2,
        "at_stake": 0,
        "was_whole": False,
        "last_at": at(minutes),
        "last_generation": 7,
        "last_hash": "bad",
        "last_replicas": 2,
        "last_restarted_at": None,
        "last_ready": 2,
        "last_whole": False,
        "last_there": True,
        "last_config": None,
        "last_memory": None,
        "last_failing": {},
        "last_touched": (),
        "whole_since": None,
        "noticed": noticed,
    }
    return Memory(**{**facts, **changes})


def did(kind: Kind, minutes: float) -> Noticed:
    """Somebody did it within half a minute before then."""
    return Noticed(kind, f"it was {kind.value}", at(minutes - 0.5), at(minutes))
