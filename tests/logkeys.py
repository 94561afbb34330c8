"""A key and an anchor for the audit log, for tests that act."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from remediator.anchor.base import Doubt
from remediator.audit.note import new_key, signing_key
from remediator.store.log import LogKeys

PEM = new_key()
KEYS = LogKeys(signing_key("remediator", PEM))


def signing(folder: Path) -> dict[str, Path]:
    """Settings under which the log is signed with `KEYS`, and anchored in a file of this folder."""
    key = folder / "audit-key.pem"
    key.write_bytes(PEM)
    return {"audit_key_file": key, "audit_anchor_file": folder / "audit-anchor"}


@dataclass
class DoubtfulLog:
    """A log as the guards see it."""

    doubt: Doubt | None

    async def why_not(self) -> Doubt | None:
        return self.doubt
