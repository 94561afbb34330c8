"""What the contract of the store asks it again and again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from remediator.model import Remediation
from remediator.store.database import Database
from tests.unit.store.examples import LEASE, NOW

LATER = NOW + timedelta(hours=1)


async def kinds(store: Database) -> list[str]:
    return [record.kind for record in await store.records(after=0, limit=1000)]


async def claimed(store: Database, *, limit: int = 100) -> Sequence[Remediation]:
    return await store.claim(owner="worker-2", at=LATER, lease=LEASE, limit=limit)
