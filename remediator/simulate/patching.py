"""The three patch types of the API server, applied to a copy.

JSON patch: RFC 6902 with RFC 6901 pointers. Merge patch: RFC 7386. Strategic merge: lists with a known merge key are
merged by it and `$patch: replace|delete` is honoured; that covers what kubectl sends for restarts and rollbacks.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.model import Json
from remediator.simulate.answers import bad_request, patch_failed
from remediator.simulate.storage import copied

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH)

# Field -> merge key, from the `patchMergeKey` tags in kubernetes/api `core/v1/types.go`.
MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "conditions": "type",
    "ownerReferences": "uid",
    "imagePullSecrets": "name",
}


def patched(item: Json, patch: Json, content_type: str) -> Json:
    """A patched copy. Raises Refused: 422 without details where a JSON patch does not apply, 400 for a wrong shape."""
    if content_type == JSON_PATCH:
        if not isinstance(patch, list) or any(not isinstance(step, dict) for step in patch):
            text = "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
            raise bad_request(f"error decoding patch: {text}")
        result = copied(item)
        for step in patch:
            result = _json_step(result, step)
        return result
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: a merge patch is an object")
    if content_type == MERGE_PATCH:
        return merged(item, patch)
    return _strategic(item, patch)


def merged(item: Json, patch: Json) -> Json:
    """RFC 7386: null deletes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return copied(patch)
    result = copied(item) if isinstance(item, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _strategic(item: Json, patch: Json) -> Json:
    if not isinstance(patch, dict):
        return copied(patch)
    directive = patch.get("$patch")
    rest = {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "replace":
        return copied(rest)
    result = copied(item) if isinstance(item, dict) else {}
    for key, value in rest.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, list) and key in MERGE_KEYS and isinstance(result.get(key), list):
            result[key] = _merged_list(result[key], value, MERGE_KEYS[key])
        else:
            result[key] = _strategic(result.get(key), value)
    return result


def _merged_list(items: list[Json], patch: list[Json], merge_key: str) -> list[Json]:
    result = list(items)
    for entry in patch:
        if merge_key not in entry:
            raise bad_request(f"map: {entry} does not contain declared merge key: {merge_key}")
        index = next((i for i, old in enumerate(result) if old.get(merge_key) == entry[merge_key]), None)
        if entry.get("$patch") == "delete":
            result = [old for old in result if old.get(merge_key) != entry[merge_key]]
        elif index is None:
            result.append(_strategic(None, entry))
        else:
            result[index] = _strategic(result[index], entry)
    return result


def _json_step(document: Json, step: Json) -> Json:
    operation, pointer = step.get("op"), step.get("path")
    if not isinstance(pointer, str):
        raise patch_failed()
    if operation in ("move", "copy"):
        value = _lookup(document, _segments(step.get("from") or ""))
        document = _remove(document, _segments(step["from"])) if operation == "move" else document
        return _put(document, _segments(pointer), copied(value), replaces=False)
    segments = _segments(pointer)
    match operation:
        case "test":
            if _value_or_none(document, segments) != step.get("value"):
                raise patch_failed()
            return document
        case "add" | "replace":
            return _put(document, segments, copied(step.get("value")), replaces=operation == "replace")
        case "remove":
            return _remove(document, segments)
        case _:
            raise patch_failed()


def _segments(pointer: str) -> list[str]:
    if pointer == "":
        return []
    if not pointer.startswith("/"):
        raise patch_failed()
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def _child(parent: Json, segment: str) -> Json:
    if isinstance(parent, dict) and segment in parent:
        return parent[segment]
    if isinstance(parent, list) and segment.isdigit() and int(segment) < len(parent):
        return parent[int(segment)]
    raise patch_failed()


def _lookup(document: Json, segments: list[str]) -> Json:
    for segment in segments:
        document = _child(document, segment)
    return document


def _value_or_none(document: Json, segments: list[str]) -> Json:
    # The library of the API server (evanphx/json-patch) lets a `test` for null pass where the last key is missing.
    if not segments:
        return document
    parent = _lookup(document, segments[:-1])
    return parent.get(segments[-1]) if isinstance(parent, dict) else _child(parent, segments[-1])


def _put(document: Json, segments: list[str], value: Json, *, replaces: bool) -> Json:
    if not segments:
        return value
    parent, last = _lookup(document, segments[:-1]), segments[-1]
    if replaces:
        _child(parent, last)
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and replaces:
        parent[int(last)] = value
    elif isinstance(parent, list) and (last == "-" or (last.isdigit() and int(last) <= len(parent))):
        parent.insert(len(parent) if last == "-" else int(last), value)
    else:
        raise patch_failed()
    return document


def _remove(document: Json, segments: list[str]) -> Json:
    if not segments:
        raise patch_failed()
    parent, last = _lookup(document, segments[:-1]), segments[-1]
    _child(parent, last)
    if isinstance(parent, dict):
        del parent[last]
    else:
        parent.pop(int(last))
    return document
