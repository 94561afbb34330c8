"""The labelled set: cases of `tests/data/causes/*.yaml`, and what builds a cluster from each.

A case is the story of `tests/workloads.py` (`shop/checkout`, revision 3 rolled out ten minutes ago, revision 2 before)
with these parts of its own:

    pods:        each `{app: STATE, containers: {name: STATE}, init: {name: STATE}}`, and `old: true` for revision 2,
                 `times`, `node`, `unscheduled: MESSAGE` (with `reason`), `status` and `spec` to merge, `events`:
                 `[reason, message]` about it. Two ready pods of revision 2 are added unless `old: 0` or a pod is `old`.
    STATE:       ready | unready | creating | done, or
                 {loop: EXIT, reason, message, log, restarts}                in CrashLoopBackOff after that exit
                 {waiting: REASON, says: MESSAGE}                            never started
                 {running: MINUTES, ready, restarts, exit, reason, log}      with how it ended before
                 {ended: EXIT, reason, message, log, restarts}               terminated now
    events:      `[Kind/name, reason, message]` about other objects
    nodes:       name -> its conditions, where they are not those of a healthy node
    config_maps: name -> minutes since its last change, null for missing; the template refers to all of them
    secrets:     names that the template refers to
    depends_on:  `[name, Kind, ready, replicas]` in this namespace
    memory:      container -> [[minutes ago, MiB]]; traffic: [[minutes ago, rate]]; cpu: cores, of a limit of 1
    deployed:    minutes ago, default 10; alert_began: minutes ago, default 5
    kind, conditions (of the workload), template (spec, merged), objects (raw)
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from remediator.clock import rfc3339
from remediator.diagnose.base import Dependency, Scene
from remediator.kube.rollout import meaningful_hash
from remediator.model import Cause, Json, Target
from remediator.prometheus.base import Sample
from remediator.store.base import TemplateEvent
from tests.fakes import FakeCluster, ScriptedMetrics
from tests.workloads import NOW, TARGET, alert, deployment, replica_set, template, workload

FOLDER = Path(__file__).parents[2] / "data" / "causes"
MIB = 2**20
UID = {"Deployment": "d-1", "StatefulSet": "s-1", "DaemonSet": "ds-1", "Job": "j-1"}
FIELDS = frozenset(
    {
        *("name", "cause", "acts", "why", "pods", "old", "events", "nodes", "config_maps", "secrets", "depends_on"),
        *("memory", "traffic", "cpu", "deployed", "alert_began", "kind", "conditions", "template", "objects"),
    }
)


@dataclass(frozen=True)
class Labelled:
    """One case: what there is, what its cause is, and whether the shipped crash-loop rule may act on it."""

    facts: Mapping[str, Any]
    file: str

    def __str__(self) -> str:
        return f"{self.file}: {self.facts['name']}"

    @property
    def cause(self) -> Cause:
        return Cause(self.facts["cause"])

    @property
    def acts(self) -> bool:
        return bool(self.facts["acts"])

    @cached_property
    def _template(self) -> Json:
        made = template()
        references: Json = [{"configMapRef": {"name": name}} for name in self.facts.get("config_maps") or ()]
        references += [{"secretRef": {"name": name}} for name in self.facts.get("secrets") or ()]
        container = made["spec"]["containers"][0]
        container["resources"] = {"limits": {"cpu": "1", "memory": "100Mi"}}
        if references:
            container["envFrom"] = references
        made["spec"] |= self.facts.get("template") or {}
        return made

    @cached_property
    def _pods(self) -> list[tuple[Json, Mapping[str, Any]]]:
        """Each pod with the entry that it was made from."""
        entries = [entry for entry in self.facts.get("pods") or () for _ in range(entry.get("times", 1))]
        if not any(entry.get("old") for entry in entries):
            entries += [{"old": True, "app": "ready"}] * self.facts.get("old", 2)
        named = [(f"checkout-{2 if entry.get('old') else 3}-{at}", entry) for at, entry in enumerate(entries)]
        return [(self._pod(name, entry), entry) for name, entry in named]

    def _pod(self, name: str, entry: Mapping[str, Any]) -> Json:
        kind = self.facts.get("kind", "Deployment")
        owner = {"kind": "ReplicaSet", "name": "checkout", "uid": "rs-2" if entry.get("old") else "rs-3"}
        if kind != "Deployment":
            owner = {"kind": kind, "name": "checkout", "uid": UID[kind]}
        main = {"app": entry["app"]} if "app" in entry else {}
        containers = [_status(one, state) for one, state in {**main, **(entry.get("containers") or {})}.items()]
        init = [_status(one, state) for one, state in (entry.get("init") or {}).items()]
        is_ready = bool(containers) and all(one["ready"] for one in (*init, *containers))
        conditions = [{"type": "Ready", "status": str(is_ready)}]
        spec = {**copy.deepcopy(self._template["spec"]), "nodeName": entry.get("node", "node-1")}
        if entry.get("old"):
            spec["nodeName"] = entry.get("node", "node-2")
        if "unscheduled" in entry:
            del spec["nodeName"]
            said = {"reason": entry.get("reason", "Unschedulable"), "message": entry["unscheduled"]}
            conditions.append({"type": "PodScheduled", "status": "False", **said})
        return {
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": f"uid-{name}",
                "labels": {"app": "checkout"},
                "ownerReferences": [{**owner, "controller": True}],
            },
            "spec": {**spec, **(entry.get("spec") or {})},
            "status": {
                "phase": "Pending" if "unscheduled" in entry else "Running",
                "conditions": conditions,
                "containerStatuses": containers,
                "initContainerStatuses": init,
                **(entry.get("status") or {}),
            },
        }

    def _cluster(self) -> FakeCluster:
        cluster = FakeCluster(*(self.facts.get("objects") or ()), *self._nodes(), *self._events(), *self._needed())
        for pod, entry in self._pods:
            states = {"app": entry.get("app"), **(entry.get("containers") or {}), **(entry.get("init") or {})}
            for container, state in states.items():
                if isinstance(state, dict) and "log" in state:
                    for previous in (True, False):
                        cluster.log_texts["shop", pod["metadata"]["name"], container, previous] = state["log"]
        return cluster

    def _nodes(self) -> Iterator[Json]:
        named = {pod["spec"]["nodeName"] for pod, _ in self._pods if pod["spec"].get("nodeName")}
        for name in sorted(named):
            told = {"Ready": "True", **((self.facts.get("nodes") or {}).get(name) or {})}
            conditions = [{"type": kind, "status": status} for kind, status in told.items()]
            yield {"kind": "Node", "metadata": {"name": name}, "spec": {}, "status": {"conditions": conditions}}

    def _events(self) -> Iterator[Json]:
        about_pods = [
            (f"Pod/{pod['metadata']['name']}", *event)
            for pod, entry in self._pods
            for event in entry.get("events") or ()
        ]
        uids = {f"Deployment/{TARGET.name}": "d-1", "ReplicaSet/checkout-3": "rs-3", "StatefulSet/checkout": "s-1"}
        for at, (about, reason, message) in enumerate([*about_pods, *(self.facts.get("events") or ())]):
            kind, _, name = about.partition("/")
            yield {
                "kind": "CoreEvent",
                "metadata": {"name": f"e{at}", "namespace": "shop", "creationTimestamp": rfc3339(NOW)},
                "involvedObject": {"kind": kind, "name": name, "uid": uids.get(about, f"uid-{name}")},
                "reason": reason,
                "type": "Warning",
                "message": message,
                "lastTimestamp": rfc3339(NOW - timedelta(minutes=5) + timedelta(seconds=at)),
            }

    def _needed(self) -> Iterator[Json]:
        for _, kind, ready, replicas in self.facts.get("depends_on") or ():
            meta = {"name": "needed", "namespace": "shop"}
            yield {"kind": kind, "metadata": meta, "spec": {"replicas": replicas}, "status": {"readyReplicas": ready}}

    def _metrics(self) -> ScriptedMetrics | None:
        if not {"memory", "traffic", "cpu"} & set(self.facts):
            return None
        pods = [pod["metadata"]["name"] for pod, entry in self._pods if not entry.get("old")]
        memory = [
            Sample({"pod": pod, "container": name, "ago": str(minutes * 60)}, value * MIB)
            for name, points in (self.facts.get("memory") or {}).items()
            for minutes, value in points
            for pod in pods
        ]
        traffic = [
            Sample({"pod": pod, "ago": str(minutes * 60)}, value)
            for minutes, value in self.facts.get("traffic") or ()
            for pod in pods
        ]
        cores = [Sample({"pod": pod, "container": "app"}, self.facts.get("cpu", 0.1)) for pod in pods]
        return ScriptedMetrics(
            {
                "kube_replicaset": [],
                "[6h]": [],
                "working_set": memory,
                "network_receive": traffic,
                "throttled": [],
                "label_replace(sum by (pod) (max by (pod, container) (rate(container_cpu": [],
                "max by (pod, container) (rate(container_cpu": cores,
            }
        )

    def scene(self) -> Scene:
        """What the collectors see."""
        kind = self.facts.get("kind", "Deployment")
        rolled_out = NOW - timedelta(minutes=self.facts.get("deployed", 10))
        made, before = self._template, template("shop/checkout:1.4")
        item = deployment(made)
        item["kind"] = kind
        item["status"]["conditions"] += self.facts.get("conditions") or []
        item["status"]["conditions"][0]["lastUpdateTime"] = rfc3339(rolled_out + timedelta(minutes=1))
        if kind != "Deployment":
            item["metadata"] |= {"uid": UID[kind]}
        known = self.facts.get("config_maps") or {}
        picture = workload(
            object=item,
            replica_sets=(
                replica_set(3, made, created=rolled_out),
                replica_set(2, before, created=NOW - timedelta(days=2), ready=2),
            )
            if kind == "Deployment"
            else (),
            pods=tuple(pod for pod, _ in self._pods),
            config_maps={name: NOW - timedelta(minutes=ago) for name, ago in known.items() if ago is not None},
        )
        return Scene(
            Target("test", kind, "shop", "checkout", UID[kind]),
            alert(starts_at=NOW - timedelta(minutes=self.facts.get("alert_began", 5))),
            picture,
            self._cluster(),
            self._metrics(),
            NOW,
            dependencies=tuple(
                Dependency(name, needed, None, "needed") for name, needed, *_ in self.facts.get("depends_on") or ()
            ),
        )

    def ledger(self) -> tuple[TemplateEvent, ...]:
        """The former revision was good, so that nothing but the diagnosis keeps a rollback from being planned."""
        return (TemplateEvent("d-1", meaningful_hash(template("shop/checkout:1.4")), "seen-good", NOW),)


def _status(name: str, state: str | Mapping[str, Any]) -> Json:
    """A container status from one STATE."""
    made: Json = {"name": name, "ready": False, "restartCount": 0, "state": {}, "lastState": {}}
    match state:
        case "ready":
            return made | {"ready": True, "state": _running(60)}
        case "unready":
            return made | {"state": _running(5)}
        case "creating":
            return made | {"state": {"waiting": {"reason": "ContainerCreating"}}}
        case "done":
            return made | {"ready": True, "state": _ended(0, {"reason": "Completed"})}
        case {"loop": int(code)}:
            waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": f"back-off 2m40s restarting failed {name}"}}
            return made | {"restartCount": state.get("restarts", 5), "state": waiting, "lastState": _ended(code, state)}
        case {"waiting": str(reason)}:
            return made | {"state": {"waiting": {"reason": reason, "message": state.get("says", "")}}}
        case {"running": int(minutes)}:
            last = _ended(state["exit"], state) if "exit" in state else {}
            facts = {"ready": state.get("ready", True), "restartCount": state.get("restarts", 0)}
            return made | facts | {"state": _running(minutes), "lastState": last}
        case {"ended": int(code)}:
            return made | {"restartCount": state.get("restarts", 0), "state": _ended(code, state)}
    raise ValueError(f"not a state: {state!r}")


def _running(minutes: int) -> Json:
    return {"running": {"startedAt": rfc3339(NOW - timedelta(minutes=minutes))}}


def _ended(code: int, state: Mapping[str, Any]) -> Json:
    reason = state.get("reason", "Completed" if code == 0 else "Error")
    return {"terminated": {"exitCode": code, "reason": reason, "message": state.get("message", "")}}


def read_cases() -> Sequence[Labelled]:
    """All cases, by file; a field that is no part of the vocabulary is a mistake."""
    found = []
    for file in sorted(FOLDER.glob("*.yaml")):
        for facts in yaml.safe_load(file.read_text(encoding="utf-8")):
            assert set(facts) <= FIELDS, f"{file.name}: {facts.get('name')}: {set(facts) - FIELDS}"
            found.append(Labelled(facts, file.stem))
    return found
