"""The operations of a JSON patch that put an annotation on an object, whether it has annotations or not. Pure.

Where there are none, the map is made first, under a test that there is still none: annotations do not change the
generation of most kinds, so that one which came meanwhile would otherwise be lost.
"""

from __future__ import annotations

from remediator.kube.base import annotations_of
from remediator.kube.ownership import LAST_ACTION
from remediator.model import Json


def add_annotation(item: Json, key: str, value: str, *, holder: str = "") -> list[Json]:
    """For the object, or for what lies at the pointer `holder` in it; `item` is that, as read."""
    path = f"{holder}/metadata/annotations"
    made: list[Json] = (
        []
        if annotations_of(item)
        else [{"op": "test", "path": path, "value": None}, {"op": "add", "path": path, "value": {}}]
    )
    return [*made, {"op": "add", "path": f"{path}/{key.replace('~', '~0').replace('/', '~1')}", "value": value}]


def mark(item: Json, action_id: str) -> list[Json]:
    """Our mark, by which the write is told after a lost reply."""
    return add_annotation(item, LAST_ACTION, action_id)
