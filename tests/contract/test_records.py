"""What every store must keep and read out: records, cursors, and the kill switch."""

from __future__ import annotations

import asyncio
import json

import pytest

from remediator.audit.record import canonical_json
from remediator.model import State
from remediator.store.base import Change, CommittedRecord, KillSwitch, Record, TemplateEvent
from remediator.store.database import Database
from tests.contract.examples import LATER
from tests.unit.store.examples import LEASE, NOTE, NOW, firing, queued, target

# -- kill switch


async def test_the_kill_switch_is_released_at_first(store: Database) -> None:
    assert not (await store.kill_switch()).engaged


@pytest.mark.parametrize("until", [None, LATER])
async def test_the_kill_switch_keeps_what_was_set(store: Database, until: object) -> None:
    switch = KillSwitch(True, "storm", "alice", NOW, until)  # type: ignore[arg-type]
    await store.set_kill_switch(switch)
    assert await store.kill_switch() == switch


async def test_each_turn_of_the_kill_switch_has_its_record(store: Database) -> None:
    await store.set_kill_switch(KillSwitch(True, "storm", "alice", NOW, LATER))
    await store.set_kill_switch(KillSwitch(False, "calm", "bob", LATER, None))
    engaged, released = await store.records(after=0, limit=10)
    assert (engaged.kind, released.kind) == ("switch.engaged", "switch.released")
    assert engaged.body == {"by": "alice", "comment": "storm", "until": "2026-11-23T13:00:00.123456Z"}


# -- records and cursors


async def test_notes_are_records_of_no_remediation(store: Database) -> None:
    await store.note([Record("alert.quarantined", {"place": "alerts[1]"}), Record("alert.quarantined", {})], at=NOW)
    kept = await store.records(after=0, limit=10)
    assert [(one.seq, one.kind, one.remediation_id, one.body) for one in kept] == [
        (1, "alert.quarantined", None, {"place": "alerts[1]"}),
        (2, "alert.quarantined", None, {}),
    ]


async def test_records_are_dense_also_under_concurrency(store: Database) -> None:
    async def one(number: int) -> None:
        await store.accept([firing(number)], at=NOW)
        for remediation in await store.claim(owner="worker-1", at=NOW, lease=LEASE, limit=1):
            await store.advance(remediation, to=State.DIAGNOSING, record=NOTE, at=NOW)

    await asyncio.gather(*(one(number) for number in range(50)))
    records = await store.records(after=0, limit=1000)
    assert [record.seq for record in records] == list(range(1, 101))


async def test_a_failed_call_leaves_no_hole_in_the_records(store: Database) -> None:
    [remediation] = await queued(store, firing(1))
    poison = Change(target=target(), ledger=[TemplateEvent("uid-1", "h", "installed", NOW.replace(tzinfo=None))])
    await asyncio.gather(
        store.advance(remediation, to=State.DIAGNOSING, record=NOTE, at=NOW, change=poison),
        store.accept([firing(2)], at=NOW),
        return_exceptions=True,
    )
    await store.accept([firing(3)], at=NOW)
    assert [record.seq for record in await store.records(after=0, limit=10)] == [1, 2, 3]


async def test_records_are_read_in_pages(store: Database) -> None:
    await store.accept([firing(number) for number in range(5)], at=NOW)
    assert [record.seq for record in await store.records(after=2, limit=2)] == [3, 4]
    assert await store.records(after=5, limit=2) == []


async def test_the_stored_bytes_are_the_canonical_form_of_the_whole_entry(store: Database) -> None:
    [remediation] = await queued(store, firing())
    record = Record("decision.noted", {"z": 1, "a": "ü"})
    step = await store.advance(remediation, to=State.DIAGNOSING, record=record, at=NOW, change=Change(target=target()))
    committed: CommittedRecord = (await store.records(after=1, limit=1))[0]
    assert committed.canonical == canonical_json(
        {
            "at": "2026-11-23T12:00:00.123456Z",
            "body": {"a": "ü", "z": 1},
            "incident": step.incident_id,
            "kind": "decision.noted",
            "remediation": remediation.id,
            "seq": 2,
        }
    )
    assert json.loads(committed.canonical)["body"] == committed.body == record.body


async def test_a_cursor_begins_at_zero_and_stays_where_it_was_moved(store: Database) -> None:
    assert await store.cursor("slack") == 0
    assert await store.move_cursor("slack", after=0, to=3)
    assert await store.move_cursor("slack", after=3, to=7)
    assert not await store.move_cursor("slack", after=3, to=9), "another replica has told these"
    assert not await store.move_cursor("webhook", after=3, to=9)
    assert (await store.cursor("slack"), await store.cursor("webhook")) == (7, 0)


async def test_what_a_sink_is_silent_on_is_not_read_and_not_looked_at_again(store: Database) -> None:
    await store.note([Record(kind, {"n": 1}) for kind in ("alert.received", "gate.entered", "alert.received")], at=NOW)
    silent = await store.untold("log", but=["gate.entered"], limit=1)
    assert ([record.seq for record in silent.records], silent.after, silent.upto) == ([1], 0, 1)
    page = await store.untold("log", but=["alert.received"], limit=2)
    assert ([record.kind for record in page.records], page.upto) == (["gate.entered"], 3)
    await store.move_cursor("log", after=0, to=page.upto)
    page = await store.untold("log", but=["alert.received"], limit=2)
    assert (page.records, page.after, page.upto) == ([], 3, 3)


async def test_a_sink_that_is_new_begins_at_the_present_and_a_known_one_goes_on(store: Database) -> None:
    assert await store.begin_cursors(["log"]) == {"log": 0}, "new with the database: it is told everything"
    await store.accept([firing(number) for number in range(5)], at=NOW)
    await store.move_cursor("log", after=0, to=2)
    assert await store.begin_cursors(["log", "webhook"]) == {"webhook": 5}
    assert (await store.cursor("log"), await store.cursor("webhook")) == (2, 5)
    await store.accept([firing(9)], at=NOW)
    assert await store.begin_cursors(["log", "webhook"]) == {}
    assert await store.cursor("webhook") == 5, "what came since is told"
