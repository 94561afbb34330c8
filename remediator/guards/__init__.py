"""The drawer of guards, in order: cheap and strict first. The first "no" wins and is recorded with its number.

`check.py` says which of them are asked at the same time."""

from __future__ import annotations

from remediator.guards.attempts import AttemptsGuard
from remediator.guards.audit import AuditGuard
from remediator.guards.base import GateGuard, Guard
from remediator.guards.breaker import BreakerGuard
from remediator.guards.budgets import BudgetsGuard
from remediator.guards.canary import CanaryGuard
from remediator.guards.cluster_health import ClusterHealthGuard
from remediator.guards.concurrency import ConcurrencyGuard
from remediator.guards.cooldown import CooldownGuard
from remediator.guards.dry_run import DryRunGuard
from remediator.guards.flap import FlapGuard
from remediator.guards.freeze import FreezeGuard
from remediator.guards.kill_switch import KillSwitchGuard
from remediator.guards.limits import LimitsGuard
from remediator.guards.mode import ModeGuard
from remediator.guards.opt_out import OptOutGuard
from remediator.guards.pause import PauseGuard
from remediator.guards.scope import ScopeGuard
from remediator.guards.severity import SeverityGuard
from remediator.guards.shared_cause import SharedCauseGuard
from remediator.guards.still_firing import StillFiringGuard
from remediator.guards.storm import StormGuard
from remediator.guards.target_state import TargetStateGuard
from remediator.kube.permissions import Permission, to
from remediator.model import Target

STORM, SHARED_CAUSE = StormGuard(), SharedCauseGuard()
GUARDS: tuple[Guard, ...] = (
    KillSwitchGuard(),
    PauseGuard(),
    ModeGuard(),
    AuditGuard(),
    FreezeGuard(),
    ScopeGuard(),
    OptOutGuard(),
    BreakerGuard(),
    STORM,
    SHARED_CAUSE,
    ClusterHealthGuard(),
    FlapGuard(),
    StillFiringGuard(),
    SeverityGuard(),
    TargetStateGuard(),
    AttemptsGuard(),
    CanaryGuard(),
    ConcurrencyGuard(),
    CooldownGuard(),
    LimitsGuard(),
    BudgetsGuard(),
    DryRunGuard(),
)
PERMISSIONS: tuple[Permission, ...] = (to("Node", "list"),)
"""What guards read beyond the picture of the workload: whether nodes are lost, and which ones pods share."""


def gates_for(target: Target) -> tuple[GateGuard, ...]:
    """Asked before people are called for that target: of what many share they are told once. A node is itself what
    its pods share, and told by its own name in a storm too."""
    return (SHARED_CAUSE,) if target.kind == "Node" else (STORM, SHARED_CAUSE)
