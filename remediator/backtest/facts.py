"""What history tells of one moment: lookups in the series of a `History`. Pure; asked by `cluster.py` and `scene.py`.

A sample stands for the time until the next one. What appears between two samples is taken as there from the earlier
one on, and is not `sure`. A time at which a fact has no series at all, though it has some at others, is one at which
kube-state-metrics told nothing: then nothing is "gone".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.backtest.history import History, Series
from remediator.backtest.known import FACTS
from remediator.errors import PermanentError

A_DAY = timedelta(days=1)


class NotTold(PermanentError):
    """History does not tell this; the text says what, in words that complete "needs ..."."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One series at one moment. `since` and `until` are the first and last sample of the run it lies in, Unix seconds;
    `sure`: there is a sample at or before the moment, and one at or after it."""

    labels: Mapping[str, str]
    value: float
    since: float
    until: float
    sure: bool


class Facts:
    """The facts of one history, indexed by what names their objects."""

    def __init__(self, history: History) -> None:
        self._step = history.fact_step.total_seconds()
        self._by: dict[str, dict[tuple[str, ...], list[Series]]] = {}
        self._spaces: dict[str, dict[str, list[Series]]] = {}
        self._owned: dict[tuple[str, str, str], list[Series]] = {}
        self._sets: dict[tuple[str, str], list[Series]] = {}
        self._edges: dict[tuple[str, str | None], tuple[list[float], list[float]]] = {}
        for name, series in history.facts.items():
            self._index(name, series)

    def _index(self, name: str, series: Sequence[Series]) -> None:
        by: dict[tuple[str, ...], list[Series]] = {}
        spaces: dict[str, list[Series]] = {}
        for one in series:
            labels = one.labels
            by.setdefault(tuple(labels.get(label, "") for label in FACTS[name].key), []).append(one)
            spaces.setdefault(labels.get("namespace", ""), []).append(one)
            if name == "pods":
                owner = (
                    labels.get("namespace", ""),
                    labels.get("created_by_kind", ""),
                    labels.get("created_by_name", ""),
                )
                self._owned.setdefault(owner, []).append(one)
            elif name == "replicasets" and labels.get("owner_kind") == "Deployment":
                self._sets.setdefault((labels.get("namespace", ""), labels.get("owner_name", "")), []).append(one)
        self._by[name], self._spaces[name] = by, spaces

    def is_told(self, name: str) -> bool:
        return name in self._by

    def need(self, name: str, at: datetime) -> None:
        """Raises NotTold unless the fact is told at that time, of whatever object. Not for facts that tell of states:
        where all is well these have no series."""
        if not self.is_told(name):
            raise NotTold(f"{FACTS[name].says} ({FACTS[name].metric})")
        if not self.is_alive(name, at):
            raise NotTold(f"{FACTS[name].says} at that time ({FACTS[name].metric} has no samples then)")

    def is_alive(self, name: str, at: datetime) -> bool:
        """Whether any object has that fact then."""
        return self._count(name, None, at) > 0

    def all(self, name: str, key: tuple[str, ...], at: datetime) -> list[Seen]:
        """Every series of one object that is there then."""
        return [seen for one in self._by.get(name, {}).get(key, ()) if (seen := self._at(one, at)) is not None]

    def one(self, name: str, key: tuple[str, ...], at: datetime) -> Seen | None:
        """The one series of an object; of several (a pod that was made anew under its name) the newest, a sure one
        first."""
        return max(self.all(name, key, at), key=lambda seen: (seen.sure, seen.since), default=None)

    def ever(self, name: str, key: tuple[str, ...]) -> Mapping[str, str] | None:
        """The labels that an object had at any time; None: it never was."""
        series = self._by.get(name, {}).get(key)
        return series[-1].labels if series else None

    def values(self, name: str, key: tuple[str, ...], label: str) -> frozenset[str]:
        """What a label of an object's series said, at any time."""
        return frozenset(one.labels.get(label, "") for one in self._by.get(name, {}).get(key, ()))

    def here(self, name: str, namespace: str, at: datetime) -> Iterator[Seen]:
        """Everything of a fact in one namespace."""
        for one in self._spaces.get(name, {}).get(namespace, ()):
            if (seen := self._at(one, at)) is not None:
                yield seen

    def everything(self, name: str, at: datetime) -> Iterator[Seen]:
        for some in self._by.get(name, {}).values():
            for one in some:
                if (seen := self._at(one, at)) is not None:
                    yield seen

    def pods_of(self, namespace: str, kind: str, name: str, at: datetime) -> list[Seen]:
        """The pods that this object controls, by name."""
        owned = self._owned.get((namespace, kind, name), ())
        found = [seen for one in owned if (seen := self._at(one, at)) is not None]
        return sorted(found, key=lambda seen: seen.labels["pod"])

    def sets_of(self, namespace: str, deployment: str) -> Sequence[Series]:
        """The ReplicaSets of a Deployment, with the runs in which each had replicas."""
        return self._sets.get((namespace, deployment), ())

    def at(self, one: Series, at: datetime) -> Seen | None:
        return self._at(one, at)

    def workloads(self, namespace: str | None, at: datetime) -> int:
        """How many Deployments there were, as the deployment watch counts them; 0: not told."""
        return self._count("deployments", namespace, at)

    def _count(self, name: str, namespace: str | None, at: datetime) -> int:
        """How many series there are then: those that have begun, less those that have ended."""
        if (name, namespace) not in self._edges:
            spaces = self._spaces.get(name, {})
            some = (
                spaces.get(namespace, ())
                if namespace is not None
                else (one for each in spaces.values() for one in each)
            )
            runs = [run for one in some for run in self._present(one)]
            self._edges[name, namespace] = sorted(first for first, _ in runs), sorted(last for _, last in runs)
        begun, ended = self._edges[name, namespace]
        now = at.timestamp()
        return bisect_left(begun, now) - bisect_right(ended, now)

    def _present(self, one: Series) -> list[tuple[float, float]]:
        """When `_at` finds it, each time once."""
        runs: list[tuple[float, float]] = []
        for span in one.spans:
            first, last = span.first - self._step, span.last + self._step
            if runs and first < runs[-1][1]:
                runs[-1] = runs[-1][0], last
            else:
                runs.append((first, last))
        return runs

    def next_sample(self, at: datetime) -> datetime:
        """When facts can next be other than now."""
        return at + timedelta(seconds=self._step - at.timestamp() % self._step)

    @property
    def step_seconds(self) -> float:
        return self._step

    def _at(self, one: Series, at: datetime) -> Seen | None:
        now, step = at.timestamp(), self._step
        for span in one.spans:
            if span.first <= now < span.last + step:
                return Seen(one.labels, span.value, span.first, span.last, sure=now <= span.last)
        for span in one.spans:
            if now < span.first < now + step:
                return Seen(one.labels, span.value, span.first, span.last, sure=False)
        return None
