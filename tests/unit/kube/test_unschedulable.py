"""What schedulers of several releases said, word for word, and the class that it is."""

from __future__ import annotations

import pytest

from remediator.kube.unschedulable import unschedulable

NO_VICTIMS = "preemption: 0/{0} nodes are available: {0} No preemption victims found for incoming pod."
NO_HELP = "preemption: 0/{0} nodes are available: {0} Preemption is not helpful for scheduling."

TEXTS: list[tuple[str, str, str, dict[str, int], int]] = [
    ("1.20: cpu", "0/3 nodes are available: 3 Insufficient cpu.", "capacity", {"capacity": 3}, 3),
    (
        "1.30: cpu and memory of the same nodes",
        "0/3 nodes are available: 3 Insufficient cpu, 2 Insufficient memory. " + NO_VICTIMS.format(3),
        "capacity",
        {"capacity": 3},
        3,
    ),
    ("gpu", "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.", "capacity", {"capacity": 2}, 2),
    ("pods", "0/1 nodes are available: 1 Too many pods. " + NO_VICTIMS.format(1), "capacity", {"capacity": 1}, 1),
    ("no nodes", "no nodes available to schedule pods", "capacity", {"capacity": 0}, 0),
    (
        "1.20: taint, with a comma of its own",
        "0/2 nodes are available: 2 node(s) had taint {node.kubernetes.io/unreachable: },"
        " that the pod didn't tolerate.",
        "taint",
        {"taint": 2},
        2,
    ),
    (
        "1.28: taint",
        "0/2 nodes are available: 2 node(s) had untolerated taint {dedicated: gpu}. " + NO_HELP.format(2),
        "taint",
        {"taint": 2},
        2,
    ),
    (
        "1.35: taint without its name",
        "0/2 nodes are available: 2 node(s) had untolerated taint(s). " + NO_HELP.format(2),
        "taint",
        {"taint": 2},
        2,
    ),
    (
        "1.36: with claims of devices in between",
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). no new claims to deallocate, "
        + NO_HELP.format(3),
        "mixed",
        {"capacity": 1, "taint": 2},
        3,
    ),
    (
        "1.36: the claim, said twice",
        '0/3 nodes are available: persistentvolumeclaim "missing" not found. not found',
        "volume",
        {"volume": 3},
        3,
    ),
    ("cordon", "0/3 nodes are available: 3 node(s) were unschedulable.", "taint", {"taint": 3}, 3),
    (
        "1.20: taint and cpu",
        "0/3 nodes are available: 1 node(s) had taint {a: b}, that the pod didn't tolerate, 2 Insufficient cpu.",
        "mixed",
        {"taint": 1, "capacity": 2},
        3,
    ),
    (
        "node affinity",
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. " + NO_HELP.format(3),
        "affinity",
        {"affinity": 3},
        3,
    ),
    (
        "anti-affinity",
        "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules. " + NO_VICTIMS.format(3),
        "affinity",
        {"affinity": 3},
        3,
    ),
    (
        "spread",
        "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints.",
        "affinity",
        {"affinity": 3},
        3,
    ),
    (
        "plugins by name",
        "0/2 nodes are available: 2 node(s) didn't satisfy plugin(s) [NodeAffinity].",
        "affinity",
        {"affinity": 2},
        2,
    ),
    (
        "ports",
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
        "ports",
        {"ports": 1},
        1,
    ),
    (
        "1.20: claim, with a number",
        "0/3 nodes are available: 3 pod has unbound immediate PersistentVolumeClaims.",
        "volume",
        {"volume": 3},
        3,
    ),
    (
        "1.28: claim, without a number",
        "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. " + NO_HELP.format(3),
        "volume",
        {"volume": 3},
        3,
    ),
    (
        "claim that is not there",
        '0/3 nodes are available: persistentvolumeclaim "data" not found. ' + NO_HELP.format(3),
        "volume",
        {"volume": 3},
        3,
    ),
    (
        "volume in another zone",
        "0/3 nodes are available: 3 node(s) had volume node affinity conflict.",
        "volume",
        {"volume": 3},
        3,
    ),
    (
        "volumes of a node",
        "0/3 nodes are available: 3 node(s) exceed max volume count.",
        "volume",
        {"volume": 3},
        3,
    ),
    (
        "one reason of two is not known",
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were eaten by a dragon.",
        "mixed",
        {"capacity": 1, "unknown": 2},
        3,
    ),
    ("nothing is known", "0/3 nodes are available: 3 dragons.", "unknown", {"unknown": 3}, 3),
    ("not all nodes are told of", "0/3 nodes are available: 2 Insufficient cpu.", "unknown", {"capacity": 2}, 3),
    ("nothing is said", "", "unknown", {}, 0),
]


@pytest.mark.parametrize(
    ("message", "kind", "classes", "nodes"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS]
)
def test_the_scheduler_s_words(message: str, kind: str, classes: dict[str, int], nodes: int) -> None:
    found = unschedulable("Unschedulable", message)

    assert (found.kind, found.classes, found.nodes) == (kind, classes, nodes)


def test_a_gate_is_known_by_its_reason() -> None:
    found = unschedulable("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")

    assert found.kind == "gate"


@pytest.mark.parametrize("reason", ["SchedulerError", "", "SomethingNew"])
def test_any_other_reason_is_unknown_whatever_the_message(reason: str) -> None:
    assert unschedulable(reason, "0/3 nodes are available: 3 Insufficient cpu.").kind == "unknown"
