"""`config`: what the pod template needs of ConfigMaps and Secrets: missing, lately changed. Names and times only.

Never content: ConfigMaps are asked for by their metadata. Secrets are not asked for at all, since RBAC cannot tell
"does it exist" from "what is in it"; whether one is missing is known from what the kubelet says of the pods.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from remediator.clock import rfc3339
from remediator.diagnose.base import Scene, attempt, unavailable
from remediator.kube.base import path_of
from remediator.kube.permissions import to
from remediator.kube.template import config_map_names, secret_names
from remediator.model import Finding

LATELY = timedelta(hours=2)
MAX_NAMES = 20
MAX_LISTED = 2000


class Config:
    name = "config"
    permissions = (to("ConfigMap", "list"),)

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        template = scene.workload.template
        names = sorted(config_map_names(template))[:MAX_NAMES]
        secrets = sorted(secret_names(template))[:MAX_NAMES]
        if not names and not secrets:
            return []
        digest = await self._digest(scene, names, secrets)
        known = scene.workload.config_maps
        if not names:
            return digest
        if known is None:
            return [*digest, unavailable(self.name, "configmaps", "not permitted to list them")]
        findings = []
        for name in names:
            if name not in known:
                text = f"ConfigMap {name} is referenced and does not exist"
                findings.append(Finding("config-missing", text, {"missing": f"ConfigMap {name}"}))
            elif scene.now - known[name] <= LATELY:
                text = f"ConfigMap {name} changed at {rfc3339(known[name])}"
                findings.append(Finding("config-changed", text, {"name": name, "at": rfc3339(known[name])}))
        return [*findings, *digest]

    async def _digest(self, scene: Scene, names: Sequence[str], secrets: Sequence[str]) -> list[Finding]:
        """What is referenced, and a hash that changes when any of the ConfigMaps does."""
        facts = {"config_maps": list(names), "secrets": list(secrets), "digest": None}
        text = f"references {len(names)} ConfigMaps and {len(secrets)} Secrets"
        if not names or scene.workload.config_maps is None:
            return [Finding("config", text, facts)]
        path = path_of("ConfigMap", namespace=scene.target.namespace)
        call = scene.cluster.list(path, metadata_only=True, limit=MAX_LISTED)
        items = await attempt(self.name, "configmaps", call)
        if isinstance(items, Finding):
            return [Finding("config", text, facts), items]
        versions = {item["metadata"]["name"]: item["metadata"].get("resourceVersion") for item in items}
        told = "\n".join(f"{name} {versions.get(name)}" for name in names)
        return [Finding("config", text, {**facts, "digest": hashlib.sha256(told.encode()).hexdigest()})]
