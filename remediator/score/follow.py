"""What a look means: what was remembered + the sight -> what is remembered. Pure; called by `observer.py`.

*A person* is anyone but us and the cluster's own controllers: people with kubectl, their pipelines, their GitOps. Who
it was is not asked; that the object is another one than before is what is seen:

- the pod template, by its meaningful hash (a restart or a mark of ours changes nothing in it);
- the restart annotation; the number of replicas, unless an autoscaler wrote it last;
- the other values that the plan would have changed (a bound of an autoscaler, a pod's memory, others' replicas);
- pods of the present template that failed, and are gone while the workload stayed as it was, unless a node or the
  scheduler ended them;
- a ConfigMap that its pods need; and by `metadata.generation` any other part of its spec, unless an autoscaler writes
  there too.

What people mend elsewhere (a database, a node, a Secret) leaves no trace here, and counts as nothing done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from remediator.kube.quantities import quantity
from remediator.model import Json
from remediator.score.sight import Sight, Touched
from remediator.store.scores_base import Touch, Would

MAX_NOTICED = 20
"""Changes that are remembered of one case."""


class Kind(StrEnum):
    """What a change is to the plan. `undone`: what had been done of the plan was taken back."""

    SAME = "same"
    OPPOSITE = "opposite"
    OTHER = "other"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Noticed:
    """A change that somebody made after the look at `after` and before the one at `by`."""

    kind: Kind
    what: str
    after: datetime
    by: datetime


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of a case after a look.

    `ready` and `at_stake` are of the first look, `was_whole` too; the fields that begin with `last` are of the newest.
    `whole_since` is the first look of the present unbroken run in which it was whole. `gaps` are the times in which
    nobody looked for too long.
    """

    first_at: datetime
    ready: int
    at_stake: int
    was_whole: bool | None
    last_at: datetime
    last_generation: int
    last_hash: str
    last_replicas: int | None
    last_restarted_at: str | None
    last_ready: int
    last_whole: bool | None
    last_there: bool
    last_config: datetime | None
    last_memory: str | None
    last_failing: Mapping[str, str]
    last_touched: tuple[Touched, ...]
    whole_since: datetime | None
    noticed: tuple[Noticed, ...] = ()
    gaps: tuple[tuple[datetime, datetime], ...] = field(default_factory=tuple)


def begun(would: Would, sight: Sight, *, decided_at: datetime, max_gap: timedelta) -> Memory:
    """After the first look. What changed since the decision is told by what the plan was made on."""
    known = Memory(
        first_at=sight.at,
        ready=sight.ready,
        at_stake=sight.at_stake,
        was_whole=sight.is_whole,
        last_at=decided_at,
        last_generation=would.generation,
        last_hash=would.from_hash,
        last_replicas=sight.replicas,
        last_restarted_at=would.restarted_at if would.action == "restart" else sight.restarted_at,
        last_ready=sight.ready,
        last_whole=sight.is_whole,
        last_there=True,
        last_config=decided_at,
        last_memory=sight.memory,
        last_failing={},
        last_touched=tuple(Touched(True, touch.before) for touch in would.touches),
        whole_since=None,
    )
    return follow(known, would, sight, max_gap=max_gap)


def follow(known: Memory, would: Would, sight: Sight, *, max_gap: timedelta) -> Memory:
    """After a further look. One that shows a time before the last one (a clock set back) changes nothing."""
    if sight.at < known.last_at:
        return known
    is_gap = sight.at - known.last_at > max_gap
    fresh = [Noticed(kind, what, known.last_at, sight.at) for kind, what in _changes(known, would, sight)]
    goes_on = known.whole_since is not None and not is_gap
    config = [at for at in (known.last_config, sight.config_changed_at) if at is not None]
    return replace(
        known,
        last_at=sight.at,
        last_generation=sight.generation,
        last_hash=sight.template_hash,
        last_replicas=sight.replicas,
        last_restarted_at=sight.restarted_at,
        last_ready=sight.ready,
        last_whole=sight.is_whole,
        last_there=sight.is_there,
        last_config=max(config, default=None),
        last_memory=sight.memory,
        last_failing=sight.failing or {},
        last_touched=sight.touched,
        whole_since=None if sight.is_whole is not True else known.whole_since if goes_on else sight.at,
        noticed=(*known.noticed, *fresh)[:MAX_NOTICED],
        gaps=(*known.gaps, (known.last_at, sight.at))[-MAX_NOTICED:] if is_gap else known.gaps,
    )


def _changes(known: Memory, would: Would, sight: Sight) -> Iterator[tuple[Kind, str]]:
    """What is another thing now, the plainest first."""
    if not known.last_there:
        return
    if not sight.is_there:
        yield Kind.OTHER, f"{would.target} was deleted"
        return
    found = [*_template(known, would, sight), *_values(known, would, sight), *_config(known, sight)]
    # Where an autoscaler writes replicas, the generation grows by itself, also for a number that came and went again.
    if not found and sight.generation != known.last_generation and not sight.is_autoscaled:
        found = [(Kind.OTHER, "another part of its spec was changed")]
    if not found:
        found = list(_pods(known, would, sight))
    yield from found


