"""`metadata.managedFields`: who wrote which field of `spec` or `data` last, and when. Pure. Called by `storage.py`.

Source: kubernetes-sigs/structured-merge-diff and kubernetes/apimachinery `pkg/util/managedfields`. Only the first level
below `spec` and `data` is kept apart, which is as deep as anybody here looks; status is nobody's.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.model import Json

SECTIONS = ("spec", "data")
Fields = frozenset[tuple[str, str]]
"""(section, field)."""


def managed_fields(before: Json | None, after: Json, *, manager: str, now: str) -> list[Json]:
    """The entries after `manager` wrote `after` over `before` (None: it was not there): what changed is its own."""
    old: list[Json] = list((before or {"metadata": {}})["metadata"].get("managedFields") or ())
    changed = _differing(before or {}, after)
    if not changed:
        return old
    entries = []
    own: Fields = frozenset()
    for entry in old:
        fields = _fields(entry)
        if entry["manager"] == manager and entry["operation"] == "Update":
            own = fields
        elif left := fields - changed:
            entries.append({**entry, "fieldsV1": _as_v1(left)})
    return [*entries, _entry(manager, after["apiVersion"], own | changed, now)]


def _entry(manager: str, api_version: str, fields: Fields, now: str) -> Json:
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": api_version,
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": _as_v1(fields),
    }


def _differing(before: Json, after: Json) -> Fields:
    return frozenset(
        (section, name)
        for section in SECTIONS
        for name in {**(before.get(section) or {}), **(after.get(section) or {})}
        if (before.get(section) or {}).get(name) != (after.get(section) or {}).get(name)
    )


def _fields(entry: Json) -> Fields:
    v1: Mapping[str, Mapping[str, Json]] = entry.get("fieldsV1") or {}
    return frozenset(
        (section[2:], name[2:]) for section, names in v1.items() for name in names if section[2:] in SECTIONS
    )


def _as_v1(fields: Fields) -> Json:
    found: dict[str, dict[str, Json]] = {}
    for section, name in sorted(fields):
        found.setdefault(f"f:{section}", {})[f"f:{name}"] = {}
    return found
