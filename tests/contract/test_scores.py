"""What every store must do for the scorecard: each sentence of `ScoreStore`, and when a case begins and ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from remediator.model import Mode, Remediation, RemediationId, State
from remediator.reasons import Reason
from remediator.store.base import Change, Record
from remediator.store.database import Database
from remediator.store.scores_base import Case, Happened, Judgement, NotScored, Word, would_of
from tests.unit.store.examples import NOTE, NOW, brought_to, firing, plan, queued, resolved, target

LATER = NOW + timedelta(minutes=10)
RIGHT = Judgement(Happened.SAME, True, False, "a person did it", timedelta(minutes=9), {"ready": [2, 2]})


async def planned(store: Database, number: int = 1, *, name: str = "api", at: datetime = NOW) -> Remediation:
    [remediation] = await queued(store, firing(number), at=at)
    on = target(name, uid=f"uid-{name}")
    diagnosing = await brought_to(store, remediation, State.DIAGNOSING, on=on, at=at)
    change = Change(plan=plan(on), rule="crash-loop")
    return await store.advance(diagnosing, to=State.PLANNED, record=NOTE, at=at, change=change)


async def recommended(
    store: Database,
    number: int = 1,
    *,
    name: str = "api",
    to: State = State.RECOMMENDED,
    at: datetime = NOW,
    scored: str = "sense",
) -> Remediation:
    one = await planned(store, number, name=name, at=at)
    change = Change(mode=Mode.SILENT, reason=Reason.MODE_SILENT, scored=scored, due_at=at + timedelta(minutes=15))
    return await store.advance(one, to=to, record=NOTE, at=at, change=change)


async def case_of(store: Database) -> Case:
    [found] = await store.scores.open_cases(at=LATER, limit=10)
    return found


async def kinds(store: Database) -> list[str]:
    return [one.kind for one in await store.records(after=0, limit=1000) if one.kind.startswith("score.")]


# -- a case begins and ends


async def test_a_case_begins_with_what_recommends(store: Database) -> None:
    one = await recommended(store)
    found = await case_of(store)
    assert (found.remediation, found.incident, found.rule, found.alert) == (
        one.id,
        one.incident_id,
        "crash-loop",
        "KubePodCrashLooping",
    )
    assert (found.decided_at, found.looked_at, found.seen) == (NOW, None, None)
    assert found.would == would_of(plan(target("api", uid="uid-api")))


async def test_none_begins_where_it_is_not_asked_for(store: Database) -> None:
    await recommended(store, scored="")
    assert await store.scores.open_cases(at=LATER, limit=10) == []
    assert await store.scores.scored() == []


async def test_what_is_recommended_again_meanwhile_is_the_same_decision(store: Database) -> None:
    """The alerts of one incident must not count as so many proofs."""
    await recommended(store, 1)
    await recommended(store, 2)
    await recommended(store, 3, scored="another text of the rule")
    await recommended(store, 4, name="web")
    assert [one.remediation for one in await store.scores.open_cases(at=LATER, limit=9)] == [1, 3, 4]
    for case in await store.scores.open_cases(at=LATER, limit=9):
        await store.scores.judged(case, RIGHT, at=LATER)
    await recommended(store, 5)
    assert [one.remediation for one in await store.scores.open_cases(at=LATER, limit=9)] == [5]


async def test_without_a_plan_there_is_nothing_to_score(store: Database) -> None:
    [remediation] = await queued(store, firing())
    diagnosing = await brought_to(store, remediation, State.DIAGNOSING, on=target())
    with pytest.raises(ValueError, match="without a plan"):
        await store.advance(diagnosing, to=State.RECOMMENDED, record=NOTE, at=NOW, change=Change(scored="s"))


async def test_the_longest_due_come_first_and_no_more_than_asked_for(store: Database) -> None:
    for number, name in enumerate(("a", "b", "c"), start=1):
        await recommended(store, number, name=name, at=NOW + timedelta(seconds=number))
    await store.scores.keep_look(RemediationId(1), seen={}, after=None, at=NOW, due_at=NOW + timedelta(seconds=9))
    assert [one.remediation for one in await store.scores.open_cases(at=LATER, limit=2)] == [2, 3]
    assert [one.remediation for one in await store.scores.open_cases(at=NOW + timedelta(seconds=2), limit=9)] == [2]


async def test_what_a_look_saw_is_remembered(store: Database) -> None:
    await recommended(store)
    seen = {"ready": 2, "noticed": [{"kind": "same"}]}
    await store.scores.keep_look(RemediationId(1), seen=seen, after=None, at=NOW, due_at=LATER)
    found = await case_of(store)
    assert (found.seen, found.looked_at) == (seen, NOW)


# -- circumstances


async def test_an_alert_that_fires_has_not_ended(store: Database) -> None:
    await recommended(store)
    found = await store.scores.circumstances(await case_of(store))
    assert (found.ended_at, found.acted_at, found.new_alerts) == (None, None, ())


async def test_an_alert_ended_when_alertmanager_said(store: Database) -> None:
    await recommended(store)
    ended = replace(resolved(), ends_at=NOW + timedelta(minutes=3))
    await store.accept([ended], at=NOW + timedelta(minutes=5))
    found = await store.scores.circumstances(await case_of(store))
    assert found.ended_at == NOW + timedelta(minutes=3)


async def test_an_alert_that_fires_again_has_not_ended(store: Database) -> None:
    await recommended(store)
    await store.accept([resolved()], at=NOW + timedelta(minutes=5))
    await store.accept([firing(starts_at=NOW + timedelta(minutes=6))], at=NOW + timedelta(minutes=6))
    assert (await store.scores.circumstances(await case_of(store))).ended_at is None


async def test_another_action_on_the_target_is_told(store: Database) -> None:
    await recommended(store)
    [other] = await queued(store, firing(2), at=NOW)
    acted = NOW + timedelta(minutes=1)
    await brought_to(store, other, State.ACTING, on=target("api", uid="uid-api"), at=acted)
    assert (await store.scores.circumstances(await case_of(store))).acted_at == acted


async def test_a_further_alert_of_the_target_is_told(store: Database) -> None:
    await recommended(store)
    since = NOW + timedelta(minutes=1)
    fresh = replace(firing(2, starts_at=since), labels={"alertname": "KubePodNotReady", "namespace": "shop"})
    [other] = await queued(store, fresh, at=since)
    await brought_to(store, other, State.DIAGNOSING, on=target("api", uid="uid-api"), at=since)
    assert (await store.scores.circumstances(await case_of(store))).new_alerts == ("KubePodNotReady",)


# -- judged


async def test_a_judgement_closes_the_case_with_its_record(store: Database) -> None:
    await recommended(store)
    case = await case_of(store)
    assert await store.scores.judged(case, RIGHT, at=LATER)
    assert await store.scores.open_cases(at=LATER, limit=10) == []
    [found] = await store.scores.scored()
    assert found.judgement == replace(RIGHT, evidence=None), "the evidence stands in the record"
    assert (found.judged_at, found.word, found.sense) == (LATER, None, "sense")
    [record] = [one for one in await store.records(after=0, limit=1000) if one.kind == "score.judged"]
    assert (record.remediation_id, record.incident_id) == (1, 1)
    assert (record.body["judged"], record.body["saved_seconds"], record.body["evidence"]) == (
        "right",
        540,
        {"ready": [2, 2]},
    )


async def test_who_is_second_writes_nothing(store: Database) -> None:
    await recommended(store)
    case = await case_of(store)
    await store.scores.judged(case, RIGHT, at=LATER)
    assert not await store.scores.judged(case, replace(RIGHT, is_right=False), at=LATER)
    await store.scores.keep_look(case.remediation, seen={}, after=None, at=LATER, due_at=LATER)
    assert await store.scores.open_cases(at=LATER, limit=10) == []
    assert await kinds(store) == ["score.judged"]
    [found] = await store.scores.scored()
    assert found.is_right is True


# -- approve


async def test_what_a_person_approved_is_judged_by_its_outcome(store: Database) -> None:
    asked = await recommended(store, to=State.AWAITING_APPROVAL)
    acting = await acted(store, asked)
    assert await store.scores.open_cases(at=LATER, limit=10) == []
    verifying = await store.advance(acting, to=State.VERIFYING, record=NOTE, at=NOW)
    await store.advance(verifying, to=State.VERIFIED, record=NOTE, at=LATER)
    [found] = await store.scores.scored()
    assert found.judgement is not None
    assert (found.judgement.happened, found.is_right, found.judged_at) == (Happened.APPROVED, True, LATER)


async def test_what_was_approved_and_provably_not_done_is_looked_at_again(store: Database) -> None:
    asked = await recommended(store, to=State.AWAITING_APPROVAL)
    acting = await acted(store, asked)
    await store.advance(acting, to=State.HELD, record=NOTE, at=NOW)
    assert (await case_of(store)).remediation == asked.id


async def test_a_plan_that_is_asked_for_anew_is_the_case(store: Database) -> None:
    asked = await recommended(store, to=State.AWAITING_APPROVAL)
    again = (await store.claim(owner="w", at=LATER + timedelta(minutes=9), lease=timedelta(minutes=1), limit=1))[0]
    assert again.id == asked.id
    diagnosing = await store.advance(again, to=State.DIAGNOSING, record=NOTE, at=LATER)
    other = replace(plan(target("api", uid="uid-api")), template_hash="another")
    fresh = await store.advance(diagnosing, to=State.PLANNED, record=NOTE, at=LATER, change=Change(plan=other))
    await store.advance(
        fresh, to=State.AWAITING_APPROVAL, record=NOTE, at=LATER, change=Change(scored="sense", due_at=LATER)
    )
    found = await case_of(store)
    assert (found.would.to_hash, found.decided_at) == ("another", LATER)


async def acted(store: Database, asked: Remediation) -> Remediation:
    [claimed] = await store.claim(owner="w", at=NOW + timedelta(minutes=16), lease=timedelta(minutes=1), limit=1)
    assert claimed.id == asked.id
    diagnosing = await store.advance(claimed, to=State.DIAGNOSING, record=NOTE, at=NOW)
    again = await store.advance(diagnosing, to=State.PLANNED, record=NOTE, at=NOW)
    return await store.advance(again, to=State.ACTING, record=NOTE, at=NOW)


# -- what people say


def word(is_right: bool = True, *, harmful: bool = False, number: int = 1, at: datetime = LATER) -> Word:
    return Word(RemediationId(number), is_right, harmful, "ada", f"looked at it, {is_right}", at)


async def test_a_word_beats_the_judgement_and_is_a_record(store: Database) -> None:
    await recommended(store)
    await store.scores.judged(await case_of(store), RIGHT, at=LATER)
    after = await store.scores.say(word(False, harmful=True))
    assert (after.is_right, after.is_harmful, after.word) == (False, True, word(False, harmful=True))
    assert after.judgement is not None, "what happened stays"
    [record] = [one for one in await store.records(after=0, limit=1000) if one.kind == "score.said"]
    told = {name: record.body[name] for name in ("judged", "judged_before", "by", "comment", "rule", "target")}
    assert told == {
        "judged": "wrong",
        "judged_before": "right",
        "by": "ada",
        "comment": "looked at it, False",
        "rule": "crash-loop",
        "target": "shop/deployment/api",
    }


async def test_a_later_word_takes_its_place_and_both_are_kept(store: Database) -> None:
    await recommended(store)
    await store.scores.say(word(False, harmful=True))
    after = await store.scores.say(word(True, at=LATER + timedelta(minutes=1)))
    assert (after.is_right, after.is_harmful) == (True, False)
    assert await kinds(store) == ["score.said", "score.said"]


async def test_a_word_may_come_before_the_judgement_which_goes_on(store: Database) -> None:
    await recommended(store)
    await store.scores.say(word(False))
    assert await store.scores.judged(await case_of(store), RIGHT, at=LATER)
    [found] = await store.scores.scored()
    assert (found.is_right, found.judgement is not None) == (False, True)


async def test_nothing_can_be_said_to_what_was_not_recommended(store: Database) -> None:
    await recommended(store, scored="")
    with pytest.raises(NotScored, match="R-1 has no recommendation"):
        await store.scores.say(word())
    assert await store.scores.score_of(RemediationId(1)) is None
    assert await kinds(store) == []


async def test_what_people_write_is_kept_without_its_secrets(store: Database) -> None:
    await recommended(store)
    await store.scores.say(replace(word(), comment="password=hunter2hunter2"))
    [record] = [one for one in await store.records(after=0, limit=1000) if one.kind == "score.said"]
    assert "hunter2" not in str(record.body)


# -- reading


async def test_scores_are_read_by_rule_and_time_newest_first(store: Database) -> None:
    await recommended(store, 1, name="a")
    await recommended(store, 2, name="b", at=LATER)
    found = await store.scores.scored()
    assert [one.remediation for one in found] == [2, 1]
    assert [one.remediation for one in await store.scores.scored(since=LATER)] == [2]
    assert [one.remediation for one in await store.scores.scored(rule="crash-loop", since=NOW)] == [2, 1]
    assert await store.scores.scored(rule="other") == []
    assert (found[1].mode, found[1].action, found[1].target.name) == ("silent", "rollback", "a")


async def test_a_score_goes_with_the_attempt_that_is_given_up(store: Database) -> None:
    """With its records: nothing would be left of it that anybody could look up."""
    await recommended(store)
    await store.scores.judged(await case_of(store), RIGHT, at=LATER)
    await store.accept([resolved()], at=LATER)
    await store.note([Record("decision.noted", {"n": number}) for number in range(600)], at=LATER)
    while await store.prune(before=NOW + timedelta(days=40)):
        pass
    assert await store.scores.scored() == []
