"""Keys and anchors of the audit log, as the settings name them. `app.py` opens both before anything else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from remediator.anchor.base import Anchor
from remediator.anchor.config_map import ConfigMapAnchor
from remediator.anchor.file import FileAnchor
from remediator.audit.note import BadNote, SigningKey, signing_key
from remediator.errors import ConfigError
from remediator.kube.base import Cluster
from remediator.settings import Settings
from remediator.store.log import LogKeys


def anchors_of(settings: Settings, cluster: Cluster) -> Sequence[Anchor]:
    """Where the newest checkpoint of the audit log is kept outside its database."""
    anchors: list[Anchor] = []
    if settings.audit_anchor_file is not None:
        anchors.append(FileAnchor(settings.audit_anchor_file))
    if settings.audit_anchor_configmap is not None:
        namespace, _, name = settings.audit_anchor_configmap.partition("/")
        anchors.append(ConfigMapAnchor(cluster, namespace=namespace, name=name))
    return anchors


def log_keys(settings: Settings) -> LogKeys:
    """The keys of the audit log. Raises ConfigError with the file that cannot be used."""

    def read(file: Path | None) -> SigningKey | None:
        if file is None:
            return None
        try:
            return signing_key(settings.audit_key_name, file.read_bytes())
        except OSError as error:
            raise ConfigError(f"{file}: cannot read the audit log's key: {error.strerror}") from error
        except BadNote as error:
            raise ConfigError(f"{file}: {error}") from error

    return LogKeys(read(settings.audit_key_file), read(settings.audit_previous_key_file))
