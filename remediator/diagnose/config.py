"""`config`: ConfigMaps that the pod template needs: which are missing, which changed lately. Names only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from remediator.clock import rfc3339
from remediator.diagnose.base import Scene
from remediator.kube.template import config_map_names
from remediator.model import Finding

LATELY = timedelta(hours=2)


class Config:
    name = "config"

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        template = (scene.workload.object.get("spec") or {}).get("template")
        names = sorted(config_map_names(template)) if template else []
        known = scene.workload.config_maps
        if not names:
            return []
        if known is None:
            return [Finding("unavailable", "configmaps: not permitted to list them", {"collector": self.name})]
        findings = []
        for name in names:
            if name not in known:
                text = f"ConfigMap {name} is referenced and does not exist"
                findings.append(Finding("config-missing", text, {"missing": f"ConfigMap {name}"}))
            elif scene.now - known[name] <= LATELY:
                text = f"ConfigMap {name} changed at {rfc3339(known[name])}"
                findings.append(Finding("config-changed", text, {"name": name, "at": rfc3339(known[name])}))
        return findings
