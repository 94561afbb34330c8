"""Fakes of what lies outside the process. `FakeCluster` is a `Cluster` in memory."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from remediator.clock import Clock
from remediator.kube.base import Logs, NotFound, path_of
from remediator.model import Json, Request
from remediator.prometheus.base import AlertingRule, Sample

Reply = Json | Exception | Callable[[Request, bool], Json]


class FakeCluster:
    """A cluster of plain dicts, by path. Holds what is `add`ed and changes nothing by itself.

    `calls` lists every call in order (`GET path`, `LIST path`, `LOGS namespace/pod/container`, `PATCH path`).
    `errors` maps a path (of an object or a collection) to what a read of it raises, until it is taken out again.
    `log_texts` maps (namespace, pod, container, previous) to a log. `replies` maps (method, path) to the answer of a
    write: a value, an exception to raise, or a function of the request and dry run; without one a write answers with
    the object at its path, else with its own body. `sent` holds every (request, dry run) in order.
    """

    def __init__(self, *objects: Json, name: str = "lab") -> None:
        self._name = name
        self._objects: dict[str, Json] = {}
        self.calls: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.log_texts: dict[tuple[str, str, str, bool], str] = {}
        self.replies: dict[tuple[str, str], Reply] = {}
        self.sent: list[tuple[Request, bool]] = []
        self.ready = True
        self.closed = False
        self.add(*objects)

    @property
    def name(self) -> str:
        return self._name

    def add(self, *objects: Json) -> None:
        """Put objects in, in place of any of the same kind, namespace and name. Each needs `kind` and `metadata`."""
        for item in objects:
            self._objects[path_to(item)] = copy.deepcopy(item)

    def remove(self, kind: str, namespace: str | None, name: str) -> None:
        del self._objects[path_of(kind, namespace=namespace, name=name)]

    def peek(self, kind: str, namespace: str | None, name: str) -> Json:
        """The stored object itself, to look at or to change in a test."""
        return self._objects[path_of(kind, namespace=namespace, name=name)]

    async def get(self, path: str) -> Json:
        self.calls.append(f"GET {path}")
        self._raise_for(path)
        if path not in self._objects:
            raise NotFound(f"{path} not found")
        return copy.deepcopy(self._objects[path])

    async def list(
        self,
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int | None = None,
    ) -> Sequence[Json]:
        self.calls.append(f"LIST {path}")
        self._raise_for(path)
        found = [
            _as_listed(item, metadata_only=metadata_only)
            for key, item in sorted(self._objects.items())
            if _is_in(key, path)
            and matches_labels(label_selector, item["metadata"].get("labels") or {})
            and matches_fields(field_selector, item)
        ]
        return found[:limit]

    async def logs(
        self, *, namespace: str, pod: str, container: str, previous: bool, tail_lines: int, limit_bytes: int
    ) -> Logs:
        self.calls.append(f"LOGS {namespace}/{pod}/{container}")
        self._raise_for(path_of("Pod", namespace=namespace, name=pod, subresource="log"))
        text = self.log_texts.get((namespace, pod, container, previous))
        if text is None:
            raise NotFound(f"no log of {namespace}/{pod}/{container}, previous={previous}")
        tail = "".join(text.splitlines(keepends=True)[-tail_lines:]).encode()
        return Logs(text=tail[:limit_bytes].decode(errors="replace"), complete_tail=len(tail) <= limit_bytes)

    async def send(self, request: Request, *, dry_run: bool) -> Json:
        self.calls.append(f"{request.method} {request.path}")
        self.sent.append((request, dry_run))
        reply = self.replies.get((request.method, request.path))
        if isinstance(reply, Exception):
            raise reply
        if callable(reply):
            return reply(request, dry_run)
        if reply is None:
            reply = self._objects.get(request.path, request.body)
        return copy.deepcopy(reply)

    async def is_ready(self) -> bool:
        return self.ready

    async def close(self) -> None:
        self.closed = True

    def _raise_for(self, path: str) -> None:
        if path in self.errors:
            raise self.errors[path]


def path_to(item: Json) -> str:
    """Where an object lives."""
    metadata = item["metadata"]
    return path_of(item["kind"], namespace=metadata.get("namespace"), name=metadata["name"])


def _is_in(key: str, collection: str) -> bool:
    """Whether an object's path is in a collection, of one namespace or of all."""
    place, _, _name = key.rpartition("/")
    return collection in (place, re.sub(r"/namespaces/[^/]+(?=/)", "", place))


def _as_listed(item: Json, *, metadata_only: bool) -> Json:
    """An item as a list carries it: without its kind, as the API server does."""
    if metadata_only:
        return {"metadata": copy.deepcopy(item["metadata"])}
    return {key: copy.deepcopy(value) for key, value in item.items() if key not in ("kind", "apiVersion")}


_SET = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^)]*)\)")


def matches_labels(selector: str, labels: Mapping[str, str]) -> bool:
    """The API server's label selector: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, by commas."""
    return all(_matches_label(term, labels) for term in re.split(r",(?![^(]*\))", selector) if term.strip())


def _matches_label(term: str, labels: Mapping[str, str]) -> bool:
    term = term.strip()
    if found := _SET.fullmatch(term):
        values = {value.strip() for value in found["values"].split(",")}
        # As in Kubernetes, `notin` and `!=` also hold for an object without the label.
        return (labels.get(found["key"]) in values) == (found["operator"] == "in")
    if "!=" in term:
        key, _, value = term.partition("!=")
        return labels.get(key.strip()) != value.strip()
    if "=" in term:
        key, _, value = term.replace("==", "=").partition("=")
        return labels.get(key.strip()) == value.strip()
    return term[1:] not in labels if term.startswith("!") else term in labels


def matches_fields(selector: str, item: Json) -> bool:
    """A field selector, `path=value` and `path!=value` by commas; unlike the API server it knows every field."""
    for term in filter(None, selector.split(",")):
        negated = "!=" in term
        path, _, value = term.replace("!=", "=").replace("==", "=").partition("=")
        found: Any = item
        for part in path.split("."):
            found = (found or {}).get(part)
        if (str(found if found is not None else "") == value) == negated:
            return False
    return True


@dataclass
class ScriptedMetrics:
    """A Prometheus that knows expressions by a part of their text: `answers` maps that to samples or an exception.

    The first part that an expression holds counts, in the order of `answers`; without one it is an empty vector.
    `asked` holds every expression in order.
    """

    answers: Mapping[str, Sequence[Sample] | Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        self.asked.append(expression)
        answer = next((answer for part, answer in self.answers.items() if part in expression), ())
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def alerting_rules(self, alertname: str) -> Sequence[AlertingRule]:
        return ()

    async def is_ready(self) -> bool:
        return True

    async def close(self) -> None: ...


@dataclass
class Firing:
    """A Prometheus in which the expression of whatever alert holds for these labels, for as long as anybody asks."""

    clock: Clock
    labels: Mapping[str, str]
    expression: str = "is_in_trouble == 1"

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        return [Sample(self.labels, 1.0)] if expression == self.expression else []

    async def alerting_rules(self, alertname: str) -> Sequence[AlertingRule]:
        return [AlertingRule(alertname, self.expression, {}, "ok", 30.0, self.clock.now())]

    async def is_ready(self) -> bool:
        return True

    async def close(self) -> None: ...
