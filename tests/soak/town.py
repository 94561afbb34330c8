"""Workloads that break and are mended: by the service, by themselves, or after a while by people.

Three kinds of trouble, one for each kind of action: a release that crashes (rollback), a Deployment that is stuck until
its pods are new (restart), a pod that is not ready (evict). The embedded Prometheus sees them as they are.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.clock import Clock, parse_rfc3339, rfc3339
from remediator.kube.base import annotations_of
from remediator.model import Json
from remediator.prometheus.base import Sample
from remediator.simulate.alertrules import CRASH_LOOPING, CrashLooping, Observed, Rule
from remediator.simulate.answers import Refused
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.podstatus import FAILS
from remediator.simulate.workloads import deployment

Place = tuple[str, str]
PLACES: Sequence[Place] = tuple((f"team{space}", f"app{space}{name}") for space in range(6) for name in "xy")
STUCK, SICK = "town_stuck > 0", "town_pod_sick > 0"
PATIENCE = timedelta(minutes=25)
"""After it people mend what still is broken."""

_GUARDS = """{storm: {targets: 500, share: 100}, attempts: {most: 5}, cluster-health: {faults: 50},
      shared-cause: {share: 90, targets: 20},
      budgets: {action: [30 per 1h], namespace: [10 per 1h], cluster: [60 per 1h]}}"""
RULES = """
severities:
  1: {wait: 0s}
  2: {wait: 0s}
rules:
  - name: crash
    match: ['alertname="KubePodCrashLooping"']
    severity: 1
    target: {from: alert}
    diagnose: [containers, logs, events, rollout, node]
    respond:
      - {when: {kind: Deployment, cause: [code-error, image-error, cannot-start], deployed_within: 2h}, do: rollback}
      - {do: escalate}
    verify: {expect: [rollout-complete, pods-ready, alert-clear], within: 10m, stable_for: 1m, otherwise: revert}
    limits: [12 per 10m, 60 per 1h]
    guards: GUARDS
    mode: active
  - name: stuck
    match: ['alertname="TownStuck"']
    severity: 2
    target: {from: alert}
    diagnose: [containers, rollout]
    respond: [{do: restart}]
    verify: {expect: [rollout-complete, pods-ready, alert-clear], within: 10m, stable_for: 1m, otherwise: escalate}
    limits: [12 per 10m, 60 per 1h]
    guards: GUARDS
    mode: active
  - name: sick
    match: ['alertname="TownPodSick"']
    severity: 2
    target: {from: alert}
    diagnose: [containers, rollout, node]
    respond: [{do: evict, with: {which: alert}}]
    verify: {expect: [rollout-complete, pods-ready, alert-clear], within: 10m, stable_for: 1m, otherwise: escalate}
    limits: [12 per 10m, 60 per 1h]
    guards: GUARDS
    mode: active
""".replace("GUARDS", _GUARDS)
BROKEN_RULES = "rules: [{name: x, match: ['alertname=\"'}]"


@dataclass
class Trouble:
    kind: str
    since: datetime


class Town:
    """Owns what is broken. `live` runs until cancelled."""

    def __init__(self, cluster: EmbeddedCluster, clock: Clock, *, chance: random.Random, pause_seconds: float) -> None:
        """`pause_seconds`: real time between two troubles, on average."""
        self._cluster = cluster
        self._clock = clock
        self._chance = chance
        self._pause = pause_seconds
        self._release = 0
        self._broken: dict[Place, Trouble] = {}
        self.troubles: dict[str, int] = {}
        self.mended_by_people = 0

    def rules(self) -> Sequence[Rule]:
        labels = {"severity": "critical"}
        return [
            Rule("KubePodCrashLooping", CRASH_LOOPING, CrashLooping(timedelta(seconds=30)), labels=labels),
            Rule("TownStuck", STUCK, self._stuck, labels=labels),
            Rule("TownPodSick", SICK, _sick, timedelta(minutes=1), labels=labels),
        ]

    async def build(self) -> None:
        for namespace, name in PLACES:
            self._cluster.apply(deployment(namespace, name, image=f"town/{name}:0", replicas=3))
        await self._clock.sleep(60)

    async def live(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(0.5, 1.5) * self._pause)
            self.look()
            well = [place for place in PLACES if place not in self._broken]
            if well:
                self.break_one(self._chance.choice(well), self._chance.choice(("crash", "crash", "stuck", "sick")))

    def break_one(self, place: Place, kind: str) -> None:
        namespace, name = place
        match kind:
            case "crash":
                self._release += 1
                self._cluster.patch_image(namespace, name, f"town/{name}:{self._release}-crash")
            case "sick":
                ready = [pod for pod in self._pods(place) if not pod["metadata"].get("deletionTimestamp")]
                if not ready:
                    return
                pod = self._chance.choice(ready)
                pod["metadata"]["annotations"] = {**annotations_of(pod), FAILS: "neverready"}
                self._cluster.apply(pod)
        self._broken[place] = Trouble(kind, self._clock.now())
        self.troubles[kind] = self.troubles.get(kind, 0) + 1

    def look(self, *, patience: timedelta = PATIENCE) -> int:
        """Forget what is well again; mend what people have waited for long enough. How many still are broken."""
        for place, trouble in list(self._broken.items()):
            if not self._is_broken(place, trouble):
                del self._broken[place]
            elif self._clock.now() - trouble.since > patience:
                self._mend(place, trouble)
                self.mended_by_people += 1
        return len(self._broken)

    def _is_broken(self, place: Place, trouble: Trouble) -> bool:
        match trouble.kind:
            case "crash":
                return "crash" in str(self._cluster.get("Deployment", *place)["spec"])
            case "stuck":
                return not all(_made_after(pod, trouble.since) for pod in self._pods(place))
            case _:
                return any(annotations_of(pod).get(FAILS) for pod in self._pods(place))

    def _mend(self, place: Place, trouble: Trouble) -> None:
        namespace, name = place
        self._release += 1
        try:
            match trouble.kind:
                case "crash" | "stuck":
                    self._cluster.patch_image(namespace, name, f"town/{name}:{self._release}")
                case _:
                    for pod in self._pods(place):
                        if annotations_of(pod).get(FAILS):
                            self._cluster.delete("Pod", namespace, pod["metadata"]["name"])
        except Refused:  # it changed under our hands; there is a next look
            return

    def _pods(self, place: Place) -> list[Json]:
        namespace, name = place
        return [pod for pod in self._cluster.list("Pod", namespace) if pod["metadata"]["labels"].get("app") == name]

    def _stuck(self, observed: Observed, now: datetime) -> Sequence[Sample]:
        return [
            Sample({"namespace": namespace, "deployment": name}, 1.0)
            for (namespace, name), trouble in sorted(self._broken.items())
            if trouble.kind == "stuck" and self._is_broken((namespace, name), trouble)
        ]


def _sick(observed: Observed, now: datetime) -> Sequence[Sample]:
    return [
        Sample({"namespace": meta["namespace"], "pod": meta["name"], "uid": meta["uid"]}, 1.0)
        for pod in observed.every("Pod")
        if (meta := pod["metadata"]).get("annotations") and annotations_of(pod).get(FAILS)
    ]


def _made_after(pod: Json, since: datetime) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return True
    return parse_rfc3339(pod["metadata"]["creationTimestamp"]) >= parse_rfc3339(rfc3339(since.replace(microsecond=0)))
