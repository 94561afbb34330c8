"""The alerts that Prometheus rule files raise, with the labels that are known beforehand.

Reads rule files (`groups:`) and PrometheusRule objects, alone or in a List; other objects in a file are passed over.
Source: prometheus/prometheus `model/rulefmt/rulefmt.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from remediator.errors import ConfigError
from remediator.lint.shape import fields, rows
from remediator.model import Json
from remediator.rules.document import Path, Source, read_foreign
from remediator.rules.report import FileError
from remediator.rules.ruleset import Place

UPSTREAM: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "KubePodCrashLooping",
            "KubeContainerWaiting",
            "KubePodNotReady",
            "KubeDeploymentReplicasMismatch",
            "KubeDeploymentGenerationMismatch",
            "KubeDeploymentRolloutStuck",
            "KubeStatefulSetReplicasMismatch",
            "KubeStatefulSetUpdateNotRolledOut",
            "KubeDaemonSetRolloutStuck",
            "KubeHpaMaxedOut",
            "KubeJobFailed",
            "KubeJobNotCompleted",
            "KubePdbNotEnoughHealthyPods",
            "KubeNodeNotReady",
            "KubeQuotaExceeded",
            "KubeMemoryOvercommit",
            "KubeCPUOvercommit",
        ),
        ("warning",),
    ),
    "KubePersistentVolumeFillingUp": ("critical", "warning"),
    "CPUThrottlingHigh": ("info",),
    "Watchdog": ("none",),
    "InfoInhibitor": ("none",),
}
"""What kube-prometheus raises, and the severities it gives them, where no file that was given says otherwise.
Source: kubernetes-monitoring/kubernetes-mixin `alerts/`, prometheus-operator/kube-prometheus `manifests/`."""


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert as a rule defines it. `labels` hold its name and every label whose value is the same each time; what is
    not there is not known. `place` None: known from kube-prometheus only."""

    name: str
    labels: Mapping[str, str]
    place: Place | None = None

    @property
    def origin(self) -> str:
        return str(self.place) if self.place is not None else "kube-prometheus"


def read_alerts(files: Sequence[FilePath]) -> list[Raised]:
    """Every alert of these files. Raises FileError or ConfigError for one that cannot be read."""
    found: list[Raised] = []
    for file in files:
        try:
            source = read_foreign(str(file), file.read_bytes())
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
        if source.problems:
            raise FileError("\n".join(map(str, source.problems)), problems=source.problems)
        for number, document in enumerate(source.data or ()):
            found += _of_document(document, (number,), source)
    return found


def upstream(name: str) -> list[Raised]:
    """As kube-prometheus raises it; empty: it does not."""
    return [Raised(name, {"alertname": name, "severity": severity}) for severity in UPSTREAM.get(name, ())]


def _of_document(data: Json, path: Path, source: Source) -> Iterator[Raised]:
    if not isinstance(data, dict):
        return
    if data.get("kind") == "List":
        for number, item in rows(data.get("items")):
            yield from _of_document(item, (*path, "items", number), source)
        return
    if data.get("kind") == "PrometheusRule":
        data, path = fields(data.get("spec")), (*path, "spec")
    for number, group in rows(data.get("groups")):
        for position, rule in rows(group.get("rules")):
            if rule.get("alert"):
                where = (*path, "groups", number, "rules", position, "alert")
                yield _raised(rule, fields(group.get("labels")), where, source)


def _raised(rule: Mapping[str, Json], of_group: Mapping[str, Json], path: Path, source: Source) -> Raised:
    name, labels = str(rule["alert"]), {**of_group, **fields(rule.get("labels"))}
    known = {str(key): str(value) for key, value in labels.items() if "{{" not in str(value)}
    line, column = source.spot(path)
    return Raised(name, {**known, "alertname": name}, Place(source.file, line + 1, column + 1))
