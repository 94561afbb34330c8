"""The world of a story: the embedded cluster with what its facts say, and those that watch it.

`replay.py` builds one for each story and lets its time pass; `happenings.py` changes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from remediator.kube.base import controller_of
from remediator.kube.rollout import live_template
from remediator.model import Json
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.facts import ClusterFacts, NodeFacts, Ref, WorkloadFacts
from remediator.simulate.jumping import JumpClock
from remediator.simulate.observers import RESOLVED_AFTER, Firing, StoryAlertmanager, StoryPrometheus
from remediator.simulate.story import Story
from remediator.simulate.usage import Usage
from remediator.simulate.values import Course
from remediator.simulate.workloads import config_map, deployment, disruption_budget

ZONE = "topology.kubernetes.io/zone"
OWN_NAMESPACE = "remediator"
SEED = 20261123
"""Names and uids repeat from run to run."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """Somebody who keeps an image or a number of replicas. `image` and `replicas` None: not theirs."""

    of: Ref
    image: str | None
    replicas: int | None
    within: timedelta


@dataclass(slots=True)
class Stage:
    """`zero` is the story's. `keepers` revert what others change; `reverts` is when each of them does so next."""

    zero: datetime
    clock: JumpClock
    cluster: EmbeddedCluster
    usage: Usage
    prometheus: StoryPrometheus
    alertmanager: StoryAlertmanager
    keepers: list[Keeper] = field(default_factory=list)
    reverts: dict[int, datetime] = field(default_factory=dict)

    @classmethod
    def build(cls, story: Story) -> Stage:
        """All as the story's facts have it, at the moment from which on it runs."""
        clock = JumpClock(story.starts - story.runs_for)
        cluster = EmbeddedCluster(clock, seed=SEED)
        usage = Usage(
            story.metrics,
            room=story.room,
            zero=story.starts,
            now=clock.now,
            workload_of=partial(_workload_of, cluster),
        )
        cluster.watch(usage.changed)
        prometheus = StoryPrometheus(cluster, usage, clock.now)
        for answer in story.answers:
            course = Course(answer.values, answer.begins, answer.every)
            prometheus.answers.append((answer.query, lambda at, course=course: course.at(at - story.starts)))  # type: ignore[misc]
        stage = cls(story.starts, clock, cluster, usage, prometheus, StoryAlertmanager(clock.now))
        clock.world = stage
        _set_up(cluster, story.cluster)
        return stage

    # --- time

    @property
    def due(self) -> datetime | None:
        resolves = [one.gone_since + RESOLVED_AFTER for one in self._open() if one.gone_since is not None]
        stops = [*resolves, *self.reverts.values()]
        if (own := self.cluster.due) is not None:
            stops.append(own)
        return min(stops, default=None)

    def pass_time(self) -> None:
        """Kubelets and controllers, whoever keeps a field, and alerts that no longer hold."""
        self.cluster.tick()
        self._revert()
        now = self.clock.now()
        for firing in self._open():
            if self.prometheus.holds(firing) or self.prometheus.trouble != "up":
                firing.gone_since = None
            elif firing.gone_since is None:
                firing.gone_since = now
            elif now >= firing.gone_since + RESOLVED_AFTER:
                self.end(firing)

    def end(self, firing: Firing) -> None:
        """It is resolved, and Alertmanager says so."""
        firing.ended_at = self.clock.now()
        self.alertmanager.tell(firing)

    def begin(self, firing: Firing) -> None:
        self.prometheus.firing.append(firing)
        self.alertmanager.tell(firing)

    def _open(self) -> list[Firing]:
        return [one for one in self.prometheus.firing if one.ended_at is None]

    def _revert(self) -> None:
        now = self.clock.now()
        for number, keeper in enumerate(self.keepers):
            if self._is_kept(keeper):
                self.reverts.pop(number, None)
            elif self.reverts.setdefault(number, now + keeper.within) <= now:
                del self.reverts[number]
                self.change(keeper.of, image=keeper.image, replicas=keeper.replicas)

    def _is_kept(self, keeper: Keeper) -> bool:
        item = self.get(keeper.of)
        image = item["spec"]["template"]["spec"]["containers"][0]["image"]
        is_image = keeper.image in (None, image)
        return is_image and keeper.replicas in (None, item["spec"].get("replicas"))

    # --- what people and pipelines do

    def get(self, of: Ref) -> Json:
        return self.cluster.get(of.kind, of.namespace, of.name)

    def pods(self, of: Ref) -> list[Json]:
        """Its pods, the worst first: not ready, then by name."""
        pods = [pod for pod in self.cluster.list("Pod", of.namespace) if _workload_of(self.cluster, pod) == of]
        return sorted(pods, key=lambda pod: (_is_ready(pod), pod["metadata"]["name"]))

    def change(
        self,
        of: Ref,
        *,
        image: str | None = None,
        replicas: int | None = None,
        pod: Mapping[str, Json] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Apply a workload with another image, size, pod spec or annotations of its pod template."""
        item = self.get(of)
        template = item["spec"]["template"]
        if image is not None:
            template["spec"]["containers"][0]["image"] = image
        if replicas is not None:
            item["spec"]["replicas"] = replicas
        template["spec"] = merged(template["spec"], pod or {})
        if annotations:
            template["metadata"].setdefault("annotations", {}).update(annotations)
        self.cluster.apply(item)

    def undo(self, of: Ref) -> None:
        """`kubectl rollout undo`: the template of the revision before."""
        item = self.get(of)
        sets = [one for one in self.cluster.list("ReplicaSet", of.namespace) if _owner(one) == item["metadata"]["uid"]]
        number = "deployment.kubernetes.io/revision"
        before = sorted(sets, key=lambda one: int(one["metadata"]["annotations"][number]))[-2]
        item["spec"]["template"] = live_template(before["spec"]["template"])
        self.cluster.apply(item)


def merged(value: Json, other: Json) -> Json:
    """`other` laid over `value`: mappings by key, lists of named parts by name, all else replaced."""
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return {**value, **{key: merged(value.get(key), item) for key, item in other.items()}}
    if isinstance(value, list) and isinstance(other, list) and all("name" in one for one in other if one):
        laid = {one["name"]: one for one in other}
        known = {one["name"] for one in value}
        own = [merged(one, laid[one["name"]]) if one["name"] in laid else one for one in value]
        return [*own, *(one for one in other if one["name"] not in known)]
    return other


def _is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _owner(item: Json) -> str | None:
    owner = controller_of(item)
    return None if owner is None else str(owner["uid"])


def _workload_of(cluster: EmbeddedCluster, item: Json) -> Ref | None:
    """The workload that a pod belongs to, by its owner references."""
    while (owner := controller_of(item)) is not None:
        found = cluster.by_uid(owner["uid"])
        if found is None:
            return None
        item = found
    kind = item["kind"]
    return None if kind == "Pod" else Ref(item["metadata"]["namespace"], kind, item["metadata"]["name"])


# --- setting up


def _set_up(cluster: EmbeddedCluster, facts: ClusterFacts) -> None:
    _nodes(cluster, facts.nodes)
    cluster.create_namespace(OWN_NAMESPACE)
    for space in facts.namespaces:
        cluster.create_namespace(space.name)
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": space.name, "annotations": dict(space.annotations)},
            }
        )
    for log in facts.logs:
        cluster.set_logs(log.image, current=log.text or None, previous=log.previous or None)
    for item in facts.objects:
        put(cluster, item)
    for workload in facts.workloads:
        _workload(cluster, workload)


def _nodes(cluster: EmbeddedCluster, given: int | Sequence[NodeFacts]) -> None:
    nodes = [NodeFacts(name=f"node-{n}", zone="") for n in range(1, given + 1)] if isinstance(given, int) else given
    for item in cluster.list("Node"):
        cluster.delete("Node", None, item["metadata"]["name"])
    for node in nodes:
        cluster.add_node(node.name, labels={ZONE: node.zone} if node.zone else None)


def put(cluster: EmbeddedCluster, manifest: Mapping[str, Json]) -> None:
    """Apply a manifest; its status, which no user could set, is set as its controller would."""
    item = {key: value for key, value in manifest.items() if key != "status"}
    cluster.apply(item)
    if "status" in manifest:
        meta = manifest["metadata"]
        space = None if manifest["kind"] in ("Node", "Namespace") else meta.get("namespace", "default")
        cluster.set_status(manifest["kind"], space, meta["name"], **manifest["status"])


def _workload(cluster: EmbeddedCluster, facts: WorkloadFacts) -> None:
    of = facts.of
    cluster.create_namespace(of.namespace)
    for name in facts.config:
        ensure_config(cluster, of.namespace, name)
    manifest = deployment(
        of.namespace,
        of.name,
        image=facts.image,
        replicas=facts.replicas,
        annotations=facts.annotations,
        labels=facts.labels,
        resources={key: dict(value) for key, value in facts.resources.items()},
        config_map_refs=facts.config,
        spec=facts.spec,
    )
    template = manifest["spec"]["template"]
    template["metadata"]["labels"] |= facts.pod_labels
    template["spec"] = merged(template["spec"], facts.pod)
    if of.kind == "Deployment":
        cluster.apply(manifest)
    else:
        _ordered(cluster, of, manifest)
    if facts.budget is not None:
        cluster.apply(disruption_budget(of.namespace, of.name, app=of.name, min_available=facts.budget))
    if facts.service:
        spec = {"selector": {"app": of.name}, "ports": [{"port": 80, "targetPort": 8080}]}
        meta = {"name": of.name, "namespace": of.namespace}
        cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})


def ensure_config(cluster: EmbeddedCluster, namespace: str, name: str) -> None:
    if not any(one["metadata"]["name"] == name for one in cluster.list("ConfigMap", namespace)):
        cluster.apply(config_map(namespace, name, {"version": "1"}))


def _ordered(cluster: EmbeddedCluster, of: Ref, manifest: Json) -> None:
    """A StatefulSet or DaemonSet with its pods and its one revision, as its controller, which is not here, left them.

    Nothing replaces the pods: a story about them ends with what the service decides.
    """
    replicas, spec = manifest["spec"]["replicas"], dict(manifest["spec"])
    if of.kind == "DaemonSet":
        del spec["replicas"]
    else:
        spec["serviceName"] = of.name
    item = cluster.apply({**manifest, "kind": of.kind, "spec": spec})
    owner = {"apiVersion": "apps/v1", "kind": of.kind, "name": of.name, "uid": item["metadata"]["uid"]}
    owned = {"namespace": of.namespace, "ownerReferences": [{**owner, "controller": True}]}
    template, revision = spec["template"], f"{of.name}-1"
    labels = {**template["metadata"]["labels"], "controller-revision-hash": revision}
    cluster.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {"name": revision, "labels": labels, **owned},
            "revision": 1,
            "data": {"spec": {"template": {**template, "$patch": "replace"}}},
        }
    )
    for number in range(replicas):
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"{of.name}-{number}", "labels": labels, **owned},
                "spec": template["spec"],
            }
        )
    counts = {"replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas}
    told = {"observedGeneration": 1, **counts, "currentRevision": revision, "updateRevision": revision}
    if of.kind == "DaemonSet":
        names = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady")
        told = {"observedGeneration": 1, **dict.fromkeys(names, replicas)}
    cluster.set_status(of.kind, of.namespace, of.name, **told)

