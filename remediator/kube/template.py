"""What a pod template refers to: ConfigMaps, Secrets, claims, service accounts. Pure.

Optional references are left out: pods start without them.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediator.model import Json


def config_map_names(template: Json) -> frozenset[str]:
    """ConfigMaps that pods of this template cannot start without."""
    found = []
    for container in _containers(template):
        found += [source.get("configMapRef") for source in container.get("envFrom") or ()]
        for variable in container.get("env") or ():
            found.append((variable.get("valueFrom") or {}).get("configMapKeyRef"))
    for volume in template["spec"].get("volumes") or ():
        found.append(volume.get("configMap"))
        for source in (volume.get("projected") or {}).get("sources") or ():
            found.append(source.get("configMap"))
    return frozenset(ref["name"] for ref in found if ref and not ref.get("optional"))


def secret_names(template: Json) -> frozenset[str]:
    """Secrets that pods of this template cannot start without. Names only: nobody here reads a Secret."""
    found: list[Json] = [
        {"name": volume["secret"].get("secretName"), "optional": volume["secret"].get("optional")}
        for volume in template["spec"].get("volumes") or ()
        if volume.get("secret")
    ]
    for container in _containers(template):
        found += [source.get("secretRef") for source in container.get("envFrom") or ()]
        for variable in container.get("env") or ():
            found.append((variable.get("valueFrom") or {}).get("secretKeyRef"))
    for volume in template["spec"].get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            found.append(source.get("secret"))
    return frozenset(ref["name"] for ref in found if ref and ref.get("name") and not ref.get("optional"))


def claim_names(template: Json) -> frozenset[str]:
    """PersistentVolumeClaims that the template mounts."""
    volumes = template["spec"].get("volumes") or ()
    return frozenset(v["persistentVolumeClaim"]["claimName"] for v in volumes if v.get("persistentVolumeClaim"))


def service_account_names(template: Json) -> frozenset[str]:
    """The ServiceAccount the template names; `default` always exists."""
    name = template["spec"].get("serviceAccountName")
    return frozenset({name} if name and name != "default" else ())


def _containers(template: Json) -> Iterator[Json]:
    yield from template["spec"].get("initContainers") or ()
    yield from template["spec"].get("containers") or ()
