"""Alerts for the tests of step 3, from labels and from the captured webhook bodies; and asking for their targets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from remediator.access.base import ANYONE
from remediator.authority import UNLIMITED
from remediator.model import Alert, AlertStatus
from remediator.receive.payload import read
from remediator.redact import Remembering
from remediator.target.labels import NoTarget
from remediator.target.resolve import Resolved, resolve
from remediator.target.spec import TargetSpec
from tests.fakes import FakeCluster
from tests.unit.target.world import PROTECTED

DATA = Path(__file__).parents[2] / "data"


def alert(**labels: str) -> Alert:
    return Alert(
        fingerprint="0" * 16,
        status=AlertStatus.FIRING,
        labels=labels,
        annotations={},
        starts_at=datetime(2026, 11, 23, 12, tzinfo=UTC),
        ends_at=None,
        generator_url="",
        receiver="remediator",
        group_key="{}",
    )


def alerts_of(file: str) -> Sequence[Alert]:
    """The alerts of a captured file as the receiver reads them; none may be quarantined. Raises BadBody."""
    payload = read((DATA / "payloads" / file).read_bytes(), Remembering(), sender=ANYONE.credential)
    assert not payload.quarantined
    return payload.alerts


FROM_ALERT = TargetSpec(from_alert=True)


async def find(cluster: FakeCluster, spec: TargetSpec = FROM_ALERT, **labels: str) -> Resolved | NoTarget:
    return await look(alert(**{"namespace": "shop", **labels}), spec, cluster)


async def look(one: Alert, spec: TargetSpec, cluster: FakeCluster) -> Resolved | NoTarget:
    """For an alert of a credential without limits."""
    return await resolve(one, spec, cluster=cluster, protected_namespaces=PROTECTED, authority=UNLIMITED)


async def resolved(cluster: FakeCluster, **labels: str) -> Resolved:
    found = await find(cluster, FROM_ALERT, **labels)
    assert isinstance(found, Resolved), found
    return found


async def refused(cluster: FakeCluster, **labels: str) -> tuple[str, str]:
    found = await find(cluster, FROM_ALERT, **labels)
    assert isinstance(found, NoTarget), found
    return found.reason.value, found.detail
