"""What happens in a story, made to happen: to the cluster, to those that watch it, by people to the service.

Called by `replay.py` when an event's time has come; one function for each field of `events.Event`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from remediator.clock import rfc3339
from remediator.errors import ConfigError
from remediator.kube.base import annotations_of
from remediator.model import Json
from remediator.rules.matcher import parse_matchers
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.events import (
    Annotate,
    ApiEvent,
    Break,
    Deploy,
    Event,
    Fire,
    Flap,
    Keeps,
    NodeEvent,
    ObjectName,
    PauseEvent,
    ScaleEvent,
    Silence,
    StatusEvent,
    Which,
)
from remediator.simulate.facts import Ref
from remediator.simulate.observers import Evaluated, Firing
from remediator.simulate.podstatus import FAILS
from remediator.simulate.stage import ZONE, Keeper, Stage, ensure_config, put
from remediator.store.approvals_base import Approval
from remediator.store.base import KillSwitch
from remediator.store.database import Database
from remediator.store.pauses_base import Pause, PauseOf

BY, COMMENT = "ada", "the story says so"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
LABEL_OF = {"Deployment": "deployment", "StatefulSet": "statefulset", "DaemonSet": "daemonset"}


class CannotHappen(ConfigError):
    """An event speaks of something that is not there."""


@dataclass(frozen=True, slots=True)
class Happening:
    """The world and the service's store, which is where people speak to it."""

    stage: Stage
    database: Database

    @property
    def now(self) -> datetime:
        return self.stage.clock.now()

    @property
    def cluster(self) -> EmbeddedCluster:
        return self.stage.cluster


async def happen(event: Event, to: Happening) -> None:
    """Raises ConfigError when it cannot, Refused when the API server does not take it."""
    [name] = event.model_fields_set - {"at"}
    await _EVENTS[name](to, getattr(event, name))


# --- alerts


async def _fire(to: Happening, event: Fire) -> None:
    to.stage.begin(_firing(to, event))


def _firing(to: Happening, event: Fire) -> Firing:
    labels = {"alertname": event.alert, "severity": event.severity, **_object_labels(to, event), **event.labels}
    rule = to.stage.prometheus.known(event.alert)
    if event.is_lying or rule is None or event.holds is not None:
        holds: Callable[[datetime], bool] = _condition(to.stage, event, labels)
    else:
        holds = Evaluated(rule, to.cluster, labels)
    return Firing(labels, to.now - event.late, holds, event.truncated, event.has_rule)


def _object_labels(to: Happening, event: Fire) -> Mapping[str, str]:
    if event.pod_of is not None:
        pods = to.stage.pods(event.pod_of)
        if not pods:
            raise CannotHappen(f"{event.alert} cannot name a pod of {event.pod_of}: there is none")
        meta, container = pods[0]["metadata"], pods[0]["spec"]["containers"][0]["name"]
        return {"namespace": meta["namespace"], "pod": meta["name"], "container": container, "uid": meta["uid"]}
    if event.of is not None:
        return {"namespace": event.of.namespace, LABEL_OF[event.of.kind]: event.of.name}
    return {}


def _condition(stage: Stage, event: Fire, labels: Mapping[str, str]) -> Callable[[datetime], bool]:
    wanted, of = event.holds, event.of or event.pod_of
    if event.is_lying or wanted is None:
        return lambda now: True

    def holds(now: datetime) -> bool:
        if wanted.node_away is not None and _is_ready(stage.cluster.get("Node", None, wanted.node_away)):
            return False
        if of is None:
            return True
        pods = stage.pods(of)
        ready = sum(_is_ready(pod) for pod in pods)
        images = [pod["spec"]["containers"][0]["image"] for pod in pods]
        if wanted.image is not None and not any(wanted.image in image for image in images):
            return False
        if wanted.unready and ready >= stage.get(of)["spec"].get("replicas", 1):
            return False
        if wanted.pod_lives and labels.get("pod") not in {pod["metadata"]["name"] for pod in pods}:
            return False
        return wanted.ready_below is None or ready < wanted.ready_below

    return holds


