"""Stories that tests write themselves."""

from __future__ import annotations

from pathlib import Path

CRASH = """name: {name}
mode: active
cluster: {{workloads: [{{of: shop/checkout, image: 'shop/checkout:1.4', replicas: 3}}]}}
events:
  - {{at: 0s, deploy: {{of: shop/checkout, image: 'shop/checkout:1.5-crash'}}}}
  - {{at: 5m, fire: {{alert: KubePodCrashLooping, pod_of: shop/checkout}}}}
expect: [{{{expect}}}]
writes: [{writes}]
"""
GOOD = "does: rollback, state: verified"
PATCH = "'patch deployments shop/checkout'"


def crash(folder: Path, name: str = "a story", *, expect: str = GOOD, writes: str = PATCH) -> Path:
    """A file with a release that crashes and is undone."""
    file = folder / f"{name.replace(' ', '-')}.yaml"
    file.write_text(CRASH.format(name=name, expect=expect, writes=writes), encoding="utf-8")
    return file
