"""The API server's own audit log: the witness of what was written to the cluster, and of what was not."""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.cluster.credentials import CONTROLLER_MANAGER, KWOK, SCHEDULER

WRITE_VERBS = ("create", "update", "patch", "delete", "deletecollection")

# Posted, but stored nowhere: asking "may I?" is not a write.
REVIEW_GROUPS = ("authorization.k8s.io", "authentication.k8s.io")

CONTROL_PLANE_USERS = ("system:apiserver", CONTROLLER_MANAGER, SCHEDULER, KWOK)

Event = dict[str, Any]


def policy() -> dict[str, Any]:
    """Bodies of all writes, metadata of all reads; of the control plane itself no bodies and no reads."""
    control_plane = list(CONTROL_PLANE_USERS)
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "omitManagedFields": True,
        "rules": [
            {
                "level": "None",
                "users": control_plane,
                "resources": [{"group": "coordination.k8s.io"}, {"group": "events.k8s.io"}],
            },
            {"level": "Metadata", "users": control_plane, "verbs": list(WRITE_VERBS)},
            {"level": "None", "users": control_plane},
            {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/openapi*", "/api*", "/version"]},
            {"level": "RequestResponse", "verbs": list(WRITE_VERBS)},
            {"level": "Metadata"},
        ],
    }


class AuditLog:
    """Reads the growing log; each line once, for waits ask again and again."""

    def __init__(self, file: Path):
        self.file = file
        self._events: list[Event] = []
        self._position = 0

    def events(self) -> list[Event]:
        """All events so far, in the order in which the requests ended."""
        if not self.file.exists():
            return []
        with self.file.open("rb") as log:
            log.seek(self._position)
            data = log.read()
        # The API server may be in the middle of a line.
        complete = data[: data.rfind(b"\n") + 1]
        self._position += len(complete)
        events = (json.loads(line) for line in complete.splitlines())
        self._events += (event for event in events if event["stage"] == "ResponseComplete")
        return list(self._events)


def select(
    events: Iterable[Event],
    *,
    namespace: str | None = None,
    user: str | None = None,
    since: datetime | None = None,
) -> list[Event]:
    """Events of one namespace, one user, received at `since` (with time zone) or later; None means any."""
    return [
        event
        for event in events
        if (namespace is None or event.get("objectRef", {}).get("namespace") == namespace)
        and (user is None or event["user"]["username"] == user)
        and (since is None or datetime.fromisoformat(event["requestReceivedTimestamp"]) >= since)
    ]


def is_write(event: Event) -> bool:
    """Whether the request asks to change what is stored; true also if it was refused (see response_code)."""
    if event["verb"] not in WRITE_VERBS or is_dry_run(event):
        return False
    return event.get("objectRef", {}).get("apiGroup") not in REVIEW_GROUPS


def is_dry_run(event: Event) -> bool:
    """Whether a write was asked for with dryRun=All, in the query, in DeleteOptions or in an Eviction."""
    if "dryRun=All" in event["requestURI"].partition("?")[2]:
        return True
    body = event.get("requestObject")
    if not isinstance(body, dict):
        return False
    options = {"Eviction": body.get("deleteOptions"), "DeleteOptions": body}.get(body.get("kind", ""))
    return isinstance(options, dict) and options.get("dryRun") == ["All"]


def response_code(event: Event) -> int:
    """The HTTP status that the API server answered."""
    return int(event["responseStatus"]["code"])
