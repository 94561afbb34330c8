"""Kubernetes quantities, and what a pod asks for as the scheduler and the quota count it. Pure.

Used by the collector `resources` and the action `resize`. Sources: kubernetes/apimachinery
`pkg/api/resource/quantity.go` (suffixes), kubernetes/component-helpers `resource/helpers.go` (`PodRequests`,
`PodLimits`, with sidecars and overhead).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from remediator.model import Json

Amounts = Mapping[str, Decimal]
"""Resource name -> amount in base units: cores, bytes, pieces."""

_SUFFIXES: Mapping[str, Decimal] = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}
_QUANTITY = re.compile(r"([+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30}))(?:([eE][+-]?\d{1,3})|([numkKMGTPE]i?)?)")


def quantity(text: Json) -> Decimal:
    """`500m`, `1.5Gi`, `2e3`, or a plain number, in base units. Raises ValueError."""
    found = _QUANTITY.fullmatch(str(text).strip())
    if found is None or (found[3] or "") not in _SUFFIXES:
        raise ValueError(f"not a quantity: {text!r}")
    return Decimal(found[1] + (found[2] or "")) * _SUFFIXES[found[3] or ""]


def binary_quantity(bytes_: int) -> str:
    """A whole number of MiB as the API server writes it, so that it compares equal: `1536Mi`, `2Gi`.

    Source: kubernetes/apimachinery `pkg/api/resource/quantity.go` (`CanonicalizeBytes`): the largest suffix that leaves
    a whole number. Raises ValueError for anything that is no whole number of MiB.
    """
    amount, rest = divmod(bytes_, 2**20)
    if rest or amount <= 0:
        raise ValueError(f"no whole number of MiB: {bytes_}")
    suffixes = ["Mi", "Gi", "Ti", "Pi"]
    while amount % 1024 == 0 and len(suffixes) > 1:
        amount //= 1024
        del suffixes[0]
    return f"{amount}{suffixes[0]}"


def pod_requests(pod: Json) -> Amounts:
    """What the pod takes from a node: sum of its containers and sidecars, or its largest init step, plus overhead."""
    return _of_pod(pod, "requests")


def pod_limits(pod: Json) -> Amounts:
    """As `pod_requests`, for limits; a resource is left out unless every container limits it."""
    whole = _of_pod(pod, "limits")
    spec = pod["spec"]
    containers = [*spec["containers"], *(c for c in spec.get("initContainers") or () if is_sidecar(c))]
    level = ((spec.get("resources") or {}).get("limits")) or {}
    return {
        name: amount
        for name, amount in whole.items()
        if name in level or all(name in ((c.get("resources") or {}).get("limits") or {}) for c in containers)
    }


def is_sidecar(container: Json) -> bool:
    """Whether an init container runs on beside the others."""
    return bool(container.get("restartPolicy") == "Always")


def _of_pod(pod: Json, field: str) -> dict[str, Decimal]:
    spec = pod["spec"]
    running: dict[str, Decimal] = {}
    for container in spec["containers"]:
        running = _sum(running, _amounts(container, field))
    sidecars: dict[str, Decimal] = {}
    largest_step: dict[str, Decimal] = {}
    for container in spec.get("initContainers") or ():
        # An init step runs while the sidecars before it do.
        if is_sidecar(container):
            sidecars = _sum(sidecars, _amounts(container, field))
            step = sidecars
        else:
            step = _sum(sidecars, _amounts(container, field))
        largest_step = _larger(largest_step, step)
    total = _larger(_sum(running, sidecars), largest_step)
    total |= _amounts(spec, field)  # requests of the pod as a whole replace those of its containers
    overhead = {name: quantity(value) for name, value in (spec.get("overhead") or {}).items()}
    return _sum(total, overhead if field == "requests" else {n: v for n, v in overhead.items() if n in total})


def _amounts(holder: Json, field: str) -> dict[str, Decimal]:
    return {name: quantity(value) for name, value in ((holder.get("resources") or {}).get(field) or {}).items()}


def _sum(one: Amounts, other: Amounts) -> dict[str, Decimal]:
    return {name: one.get(name, Decimal()) + other.get(name, Decimal()) for name in {**one, **other}}


def _larger(one: Amounts, other: Amounts) -> dict[str, Decimal]:
    return {name: max(one.get(name, Decimal()), other.get(name, Decimal())) for name in {**one, **other}}