def _is_ready(item: Json) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in item["status"].get("conditions") or ())


async def _flap(to: Happening, event: Flap) -> None:
    """The first of its episodes; `replay.py` lets the others follow."""
    to.stage.begin(_firing(to, event))


async def _resolve(to: Happening, event: Which) -> None:
    to.stage.end(found(to.stage, event))


def found(stage: Stage, which: Which) -> Firing:
    """The newest alert of that name that fires now. Raises CannotHappen."""
    for firing in reversed(stage.prometheus.firing):
        if firing.ended_at is None and firing.name == which.alert and _names(firing.labels, which.of):
            return firing
    raise CannotHappen(f"no alert {which.alert} fires")


def _names(labels: Mapping[str, str], of: Ref | None) -> bool:
    if of is None:
        return True
    is_pod = labels.get("pod", "").startswith(f"{of.name}-")
    return labels.get("namespace") == of.namespace and (labels.get(LABEL_OF[of.kind]) == of.name or is_pod)


# --- what people and pipelines do to the cluster


async def _deploy(to: Happening, event: Deploy) -> None:
    pod = dict(event.pod)
    if event.config is not None:
        for name in event.config:
            ensure_config(to.cluster, event.of.namespace, name)
        [container] = to.stage.get(event.of)["spec"]["template"]["spec"]["containers"]
        refs = [{"configMapRef": {"name": name}} for name in event.config]
        pod["containers"] = [{"name": container["name"], "envFrom": refs}]
    to.stage.change(event.of, image=event.image, pod=pod, annotations=event.annotations)


async def _undo(to: Happening, event: Ref) -> None:
    to.stage.undo(event)


async def _restart(to: Happening, event: Ref) -> None:
    to.stage.change(event, annotations={RESTARTED_AT: rfc3339(to.now)})


async def _scale(to: Happening, event: ScaleEvent) -> None:
    to.stage.change(event.of, replicas=event.replicas)


async def _annotate(to: Happening, event: Annotate) -> None:
    item = to.stage.get(event.of)
    item["metadata"]["annotations"] = {**annotations_of(item), **event.annotations}
    to.cluster.apply(item)


async def _apply(to: Happening, event: Mapping[str, Any]) -> None:
    put(to.cluster, event)


async def _delete(to: Happening, event: ObjectName) -> None:
    to.cluster.delete(event.kind, event.namespace, event.name)


async def _status(to: Happening, event: StatusEvent) -> None:
    to.cluster.set_status(event.kind, event.namespace, event.name, **event.status)


async def _keeps(to: Happening, event: Keeps) -> None:
    to.stage.keepers.append(Keeper(event.of, event.image, event.replicas, event.within))


# --- bad luck


async def _break(to: Happening, event: Break) -> None:
    pods = [pod for pod in to.stage.pods(event.of) if event.how == "none" or annotations_of(pod).get(FAILS) is None]
    if len(pods) < event.pods:
        raise CannotHappen(f"{event.of} has {len(pods)} pods that can break, not {event.pods}")
    for pod in pods[: event.pods]:
        pod["metadata"]["annotations"] = {**annotations_of(pod), FAILS: event.how}
        to.cluster.apply(pod)


async def _node(to: Happening, event: NodeEvent) -> None:
    nodes = to.cluster.list("Node")
    meant = [
        node
        for node in nodes
        if node["metadata"]["name"] == event.name
        or (event.zone is not None and node["metadata"]["labels"].get(ZONE) == event.zone)
    ]
    if not meant:
        raise CannotHappen(f"there is no node {event.name or f'in zone {event.zone}'}")
    for node in meant:
        name = node["metadata"]["name"]
        if event.how is not None:
            to.cluster.apply({**node, "metadata": {**node["metadata"], "annotations": {FAILS: event.how}}})
        if event.ready is not None:
            to.cluster.set_node_ready(name, ready=event.ready)


