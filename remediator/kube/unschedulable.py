"""What the scheduler says when no node fits, sorted into classes that people and actions can use. Pure.

Texts as data, since they change between releases: kubernetes/kubernetes `pkg/scheduler/framework/plugins/*`
(`ErrReason*`) of 1.20 to 1.36, `pkg/scheduler/framework/types.go` (`FitError.Error`). What is not known here is class
`unknown`, and nothing acts on that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Class(StrEnum):
    CAPACITY = "capacity"
    TAINT = "taint"
    AFFINITY = "affinity"
    VOLUME = "volume"
    PORTS = "ports"
    GATE = "gate"
    MIXED = "mixed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """`kind` is one class only where it covers every node; `classes`: class -> nodes; `nodes`: how many there are."""

    kind: Class
    classes: Mapping[Class, int]
    nodes: int


REASONS: Sequence[tuple[Class, re.Pattern[str]]] = (
    (Class.CAPACITY, re.compile(r"Insufficient \S|Too many pods")),
    (Class.TAINT, re.compile(r"had (?:untolerated )?taint|that the pod didn't tolerate|were unschedulable")),
    (Class.PORTS, re.compile(r"didn't have free ports|plugin\(s\) \[NodePorts")),
    (
        Class.VOLUME,
        re.compile(
            r"(?i)persistentvolume|\bvolumes?\b|volume (?:node affinity|zone)|enough free storage|no available disk"
            r"|storageclass|plugin\(s\) \[Volume"
        ),
    ),
    (
        Class.AFFINITY,
        re.compile(
            r"(?i)didn't match Pod's node affinity|didn't match node selector|pod affinity|anti-affinity"
            r"|topology spread constraints|didn't match the requested (?:node ?name|hostname)"
            r"|plugin\(s\) \[(?:NodeAffinity|InterPodAffinity|PodTopologySpread|NodeName)"
        ),
    ),
)
"""In order: "2 node(s) had volume node affinity conflict" is about the volume."""

_HEAD = re.compile(r"0/(\d{1,6}) nodes are available(?::\s*|\.)")
_TAIL = re.compile(r"\s*(?:\.\s*)?preemption:.*", re.DOTALL)
# "had taint {a: b}, that the pod didn't tolerate": only a comma in front of a number separates reasons.
_SEPARATOR = re.compile(r",\s+(?=\d)")
_COUNTED = re.compile(r"(\d{1,6})\s+(.*)", re.DOTALL)


def unschedulable(reason: str, message: str) -> Unschedulable:
    """Read the `PodScheduled` condition of a pod: its reason and its message."""
    if reason == "SchedulingGated":
        return Unschedulable(Class.GATE, {Class.GATE: 0}, 0)
    if reason != "Unschedulable":  # SchedulerError and what is to come
        return Unschedulable(Class.UNKNOWN, {}, 0)
    if "no nodes available to schedule pods" in message:
        return Unschedulable(Class.CAPACITY, {Class.CAPACITY: 0}, 0)
    head = _HEAD.search(message)
    nodes = int(head[1]) if head else 0
    body = _TAIL.sub("", message[head.end() :] if head else message).strip().rstrip(".")
    sums: dict[Class, int] = {}
    for part in _SEPARATOR.split(body) if body else ():
        counted = _COUNTED.fullmatch(part)
        # A reason found before nodes were looked at has no number: it holds for all of them.
        count, text = (int(counted[1]), counted[2]) if counted else (nodes, part)
        kind = class_of(text)
        sums[kind] = sums.get(kind, 0) + count
    # A node can lack both cpu and memory, so that a class may count it twice.
    classes = {kind: min(count, nodes) for kind, count in sums.items()}
    if len(classes) > 1:
        return Unschedulable(Class.MIXED, classes, nodes)
    only = next(iter(classes), Class.UNKNOWN)
    covers_all = bool(classes) and classes[only] == nodes
    return Unschedulable(only if covers_all else Class.UNKNOWN, classes, nodes)


def class_of(text: str) -> Class:
    """The class of one reason without its number."""
    return next((kind for kind, pattern in REASONS if pattern.search(text)), Class.UNKNOWN)
