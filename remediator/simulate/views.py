"""The shapes in which the API server shows an object: lists, metadata only, the other events API, Scale. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence

from remediator.kube.base import Resource
from remediator.model import Json
from remediator.simulate.answers import bad_request, not_acceptable
from remediator.simulate.storage import api_version_of, kind_at

# events.k8s.io/v1 field -> core/v1 field of the same Event.
EVENT_FIELDS: Mapping[str, str] = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}


def wants_metadata_only(accept: str, *, is_list: bool) -> bool:
    """Whether the Accept header asks for PartialObjectMetadata(List). Raises Refused (406) for the wrong of the two."""
    wanted = {
        parameter.strip().removeprefix("as=")
        for clause in accept.split(",")
        for parameter in clause.split(";")
        if parameter.strip().startswith("as=") and "g=meta.k8s.io" in clause
    }
    right, wrong = ("PartialObjectMetadataList", "PartialObjectMetadata")[:: 1 if is_list else -1]
    if wrong in wanted and right not in wanted:
        what = "is a list" if is_list else "is not a list"
        raise not_acceptable(f"you requested {wrong}, but the requested object {what}")
    return right in wanted


def shown(item: Json, place: Resource) -> Json:
    """An object as the asked-for API shows it."""
    return event_from_core(item) if place.group == "events.k8s.io" else item


def metadata_only(item: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def list_of(items: Sequence[Json], place: Resource, *, metadata: Mapping[str, Json], partial: bool) -> Json:
    """A list object. Items of a whole list carry no kind of their own, as on a real server."""
    if partial:
        kind, version, entries = "PartialObjectMetadataList", "meta.k8s.io/v1", [metadata_only(i) for i in items]
    else:
        kind, version = f"{kind_at(place)}List", api_version_of(place)
        entries = [{k: v for k, v in shown(i, place).items() if k not in ("kind", "apiVersion")} for i in items]
    return {"kind": kind, "apiVersion": version, "metadata": dict(metadata), "items": entries}


def page(
    items: Sequence[Json], query: Mapping[str, str], *, version: int, is_filtered: bool
) -> tuple[Sequence[Json], Json]:
    """One page of an ordered list, and its ListMeta. Raises Refused (400) for a bad `limit` or `continue`."""
    meta: dict[str, Json] = {"resourceVersion": str(version)}
    try:
        limit = int(query.get("limit") or 0)
        start = json.loads(base64.urlsafe_b64decode(query["continue"]))["start"] if query.get("continue") else None
    except (ValueError, binascii.Error, KeyError, TypeError) as error:
        raise bad_request("invalid continue token: continue key is not valid") from error
    if start is not None:
        items = [item for item in items if _key(item) > start]
    if limit and len(items) > limit:
        token = json.dumps({"rv": version, "start": _key(items[limit - 1])}).encode()
        meta["continue"] = base64.urlsafe_b64encode(token).decode()
        if not is_filtered:
            meta["remainingItemCount"] = len(items) - limit
        items = items[:limit]
    return items, meta


def _key(item: Json) -> list[str]:
    return [item["metadata"].get("namespace", ""), item["metadata"]["name"]]


def event_from_core(item: Json) -> Json:
    back = {core: new for new, core in EVENT_FIELDS.items()}
    return {back.get(key, key): value for key, value in item.items()} | {"apiVersion": "events.k8s.io/v1"}


def event_to_core(item: Json) -> Json:
    renamed = {EVENT_FIELDS.get(key, key): value for key, value in item.items()} | {"apiVersion": "v1"}
    for field in ("source", "firstTimestamp", "lastTimestamp"):
        renamed.setdefault(field, {} if field == "source" else None)
    return renamed


def scale_of(item: Json) -> Json:
    """The autoscaling/v1 Scale of a workload; its spec leaves zero replicas out, its status does not."""
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = (item["spec"].get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: item["metadata"][key] for key in kept},
        "spec": {"replicas": replicas} if (replicas := item["spec"]["replicas"]) else {},
        "status": {
            "replicas": (item.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }
