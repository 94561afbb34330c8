"""The drawer of guards, in order: cheap and strict first. The first "no" wins and is recorded with its number."""

from __future__ import annotations

from remediator.guards.base import Guard
from remediator.guards.budgets import BudgetsGuard
from remediator.guards.cooldown import CooldownGuard
from remediator.guards.dry_run import DryRunGuard
from remediator.guards.kill_switch import KillSwitchGuard
from remediator.guards.limits import LimitsGuard
from remediator.guards.mode import ModeGuard
from remediator.guards.opt_out import OptOutGuard
from remediator.guards.severity import SeverityGuard
from remediator.guards.still_firing import StillFiringGuard
from remediator.guards.target_state import TargetStateGuard

GUARDS: tuple[Guard, ...] = (
    KillSwitchGuard(),
    ModeGuard(),
    OptOutGuard(),
    StillFiringGuard(),
    SeverityGuard(),
    TargetStateGuard(),
    CooldownGuard(),
    LimitsGuard(),
    BudgetsGuard(),
    DryRunGuard(),
)