async def _api(to: Happening, event: ApiEvent) -> None:
    match event.answers:
        case "ok":
            to.cluster.heal()
        case "lost":
            to.cluster.lose_replies(event.verb, event.resource)
        case 403:
            to.cluster.deny(event.verb, event.resource)
        case code:
            to.cluster.fail(event.verb, event.resource, code)


async def _prometheus(to: Happening, event: str) -> None:
    to.stage.prometheus.set_trouble(event)


async def _alertmanager(to: Happening, event: str) -> None:
    to.stage.alertmanager.trouble = event


# --- what people say to the service


async def _silence(to: Happening, event: Silence) -> None:
    matchers = tuple(matcher for text in event.matchers for matcher in parse_matchers(text))
    to.stage.alertmanager.silences.append((matchers, to.now + event.lasts))


async def _kill_switch(to: Happening, event: str) -> None:
    switch = KillSwitch(engaged=event == "engaged", by=BY, comment=COMMENT, at=to.now, until=None)
    await to.database.set_kill_switch(switch)


async def _pause(to: Happening, event: PauseEvent) -> None:
    what, subject = _subject(event)
    await to.database.set_pause(Pause(what, subject, BY, COMMENT, to.now, None))


async def _resume(to: Happening, event: PauseEvent) -> None:
    what, subject = _subject(event)
    await to.database.lift_pause(what, subject, by=BY, comment=COMMENT, at=to.now)


def _subject(event: PauseEvent) -> tuple[PauseOf, str]:
    given = {PauseOf.RULE: event.rule, PauseOf.NAMESPACE: event.namespace, PauseOf.TARGET: event.target}
    named = [(what, str(subject)) for what, subject in given.items() if subject is not None]
    if len(named) != 1:
        raise CannotHappen("a pause is of exactly one rule, namespace or target")
    return named[0]


async def _approve(to: Happening, event: Which) -> None:
    await _answer(to, event, is_granted=True)


async def _deny(to: Happening, event: Which) -> None:
    await _answer(to, event, is_granted=False)


async def _answer(to: Happening, event: Which, *, is_granted: bool) -> None:
    waiting = [
        one
        for one in await to.database.awaiting()
        if one.request["alertname"] == event.alert and event.of in (None, _ref_of(one.target))
    ]
    if not waiting:
        raise CannotHappen(f"nothing waits for an approval of {event.alert}")
    plan_hash = str(waiting[0].request["plan_hash"])
    await to.database.answer(Approval(waiting[0].remediation, plan_hash, is_granted, BY, COMMENT, to.now))


def _ref_of(target: str) -> Ref:
    namespace, kind, name = target.split("/")
    return Ref(namespace, next(one for one in LABEL_OF if one.lower() == kind), name)


_EVENTS: Mapping[str, Callable[[Happening, Any], Awaitable[None]]] = {
    "fire": _fire,
    "resolve": _resolve,
    "flap": _flap,
    "deploy": _deploy,
    "undo": _undo,
    "restart": _restart,
    "breaks": _break,
    "node": _node,
    "scale": _scale,
    "annotate": _annotate,
    "apply": _apply,
    "delete": _delete,
    "status": _status,
    "keeps": _keeps,
    "api": _api,
    "prometheus": _prometheus,
    "alertmanager": _alertmanager,
    "silence": _silence,
    "kill_switch": _kill_switch,
    "pause": _pause,
    "resume": _resume,
    "approve": _approve,
    "deny": _deny,
}


def occurrences(events: tuple[Event, ...]) -> list[tuple[timedelta, Event]]:
    """Every event at its time, oldest first, what follows of itself included: the episodes of an alert that flaps."""
    found: list[tuple[timedelta, Event]] = []
    for event in events:
        found.append((event.at, event))
        if event.flap is not None:
            flap, half = event.flap, event.flap.every / 2
            which = Which(alert=flap.alert, of=flap.of or flap.pod_of)
            for number in range(flap.times):
                begins = event.at + number * flap.every
                if number:
                    found.append((begins, Event.model_validate({"flap": flap})))
                if number + 1 < flap.times:
                    found.append((begins + half, Event.model_validate({"resolve": which})))
    return sorted(found, key=lambda pair: pair[0])
