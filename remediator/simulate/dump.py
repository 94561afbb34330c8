"""What `kubectl get -o yaml` (or `-o json`) wrote, read as the state of a cluster. Called by `cli/simulate.py`.

A List, several documents and several files make one dump. Nothing of it is changed: uids, times and statuses are those
of the cluster that it was taken from. What a dump has nothing of is not known, unless whoever took it says that it is
all there is (`is_complete`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from remediator.clock import parse_rfc3339
from remediator.errors import ConfigError, cut
from remediator.kube.base import RESOURCES, Resource
from remediator.model import Json
from remediator.simulate.storage import PLACES, api_version_of
from remediator.simulate.views import event_to_core

ADD_ONS: Mapping[str, Resource] = {kind: place for kind, place in RESOURCES.items() if kind not in PLACES}
"""Kinds that the embedded cluster has no API for, and that decisions ask about all the same."""

NOT_READ = frozenset({"Secret"})
"""Never looked at, also where a dump has them."""

MAX_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Dump:
    """`objects` are those that can be held, each once; `add_ons` those of kinds that are only listed. `places` and
    `namespaces` are what it has anything of; `unused` counts what nothing here asks about, by kind; `newest_at` is the
    newest time in any object, None: there is none."""

    objects: Sequence[Json] = ()
    add_ons: Sequence[Json] = ()
    places: frozenset[Resource] = frozenset()
    namespaces: frozenset[str] = frozenset()
    unused: Mapping[str, int] = field(default_factory=dict)
    newest_at: datetime | None = None
    is_complete: bool = False


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C parser, where it is there
    """Times stay text, as in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_dump(files: Sequence[Path], *, is_complete: bool) -> Dump:
    """Raises ConfigError for a file that cannot be read, or is no dump."""
    found = [(str(file), item) for file in files for item in _items(file)]
    objects: dict[tuple[str, str, str], Json] = {}
    add_ons: list[Json] = []
    places: set[Resource] = set()
    unused: Counter[str] = Counter()
    for file, item in found:
        _check(item, file)
        kind, version = str(item["kind"]), str(item["apiVersion"])
        if kind == "Event" and version == "events.k8s.io/v1":
            item, version = event_to_core(item), "v1"
        place = RESOURCES.get("CoreEvent" if kind == "Event" else kind)
        if kind in ADD_ONS and place is not None and version == api_version_of(place):
            add_ons.append(item)
            places.add(place)
        elif place is None or kind in NOT_READ or version != api_version_of(place):
            unused[f"{kind} ({version})"] += 1
        else:
            meta = item["metadata"]
            objects[kind, str(meta.get("namespace") or ""), str(meta["name"])] = item
            places.add(place)
    held = (*objects.values(), *add_ons)
    return Dump(
        objects=list(objects.values()),
        add_ons=add_ons,
        places=frozenset(places),
        namespaces=frozenset(space for item in held if (space := _space(item))),
        unused=dict(sorted(unused.items())),
        newest_at=max((at for _, item in found for at in _times(item)), default=None),
        is_complete=is_complete,
    )


def _space(item: Json) -> str:
    """The namespace that it is in, or is."""
    meta = item["metadata"]
    return str(meta["name"] if item["kind"] == "Namespace" else meta.get("namespace") or "")


def _items(file: Path) -> Iterator[Json]:
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{file}: more than {MAX_BYTES // 2**20} MiB; dump the namespaces that matter")
    for document in _documents(file, text):
        if document is not None:
            yield from _flattened(document, str(file))


def _documents(file: Path, text: bytes) -> Iterable[Any]:
    try:
        if text.lstrip()[:1] == b"{":
            return [json.loads(text)]
        return list(yaml.load_all(text, Loader=_Loader))  # a safe loader
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{file}: neither YAML nor JSON: {cut(str(error))}") from error


def _flattened(document: Any, file: str) -> Iterator[Json]:
    """A List's items; those of a typed list (`PodList`) have no kind of their own."""
    if not isinstance(document, dict):
        raise ConfigError(f"{file}: expected Kubernetes objects, as of kubectl get -o yaml")
    kind, items = str(document.get("kind", "")), document.get("items")
    if not (kind.endswith("List") and isinstance(items, list)):
        yield document
        return
    for item in items:
        if kind == "List" or not isinstance(item, dict):
            yield from _flattened(item, file)
        else:
            yield {"kind": kind.removesuffix("List"), "apiVersion": document.get("apiVersion"), **item}


def _check(item: Any, file: str) -> None:
    meta = item.get("metadata") if isinstance(item, dict) else None
    if not (isinstance(meta, dict) and meta.get("name") and item.get("kind") and item.get("apiVersion")):
        raise ConfigError(f"{file}: expected objects with apiVersion, kind and metadata.name, got {cut(str(item))}")


def _times(value: Any) -> Iterator[datetime]:
    """Every instant in an object: of what is written as text and looks like one."""
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str):
                if name.endswith(("Time", "Timestamp", "time")) and (at := _instant(item)) is not None:
                    yield at
            else:
                yield from _times(item)
    elif isinstance(value, list):
        for item in value:
            yield from _times(item)


def _instant(text: str) -> datetime | None:
    try:
        return parse_rfc3339(text)
    except ValueError:
        return None
