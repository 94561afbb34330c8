"""The drawer of collectors: what a rule's `diagnose:` can name."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.diagnose.autoscaling import Autoscaling
from remediator.diagnose.base import Collector
from remediator.diagnose.config import Config
from remediator.diagnose.containers import Containers
from remediator.diagnose.dependencies import Dependencies
from remediator.diagnose.events import Events
from remediator.diagnose.logs import Logs
from remediator.diagnose.named import NamedWorkloads
from remediator.diagnose.network import Network
from remediator.diagnose.node import Node
from remediator.diagnose.queries import Queries
from remediator.diagnose.resources import Resources
from remediator.diagnose.rollout import Rollout
from remediator.diagnose.scheduling import Scheduling

COLLECTORS: Mapping[str, Collector] = {
    collector.name: collector
    for collector in (
        Containers(),
        Logs(),
        Events(),
        Rollout(),
        Config(),
        Node(),
        NamedWorkloads(),
        Scheduling(),
        Resources(),
        Autoscaling(),
        Network(),
        Dependencies(),
        Queries(),
    )
}

ALWAYS = ("containers", "rollout", "named")
"""Collected whatever the rule names: every cause needs the first two, which cost at most one query beyond the picture;
the third reads only what the rule's own actions would change."""
