"""Who else manages an object: GitOps controllers, Helm, operators, server-side appliers. And its owner's wishes. Pure.

Detection by annotations, labels, owner references and managed fields; sources: argoproj/argo-cd
`docs/user-guide/resource_tracking.md`, fluxcd/kustomize-controller and helm-controller labels, helm/helm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from remediator.clock import parse_rfc3339
from remediator.kube.base import annotations_of
from remediator.model import Json, Mode

MANAGER = "remediator"
"""Our fieldManager and the author of our Events."""

LAST_ACTION = "remediator.io/last-action"
"""Annotation on the touched object: the id of the action that wrote it last, read back after a lost reply."""

ARGO_CD, FLUX_KUSTOMIZATION = "Argo CD application", "Flux Kustomization"
KEEP_A_RESTART = (ARGO_CD, FLUX_KUSTOMIZATION)
"""How the owners begin that leave kubectl's restart annotation alone: it is not in Git, and Flux removes only what the
manager `kubectl` wrote."""

MODE = "remediator.io/mode"
ACTIONS = "remediator.io/actions"
PAUSE_UNTIL = "remediator.io/pause-until"
SEVERITY = "remediator.io/severity"
LEAST_SEVERE = 4
"""What a severity that cannot be read means."""


def gitops_owner(item: Json, *, field: str = "template") -> str | None:
    """The GitOps controller that would revert a change of this field of `spec`, in words; None: none found."""
    metadata = item["metadata"]
    labels, annotations = metadata.get("labels") or {}, annotations_of(item)
    tracking = annotations.get("argocd.argoproj.io/tracking-id", "")
    # A copied tracking id names another object; Argo CD ignores it, and so do we.
    if tracking.endswith(f"/{item.get('kind', '')}:{metadata.get('namespace', '')}/{metadata['name']}"):
        return f"{ARGO_CD} {tracking.split(':', 1)[0]}"
    is_flux_off = annotations.get("kustomize.toolkit.fluxcd.io/reconcile") == "disabled"
    if (name := labels.get("kustomize.toolkit.fluxcd.io/name")) is not None and not is_flux_off:
        return f"{FLUX_KUSTOMIZATION} {labels.get('kustomize.toolkit.fluxcd.io/namespace', '?')}/{name}"
    if (name := labels.get("helm.toolkit.fluxcd.io/name")) is not None:
        return f"Flux HelmRelease {labels.get('helm.toolkit.fluxcd.io/namespace', '?')}/{name}"
    for entry in metadata.get("managedFields") or ():
        owned = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if entry.get("operation") == "Apply" and f"f:{field}" in owned:
            return f"server-side apply by {entry.get('manager', '?')}"
    return None


def helm_release(item: Json) -> str | None:
    """The Helm release that installed the object; Helm keeps our change until its next upgrade."""
    labels, annotations = item["metadata"].get("labels") or {}, annotations_of(item)
    if labels.get("app.kubernetes.io/managed-by") != "Helm":
        return None
    return annotations.get("meta.helm.sh/release-name")


def template_writer(item: Json) -> str | None:
    """The manager that last wrote the pod template according to managedFields: who deployed."""
    writers = [
        (entry.get("time", ""), entry.get("manager", ""))
        for entry in item["metadata"].get("managedFields") or ()
        if "f:template" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return max(writers)[1] if writers else None


def replicas_writer(item: Json) -> str | None:
    """The manager that last wrote the number of replicas according to managedFields; an autoscaler writes as
    `kube-controller-manager`, by the scale subresource."""
    writers = [
        (entry.get("time", ""), entry.get("manager", ""))
        for entry in item["metadata"].get("managedFields") or ()
        if "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return max(writers)[1] if writers else None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the annotations of one object ask of us. `mode` and `severity` None: nothing said. `problems` are values we
    cannot read, each of which means silent."""

    mode: Mode | None
    actions: frozenset[str] | None
    pause_until: datetime | None
    problems: tuple[str, ...]
    severity: int | None = None


def wishes_of(item: Json) -> Wishes:
    """Read `remediator.io/mode`, `/actions`, `/pause-until` and `/severity`."""
    annotations = annotations_of(item)
    mode: Mode | None = None
    actions: frozenset[str] | None = None
    pause_until: datetime | None = None
    problems = []
    if (text := annotations.get(MODE)) is not None:
        try:
            mode = Mode(text)
        except ValueError:
            problems.append(f"{MODE}: {text!r} is not one of {', '.join(Mode)}")
    if (text := annotations.get(ACTIONS)) is not None:
        actions = frozenset(word.strip() for word in text.split(",") if word.strip())
    if (text := annotations.get(PAUSE_UNTIL)) is not None:
        try:
            pause_until = parse_rfc3339(text)
        except ValueError:
            problems.append(f"{PAUSE_UNTIL}: {text!r} is not an RFC 3339 time")
    severity: int | None = None
    if (text := annotations.get(SEVERITY)) is not None:
        severity = int(text) if text in ("1", "2", "3", "4") else LEAST_SEVERE
        if text != str(severity):
            problems.append(f"{SEVERITY}: {text!r} is not 1, 2, 3 or 4")
    return Wishes(mode, actions, pause_until, tuple(problems), severity)
