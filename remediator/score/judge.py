"""Whether a recommendation would have been right: case + what was seen + what the store knows -> `Judgement`. Pure.

The words, and what each asks for. All of it lies in a *window* after the decision (setting `score_window_seconds`).

*Recovered*: Alertmanager said that the alert ended and it does not fire again, and the workload is whole (complete by
kubectl's rule, all its pods ready), for as long as the rule's `stable_for`. It recovered when the alert ended, or
earlier, when a look first saw it whole again. A workload that is not whole has not recovered, whatever its alert
says.

*What happened* (`Happened`); what people did only after the recovery does not count, what they did between the same two
looks does:

- `recovered-alone`: it recovered, and nobody had changed anything (`follow.py` says what is seen, and what is not);
- `person-did-the-same`: somebody brought about what the plan would have, at some time, whatever else was tried;
- `person-did-something-else`: somebody changed something, and never that;
- `got-worse`: nobody did anything, and at the end of the window fewer pods are ready than at the first look, or a
  further alert of the target fires;
- `unknown`: none of these is proven: it could not be read, nobody looked for a while (a gap) and it recovered just
  then, we acted on the target ourselves for another reason, or the window ran out with nothing better or worse.

*Right* is a claim about what was not done, so it is made only where somebody else's deed bears it out:

- a person did the same and it recovered: right. They did the same and it did not recover, or not before they took it
  back: wrong.
- a person did something else and it recovered: wrong, another thing was what it took. It did not: it does not tell.
- it recovered alone within the time that the rule gives its action to help (`verify.within`): wrong, it was not
  needed. Later than that the action might have helped sooner: it does not tell.
- it got worse, or unknown: it does not tell. That something had to be done does not say that this was it.

*Would have been harmful* is claimed where it would have made things worse than leaving them:

- it recovered alone in that time, and the action would have replaced pods that were ready at the first look (a
  rollback those of the present template, a restart all), or a pod that became ready by itself (an eviction), or would
  have taken replicas from another workload (`shed`);
- a person did the opposite (fewer replicas where the plan wanted more) and it recovered;
- a person did the same, and it got worse: the template that was restored was itself bad, and the like.

*Time saved* is told only where a person did the same and it recovered: from our decision to the last look before their
change, so that it is never more than the truth. The rollout after it takes as long for either.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from remediator.clock import rfc3339
from remediator.model import Json
from remediator.score.follow import Kind, Memory, Noticed
from remediator.store.scores_base import Case, Circumstances, Happened, Judgement
from remediator.units import format_duration


def judge(
    case: Case, seen: Memory | None, around: Circumstances, *, now: datetime, window: timedelta, max_gap: timedelta
) -> Judgement | None:
    """None: go on looking. `seen` None: no look could read anything yet. A pause longer than `max_gap` is a gap."""
    ends = case.decided_at + window
    if around.acted_at is not None:
        return _unknown(f"remediator itself acted on the target at {rfc3339(around.acted_at)}", seen)
    recovered_at = _recovered_at(case, seen, around)
    if recovered_at is not None and recovered_at <= ends:
        if _is_stable(case, seen, around, now):
            return _recovered(case, seen, recovered_at)
        ends += case.would.stable_for
    if now < ends:
        return None
    if seen is None:
        return _unknown("its target could not be read once", None)
    if now - ends > max_gap or now - seen.last_at > max_gap:
        return _unknown("nobody could look at it when its time was over", seen)
    return _not_recovered(seen, around, window)


def _recovered_at(case: Case, seen: Memory | None, around: Circumstances) -> datetime | None:
    """When it became well again, as far as is known now; None: it is not well."""
    if seen is None or around.ended_at is None or seen.last_whole is False:
        return None
    was_broken = seen.was_whole is False and seen.whole_since is not None
    return min(around.ended_at, seen.whole_since) if was_broken and seen.whole_since else around.ended_at


def _is_stable(case: Case, seen: Memory | None, around: Circumstances, now: datetime) -> bool:
    """Whether both have held for long enough, by looks that were made, not by the time that passed."""
    assert seen is not None
    assert around.ended_at is not None
    since = max(at for at in (around.ended_at, seen.whole_since, case.decided_at) if at is not None)
    return min(seen.last_at, now) - since >= case.would.stable_for


def _recovered(case: Case, seen: Memory | None, recovered_at: datetime) -> Judgement:
    assert seen is not None
    done = [one for one in seen.noticed if one.after <= recovered_at]
    took = max(recovered_at - case.decided_at, timedelta())
    well = f"it recovered {_length(took)} after the decision"
    if not done:
        return _alone(case, seen, recovered_at, took, well)
    same, opposite = _first(done, Kind.SAME), _first(done, Kind.OPPOSITE)
    undone = _first(done, Kind.UNDONE)
    if same is not None and undone is not None:
        detail = f"{_by(same)}, and took it back by {rfc3339(undone.by)}; {well}"
        return _judgement(Happened.SAME, False, False, detail, seen)
    if same is not None:
        saved = max(same.after - case.decided_at, timedelta())
        return _judgement(Happened.SAME, True, False, f"{_by(same)}; {well}", seen, saved=saved)
    detail = f"{_by(opposite or done[0])}; {well}"
    return _judgement(Happened.OTHER, False, opposite is not None, detail, seen)


def _alone(case: Case, seen: Memory, recovered_at: datetime, took: timedelta, well: str) -> Judgement:
    if any(after < recovered_at <= by for after, by in seen.gaps):
        return _unknown(f"{well}, in a time in which nobody looked", seen)
    within = case.would.helps_within
    if took > within:
        detail = f"{well}, alone; the action might have helped sooner than that ({_length(within)} are its time)"
        return _judgement(Happened.ALONE, None, False, detail, seen)
    harm = _harm(case, seen)
    detail = f"{well}, alone: the action was not needed" + (f", and {harm}" if harm else "")
    return _judgement(Happened.ALONE, False, harm is not None, detail, seen)


def _harm(case: Case, seen: Memory) -> str | None:
    """What the action would have cost for nothing, in words; None: nothing that is known."""
    would = case.would
    if would.action in ("rollback", "restart") and seen.at_stake:
        return f"would have replaced {seen.at_stake} ready pods"
    if would.action == "evict" and any(one.is_there and one.is_ready for one in seen.last_touched):
        return "would have replaced a pod that became ready by itself"
    if would.action == "shed":
        return "would have taken replicas from another workload"
    return None


def _not_recovered(seen: Memory, around: Circumstances, window: timedelta) -> Judgement:
    worse = _worse(seen, around)
    end = f"it had not recovered after {_length(window)}"
    same = _first(seen.noticed, Kind.SAME)
    if same is not None:
        undone = _first(seen.noticed, Kind.UNDONE)
        again = f", and took it back by {rfc3339(undone.by)}" if undone is not None else ""
        detail = f"{_by(same)}{again}; {end}" + (f" and got worse: {worse}" if worse else "")
        return _judgement(Happened.SAME, False, worse is not None, detail, seen)
    if seen.noticed:
        return _judgement(Happened.OTHER, None, False, f"{_by(seen.noticed[0])}; {end}", seen)
    if worse is not None:
        return _judgement(Happened.WORSE, None, False, f"nobody did anything; {end} and got worse: {worse}", seen)
    return _unknown(f"nobody did anything; {end}, and is no worse", seen)


def _worse(seen: Memory, around: Circumstances) -> str | None:
    """In what it is worse than at the first look, in words."""
    if seen.last_ready < seen.ready:
        return f"{seen.last_ready} pods are ready, {seen.ready} were"
    if around.new_alerts:
        return f"{', '.join(around.new_alerts)} fires since"
    return None


def _first(noticed: tuple[Noticed, ...] | list[Noticed], kind: Kind) -> Noticed | None:
    return next((one for one in noticed if one.kind is kind), None)


def _by(one: Noticed) -> str:
    return f"a person acted by {rfc3339(one.by)}: {one.what}"


def _unknown(why: str, seen: Memory | None) -> Judgement:
    return _judgement(Happened.UNKNOWN, None, False, why, seen)


def _judgement(
    happened: Happened,
    is_right: bool | None,
    is_harmful: bool,
    detail: str,
    seen: Memory | None,
    *,
    saved: timedelta | None = None,
) -> Judgement:
    return Judgement(happened, is_right, is_harmful, detail, saved, _evidence(seen))


def _evidence(seen: Memory | None) -> dict[str, Json] | None:
    """What was seen, for the record."""
    if seen is None:
        return None
    return {
        "first_look": rfc3339(seen.first_at),
        "last_look": rfc3339(seen.last_at),
        "ready": [seen.ready, seen.last_ready],
        "whole": [seen.was_whole, seen.last_whole],
        "noticed": [
            {"kind": one.kind.value, "what": one.what, "after": rfc3339(one.after), "by": rfc3339(one.by)}
            for one in seen.noticed
        ],
        "gaps": [[rfc3339(after), rfc3339(by)] for after, by in seen.gaps],
    }


def _length(value: timedelta) -> str:
    return format_duration(timedelta(seconds=int(value.total_seconds())))
