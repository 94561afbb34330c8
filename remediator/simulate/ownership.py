"""Who owns whom in the embedded cluster, and the hash that names a ReplicaSet. Shared by its controllers."""

from __future__ import annotations

import hashlib
import json

from remediator.model import Json
from remediator.simulate.storage import POD, SAFE_CHARACTERS, Storage


def owner_reference(owner: Json) -> Json:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pods_of(storage: Storage, replica_set: Json) -> list[Json]:
    """All its pods, terminating ones included."""
    return storage.controlled(POD, replica_set["metadata"]["uid"])


def template_hash(template: Json) -> str:
    """A stable name part for a pod template. Not the real server's value, which hashes Go's memory layout."""
    canonical = json.dumps(template, sort_keys=True, separators=(",", ":")).encode()
    number = int.from_bytes(hashlib.sha256(canonical).digest()[:4], "big")
    return "".join(SAFE_CHARACTERS[ord(digit) % len(SAFE_CHARACTERS)] for digit in str(number))
