"""Histories as tests write them: times in minutes from a Monday noon, one fact a line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from remediator.backtest.history import History, Series, Span
from remediator.backtest.known import FACTS

ZERO = datetime(2026, 11, 23, 12, tzinfo=UTC)
STEP, FACT_STEP = timedelta(minutes=1), timedelta(minutes=5)
A_DAY = -24 * 60


def at(minutes: float) -> float:
    """Unix seconds."""
    return ZERO.timestamp() + 60 * minutes


def when(minutes: float) -> datetime:
    return ZERO + timedelta(minutes=minutes)


def series(labels: Mapping[str, str], *spans: tuple[float, float, float]) -> Series:
    """Spans as (first, last, value), the times in minutes."""
    return Series(dict(labels), tuple(Span(at(first), at(last), value) for first, last, value in spans))


def firing(name: str, *spans: tuple[float, float], **labels: str) -> Series:
    return series({"alertname": name, "alertstate": "firing", **labels}, *((*span, 1.0) for span in spans))


def state(name: str, *spans: tuple[float, float, float], **labels: str) -> Series:
    """`ALERTS_FOR_STATE`: (first, last, active since), all in minutes."""
    return series({"alertname": name, **labels}, *((first, last, at(active)) for first, last, active in spans))


def history(
    *alerts: Series,
    states: tuple[Series, ...] = (),
    facts: Mapping[str, list[Series]] | None = None,
    external: Mapping[str, str] | None = None,
    minutes: float = 600,
) -> History:
    """From the zero on, for so many minutes."""
    return History(
        begins=ZERO,
        ends=when(minutes),
        step=STEP,
        fact_step=FACT_STEP,
        alerts=alerts,
        states=states,
        facts=facts or {},
        external=external or {},
    )


class Town:
    """Facts of a cluster in which every Deployment has had one ReplicaSet with two pods for more than a day."""

    def __init__(self, *, until: float = 600) -> None:
        self._until = until
        self.facts: dict[str, list[Series]] = {name: [] for name in FACTS}
        for number in (1, 2, 3, 4):
            self.add("nodes", {"node": f"node-{number}"}, value=1)

    def add(
        self,
        fact: str,
        labels: Mapping[str, str],
        *,
        since: float = 2 * A_DAY,
        until: float | None = None,
        value: float = 1,
    ) -> None:
        span = (since, self._until if until is None else until, value)
        self.facts[fact].append(series(labels, span))

    def deployment(self, namespace: str, name: str, *, pods: int = 2) -> None:
        of = {"namespace": namespace, "deployment": name}
        self.add("deployments", of, value=at(2 * A_DAY))
        self.add("replicas", of, value=pods)
        self.release(namespace, name, "v1", pods=pods)

    def release(
        self,
        namespace: str,
        name: str,
        version: str,
        *,
        since: float = 2 * A_DAY,
        until: float | None = None,
        pods: int = 2,
        image: str | None = None,
    ) -> None:
        """A ReplicaSet with its pods; created a minute before it is first seen."""
        owner = f"{name}-{version}"
        labels = {"namespace": namespace, "replicaset": owner, "owner_kind": "Deployment", "owner_name": name}
        self.add("replicasets", labels, since=since, until=until, value=at(since - 1))
        shown = {"namespace": namespace, "created_by_name": owner, "image": image or f"{name}:{version}"}
        self.add("releases", shown, since=since, until=until)
        for number in range(1, pods + 1):
            pod = {"namespace": namespace, "pod": f"{owner}-{number}", "uid": f"uid-{owner}-{number}"}
            pod |= {"node": f"node-{number}", "created_by_kind": "ReplicaSet", "created_by_name": owner}
            self.add("pods", pod, since=since, until=until)

    def unready(
        self, namespace: str, pod: str, *, since: float, until: float, reason: str = "CrashLoopBackOff"
    ) -> None:
        self.add("unready", {"namespace": namespace, "pod": pod}, since=since, until=until, value=0)
        waiting = {"namespace": namespace, "pod": pod, "container": "app", "reason": reason}
        self.add("waiting", waiting, since=since, until=until)
