"""The drawer of collectors: what a rule's `diagnose:` can name."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.diagnose.base import Collector
from remediator.diagnose.config import Config
from remediator.diagnose.containers import Containers
from remediator.diagnose.events import Events
from remediator.diagnose.logs import Logs
from remediator.diagnose.node import Node
from remediator.diagnose.rollout import Rollout

COLLECTORS: Mapping[str, Collector] = {
    collector.name: collector for collector in (Containers(), Logs(), Events(), Rollout(), Config(), Node())
}

ALWAYS = ("containers", "rollout")
"""Collected whatever the rule names: they cost at most one query beyond the picture, and every cause needs them."""
