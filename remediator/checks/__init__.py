"""The drawer of checks: what a rule's `verify.expect` can name. `verify` is step 8 of an alert."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.checks.alert_clear import AlertClear
from remediator.checks.base import Check
from remediator.checks.collateral import Collateral, NewAlerts
from remediator.checks.pod_resized import PodResized
from remediator.checks.pods_ready import PodsReady
from remediator.checks.rollout_complete import RolloutComplete
from remediator.checks.scale_held import ScaleHeld

ALWAYS: tuple[Check, ...] = (Collateral(), NewAlerts())
"""Looked at after every action, whatever the rule expects."""

CHECKS: Mapping[str, Check] = {
    check.name: check for check in (RolloutComplete(), PodsReady(), ScaleHeld(), PodResized(), AlertClear())
}
