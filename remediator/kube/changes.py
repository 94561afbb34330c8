"""Which fields of an object a dry run changes: the object as it is, against the API server's reply. Pure.

Elements of a list are told apart by their name where all have one, as strategic merge does, else by their place.
Called by the guard `dry-run`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remediator.model import Json
from remediator.verdicts import FieldChange

MAX_CHANGES = 100
"""A reply that differs in more is another object; the first ones say so."""


def changes(before: Json, after: Json, *, under: Sequence[str | int] = ()) -> tuple[FieldChange, ...]:
    """The changed fields, in order, each by its path; `under` is the path of the whole."""
    path = ".".join(map(str, under))
    found = list(_walk(before, after, path))
    return tuple(found[:MAX_CHANGES])


def of_object(item: Json) -> Json:
    """What of an object a person compares: its spec, labels and annotations; not what every write changes."""
    meta = item.get("metadata") or {}
    kept = {name: meta.get(name) or {} for name in ("labels", "annotations")}
    return {"metadata": kept, "spec": item.get("spec") or {}}


def _walk(before: Json, after: Json, path: str) -> Iterator[FieldChange]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in (*before, *(name for name in after if name not in before)):
            yield from _walk(before.get(name), after.get(name), _below(path, name))
    elif isinstance(before, list) and isinstance(after, list) and _are_named(before) and _are_named(after):
        old, new = ({one["name"]: one for one in items} for items in (before, after))
        for name in (*old, *(name for name in new if name not in old)):
            yield from _walk(old.get(name), new.get(name), f"{path}[{name}]")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _walk(one, other, f"{path}[{number}]")
    else:
        yield FieldChange(path, before, after)


def _below(path: str, name: str) -> str:
    """A key with a dot in it (an annotation's) is quoted."""
    key = f"['{name}']" if "." in name or "/" in name else name
    return f"{path}{key}" if key != name or not path else f"{path}.{key}"


def _are_named(items: Sequence[Json]) -> bool:
    names = [one.get("name") if isinstance(one, dict) else None for one in items]
    return bool(items) and None not in names and len(set(map(str, names))) == len(names)
