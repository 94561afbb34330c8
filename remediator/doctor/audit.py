"""The audit log's key and its anchors: without them nothing is done to the cluster."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from remediator.anchor.base import Anchor, AnchorUnavailable
from remediator.anchor.file import FileAnchor
from remediator.anchor.opening import anchors_of, log_keys
from remediator.audit.note import BadNote, checkpoint, opened
from remediator.doctor.base import Asked, Examination, Result, failed, ok, warning
from remediator.doctor.reaching import cluster_of
from remediator.doctor.rights import may
from remediator.errors import ConfigError
from remediator.lint.rights import Right
from remediator.model import Mode
from remediator.settings import Settings
from remediator.store.log import LogKeys

KEY, ANCHOR = "audit-key", "audit-anchor"
ACTS = (Mode.APPROVE, Mode.ACTIVE)


async def run(asked: Asked) -> AsyncIterator[Result]:
    settings = asked.settings
    result, keys = await asyncio.to_thread(_key, settings)
    yield result
    if settings.audit_anchor_file is None and settings.audit_anchor_configmap is None:
        yield _without_anchor(settings)
        return
    if settings.audit_anchor_configmap is None:
        assert settings.audit_anchor_file is not None
        anchors: Sequence[Anchor] = [FileAnchor(settings.audit_anchor_file)]
        yield await _anchored(settings, anchors, keys)
        return
    async with cluster_of(asked) as cluster:
        namespace, _, name = settings.audit_anchor_configmap.partition("/")
        found = await _anchored(settings, anchors_of(settings, cluster), keys)
        right = Right("", "configmaps", "patch", name=name, namespace=namespace)
        if found.remedy or await may(cluster, right):
            yield found
        else:
            remedy = "bind the Role of deploy/kustomize/components/audit-key/anchor.yaml"
            yield failed(ANCHOR, f"{found.detail}; it may not be patched", remedy)


def _key(settings: Settings) -> tuple[Result, LogKeys]:
    make = "make one with `remediator audit keygen FILE` and set audit_key_file"
    file = settings.audit_key_file
    if file is None:
        told = "there is no key: the log is kept and not signed, and nothing is done to the cluster"
        return (failed if settings.mode in ACTS else warning)(KEY, told, make), LogKeys()
    try:
        keys = log_keys(settings)
    except ConfigError as error:
        return failed(KEY, str(error), make), LogKeys()
    if stat.S_IMODE(file.stat().st_mode) & stat.S_IROTH:
        return warning(KEY, f"{file} can be read by everybody here", f"chmod o-r {file}"), keys
    assert keys.present is not None
    return ok(KEY, f"{file} is key {keys.present.verifying}"), keys


def _without_anchor(settings: Settings) -> Result:
    told = "there is no anchor: nobody can tell that an older database was put in place"
    remedy = "set audit_anchor_file (on another disk) or audit_anchor_configmap"
    if settings.mode in ACTS:
        return warning(ANCHOR, f"{told}; a person must confirm the log after each start (`audit confirm`)", remedy)
    return warning(ANCHOR, told, remedy)


async def _anchored(settings: Settings, anchors: Sequence[Anchor], keys: LogKeys) -> Result:
    known = []
    for anchor in anchors:
        try:
            note = await anchor.read()
        except AnchorUnavailable as error:
            return failed(ANCHOR, str(error), "give the service the right to read and write it")
        if note is None:
            known.append(f"{anchor.name} has held nothing yet")
            continue
        try:
            said = checkpoint(opened(note, keys.known)[0])
        except BadNote as error:
            remedy = "look whose checkpoint that is; after a change of keys keep audit_previous_key_file for one start"
            return failed(ANCHOR, f"{anchor.name} holds no checkpoint of this key: {error}", remedy)
        known.append(f"{anchor.name} knows {said.size} records of {said.origin}")
    if (file := settings.audit_anchor_file) is not None and (wrong := await asyncio.to_thread(_unwritable, file)):
        return failed(ANCHOR, wrong, "give the service's user the right to write there")
    if (near := await asyncio.to_thread(_beside, settings)) is not None:
        return warning(ANCHOR, near, "put it on another disk or share: who turns back the one turns back the other")
    return ok(ANCHOR, "; ".join(known))


def _unwritable(file: Path) -> str:
    if not file.parent.is_dir():
        return f"folder {file.parent} does not exist"
    return "" if os.access(file.parent, os.W_OK | os.X_OK) else f"folder {file.parent} is not writable for this user"


def _beside(settings: Settings) -> str | None:
    """Whether the only anchor is a file in the folder of the database."""
    file, url = settings.audit_anchor_file, settings.storage_url
    if file is None or settings.audit_anchor_configmap is not None or not url.startswith("sqlite:///"):
        return None
    same = file.resolve().parent == Path(url.removeprefix("sqlite:///")).resolve().parent
    return f"{file} is in the folder of the database" if same else None


AUDIT = Examination((KEY, ANCHOR), run)
