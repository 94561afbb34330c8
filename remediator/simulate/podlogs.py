"""`pods/log` of the embedded cluster: what a container printed, cut as the kubelet cuts it.

Source: kubernetes 1.36 `pkg/kubelet/kubelet_pods.go` (`validateContainerLogStatus`) and
`pkg/kubelet/kuberuntime/logs/logs.go`. Called by `apiserver.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from remediator.clock import rfc3339
from remediator.model import Json
from remediator.simulate.answers import bad_request
from remediator.simulate.podstatus import fault_of

HEALTHY = """\
INFO starting on :8080
INFO connected to database in 12 ms
INFO ready
"""

CRASH = """\
INFO starting on :8080
Traceback (most recent call last):
  File "/app/main.py", line 31, in <module>
    main()
  File "/app/main.py", line 22, in main
    currency = PRICES[order["currency"]]
               ~~~~~~^^^^^^^^^^^^^^^^^^^
KeyError: 'EUR'
"""

OUT_OF_MEMORY = """\
INFO starting on :8080
INFO loading the catalogue, 1800000 rows
INFO loaded 900000 rows, heap 251 MiB
"""

DEFAULTS: Mapping[str, str] = {
    "crash": CRASH,
    "oom": OUT_OF_MEMORY,
    **dict.fromkeys(("neverready", "probekill", ""), HEALTHY),
}


class LogBook:
    """What containers print, by image: the caller's texts first, then the defaults."""

    def __init__(self) -> None:
        self._texts: list[tuple[str, str | None, str | None]] = []

    def set(self, image_substring: str, *, current: str | None = None, previous: str | None = None) -> None:
        """Give the images with this substring other logs; the last call that fits an image counts."""
        self._texts.append((image_substring, current, previous))

    def text(self, image: str, fault: str, *, previous: bool) -> str:
        """The whole log. What died prints the same each time, unless the caller said otherwise."""
        for substring, current, former in reversed(self._texts):
            text = former if previous else current
            if substring in image and text is not None:
                return text
        return DEFAULTS.get(fault, "")


def read_log(pod: Json, book: LogBook, query: Mapping[str, str], *, now: datetime) -> bytes:
    """The bytes that the kubelet would send. Raises Refused (400)."""
    name = pod["metadata"]["name"]
    container = _container(pod, query.get("container", ""))
    previous = query.get("previous") in ("true", "1")
    statuses = pod["status"].get("containerStatuses") or ()
    status = next((status for status in statuses if status["name"] == container["name"]), None)
    if not pod["spec"].get("nodeName"):
        return b""
    if status is None:
        raise bad_request(f'container "{container["name"]}" in pod "{name}" is waiting to start: ContainerCreating')
    died = (status.get("lastState") or {}).get("terminated") or {}
    if previous and not died:
        raise bad_request(f'previous terminated container "{container["name"]}" in pod "{name}" not found')
    waiting = status["state"].get("waiting")
    if waiting is not None and not died:
        reason = waiting["reason"]
        text = "trying and failing to pull image" if reason == "ImagePullBackOff" else reason
        raise bad_request(f'container "{container["name"]}" in pod "{name}" is waiting to start: {text}')
    # In back-off a plain request shows the last crash too.
    text = book.text(container["image"], fault_of(pod, container), previous=previous)
    return _cut(text, query, stamp=rfc3339(now) if query.get("timestamps") == "true" else "")


def _container(pod: Json, wanted: str) -> Json:
    name, containers = pod["metadata"]["name"], pod["spec"]["containers"]
    if not wanted:
        if len(containers) > 1:
            names = " ".join(container["name"] for container in containers)
            raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{names}]")
        return containers[0]
    for container in containers:
        if container["name"] == wanted:
            return container
    raise bad_request(f"container {wanted} is not valid for pod {name}")


def _cut(text: str, query: Mapping[str, str], *, stamp: str) -> bytes:
    """The tail first, then the *oldest* bytes of that tail: a byte limit loses the newest lines."""
    lines = text.splitlines(keepends=True)
    if (tail := query.get("tailLines")) is not None:
        lines = lines[len(lines) - min(int(tail), len(lines)) :]
    if stamp:
        lines = [f"{stamp} {line}" for line in lines]
    data = "".join(lines).encode()
    limit = query.get("limitBytes")
    return data if limit is None else data[: int(limit)]
