"""Manifests for the embedded cluster: short to write, complete enough for what the service reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remediator.model import Json


def deployment(
    namespace: str,
    name: str,
    *,
    image: str,
    replicas: int = 2,
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    template_annotations: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    config_map_refs: Sequence[str] = (),
    strategy: Json | None = None,
    resources: Json | None = None,
    spec: Mapping[str, Json] | None = None,
) -> Json:
    """A Deployment with one container called `app` and the label `app: <name>`.

    `config_map_refs` are loaded whole into its environment; `spec` is laid over the Deployment's own.
    """
    container: dict[str, Json] = {"name": "app", "image": image, "ports": [{"containerPort": 8080}]}
    if env:
        container["env"] = [{"name": key, "value": value} for key, value in env.items()]
    if config_map_refs:
        container["envFrom"] = [{"configMapRef": {"name": reference}} for reference in config_map_refs]
    if resources:
        container["resources"] = resources
    template_meta: dict[str, Json] = {"labels": {"app": name}}
    if template_annotations:
        template_meta["annotations"] = dict(template_annotations)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": name, **(labels or {})},
            "annotations": dict(annotations or {}),
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": template_meta, "spec": {"containers": [container]}},
            **({"strategy": strategy} if strategy else {}),
            **(spec or {}),
        },
    }


def config_map(namespace: str, name: str, data: Mapping[str, str]) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": dict(data),
    }


def disruption_budget(namespace: str, name: str, *, app: str, min_available: int | str = 1) -> Json:
    """A PodDisruptionBudget over the pods labelled `app: <app>`."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"minAvailable": min_available, "selector": {"matchLabels": {"app": app}}},
    }