def _template(known: Memory, would: Would, sight: Sight) -> Iterator[tuple[Kind, str]]:
    if sight.template_hash != known.last_hash:
        if would.action == "rollback" and sight.template_hash == would.to_hash:
            yield Kind.SAME, "the pod template that the plan would have restored was restored"
        elif would.action == "rollback" and known.last_hash == would.to_hash:
            yield Kind.UNDONE, "the restored pod template was left again"
        elif _is_raised(would, known.last_memory, sight.memory):
            yield Kind.SAME, f"the memory limit of {would.container} was raised in the pod template"
        else:
            yield Kind.OTHER, "another pod template was put there"
    elif sight.restarted_at != known.last_restarted_at:
        yield Kind.SAME if would.action == "restart" else Kind.OTHER, "it was restarted"


def _is_raised(would: Would, before: str | None, now: str | None) -> bool:
    if would.action != "resize" or now is None or now == before:
        return False
    return _amount(now) >= _amount(would.touches[0].after)


def _values(known: Memory, would: Would, sight: Sight) -> Iterator[tuple[Kind, str]]:
    """The values that the plan would have changed; and the target's replicas where it would not have."""
    values = [number for number, touch in enumerate(would.touches) if not touch.is_gone]
    changed = [number for number in values if _is_changed(known.last_touched[number], sight.touched[number])]
    for number in changed:
        touch, before, now = would.touches[number], known.last_touched[number].value, sight.touched[number].value
        name = f"{touch.pointer[-1]} of {touch.touched}"
        if _is_by_itself(touch, would, sight):
            continue
        was_done, is_done = (_reaches(touch, value) for value in (before, now))
        if is_done and not was_done:
            is_all = all(_reaches(would.touches[one], sight.touched[one].value) for one in values)
            yield Kind.SAME if is_all else Kind.OTHER, f"{name} went from {before} to {now}"
        elif was_done and not is_done:
            yield Kind.UNDONE, f"{name} went back from {before} to {now}"
        elif _is_opposite(touch, now):
            yield Kind.OPPOSITE, f"{name} went from {before} to {now}, the plan would have made it {touch.after}"
        elif not is_done:
            yield Kind.OTHER, f"{name} went from {before} to {now}, the plan would have made it {touch.after}"
    is_planned = any(touch.touched.uid == would.target.uid for touch in would.touches)
    if not is_planned and sight.replicas != known.last_replicas and not sight.is_autoscaled:
        yield Kind.OTHER, f"it was scaled from {known.last_replicas} to {sight.replicas} replicas"


def _is_changed(before: Touched, now: Touched) -> bool:
    return before.is_there and now.is_there and before.value != now.value


def _is_by_itself(touch: Touch, would: Would, sight: Sight) -> bool:
    return touch.touched.uid == would.target.uid and touch.pointer == ("spec", "replicas") and sight.is_autoscaled


def _reaches(touch: Touch, value: Json) -> bool:
    """Whether the value is what the plan would have made of it, or further in that direction."""
    before, after, now = _amount(touch.before), _amount(touch.after), _amount(value)
    return now >= after if after >= before else now <= after


def _is_opposite(touch: Touch, value: Json) -> bool:
    """Whether it lies on the other side of where it was."""
    before, after, now = _amount(touch.before), _amount(touch.after), _amount(value)
    return now < before if after >= before else now > before


def _amount(value: Json) -> float:
    """A number, or a quantity of Kubernetes; what is neither is 0, as absent replicas are."""
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(quantity(str(value)))
    except ValueError:
        return 0.0


def _config(known: Memory, sight: Sight) -> Iterator[tuple[Kind, str]]:
    before, now = known.last_config, sight.config_changed_at
    if before is not None and now is not None and now > before:
        yield Kind.OTHER, "a ConfigMap that its pods need was changed"


def _pods(known: Memory, would: Would, sight: Sight) -> Iterator[tuple[Kind, str]]:
    """Pods that went while nothing else changed. After another change they may go by themselves."""
    if known.noticed or (sight.replicas or 0) < (known.last_replicas or 0):
        return
    planned = {touch.touched.uid for touch in would.touches}
    for touch, before, now in zip(would.touches, known.last_touched, sight.touched, strict=True):
        is_ended = before.is_ended_by_cluster or now.is_ended_by_cluster
        if touch.touched.kind == "Pod" and before.is_there and not now.is_there and not is_ended:
            yield Kind.SAME if touch.is_gone else Kind.OTHER, f"pod {touch.touched.name} was replaced"
    for uid, name in known.last_failing.items():
        if uid not in sight.pods and uid not in sight.ended_by_cluster and uid not in planned:
            yield Kind.OTHER, f"pod {name} was replaced"
            return
