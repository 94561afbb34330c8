"""Stories that the real pipeline lived through, as they are exported: what a person would read afterwards."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import timedelta

from remediator.export.files import files_of
from remediator.export.stream import Labels, Wanted, export, head_of, read_story
from remediator.export.table import FORMATS
from remediator.model import AlertStatus, IncidentId, Mode, State
from remediator.store.approvals_base import Approval
from remediator.store.exporting_base import Period
from remediator.store.pauses_base import Pause, PauseOf
from tests.pipeline.world import World, world
from tests.workloads import alert

ONE = IncidentId(1)


async def exported(one: World, form: str, **asked: object) -> str:
    labels = Labels(one.clock.now(), "lab", "1.2.3")
    wanted = Wanted(FORMATS[form], **(asked or {"incident": ONE}))  # type: ignore[arg-type]
    return b"".join([piece async for piece in export(wanted, one.database.exports, labels)]).decode()


async def timeline(one: World) -> list[str]:
    story = await read_story(ONE, one.database.exports, made_at=one.clock.now())
    return [f"{event.title} {event.follows or ''}".strip() for event in story.timeline]


async def test_a_release_that_was_rolled_back() -> None:
    async with world() as one:
        await one.receive()
        assert await one.run() is State.VERIFIED
        assert await timeline(one) == [
            "Released",
            "Began to fire",
            "Diagnosed and planned 2",
            "Rolled back 3",
            "Verified 4",
        ]
        text = await exported(one, "markdown")
        for said in (
            "| Time to recover | 7m 00s (after an action) |",
            "- **rollback**: `cause: code-error, wanted code-error` yes;",
            "| dry-run | allow | `the API server would accept it` |",
            "-    - image: shop/checkout:1.5\n+    - image: shop/checkout:1.4",
            "kubectl -n shop rollout undo deployment/checkout --to-revision=3",
            "| rollout-complete | passed | `2 of 2 replicas available` |",
        ):
            assert said in text


async def test_one_that_waited_for_a_pause_and_was_resolved() -> None:
    async with world() as one:
        now = one.clock.now()
        await one.database.set_pause(
            Pause(PauseOf.NAMESPACE, "shop", "ada", "a migration", now, now + timedelta(hours=1))
        )
        await one.receive()
        await one.run(until=lambda state: state is State.HELD)
        for _ in range(8):
            one.clock.jump(seconds=31)
            await one.one_pass()
        await one.database.lift_pause(PauseOf.NAMESPACE, "shop", by="ada", comment="done", at=one.clock.now())
        assert await one.run() is State.VERIFIED
        await one.receive(replace(alert(), status=AlertStatus.RESOLVED, ends_at=one.clock.now()))
        assert await timeline(one) == [
            "Released",
            "Began to fire",
            "Paused",
            "Diagnosed and planned 2",
            "Held 3",
            "Pause lifted",
            "Rolled back 5",
            "Verified 7",
            "Resolved",
        ]
        assert "(9 times until" in await exported(one, "markdown")


async def test_one_that_a_person_approved_and_that_did_not_help() -> None:
    async with world(mode=Mode.APPROVE) as one:
        one.shop.heals = False
        await one.receive()
        await one.run(until=lambda state: state is State.AWAITING_APPROVAL)
        [waiting] = await one.database.awaiting()
        one.clock.jump(seconds=60)
        plan_hash = waiting.request["plan_hash"]
        await one.database.answer(Approval(waiting.remediation, plan_hash, True, "grace", "agreed", one.clock.now()))
        assert await one.run() is State.REVERTED
        titles = await timeline(one)
        assert titles[3:9] == [
            "Asked a person 3",
            "Approved 4",
            "Rolled back 5",
            "Did not help 6",
            "Reverting 7",
            "Reverted 8",
        ]
        [told] = json.loads(await exported(one, "json"))["incidents"]
        assert told["facts"]["recovery"] == "not seen"
        assert told["attempts"][0]["undone_by"]
        assert "**Approved** by `grace` `agreed`" in await exported(one, "markdown")


async def test_silent_mode_says_what_it_would_have_done_and_that_it_was_not() -> None:
    async with world(mode=Mode.SILENT) as one:
        await one.receive()
        await one.run()
        text = await exported(one, "markdown")
        assert "**Recommended, not done: silent mode**" in text
        assert "## Change that was not made" in text
        assert "To take it back by hand" not in text


async def test_what_was_taken_back_from_the_log_is_taken_back_from_every_export() -> None:
    """And each of them says so."""
    async with world() as one:
        await one.receive(replace(alert(), annotations={"summary": "customer 4711 complained"}))
        await one.run()
        [came] = [record for record in await one.records() if record.kind == "alert.received"]
        [planned] = [record for record in await one.records() if record.kind == "step.planned"]
        assert "customer 4711" in await exported(one, "markdown")
        said = {"by": "ada", "comment": "ticket OPS-1", "at": one.clock.now()}
        await one.database.redact(came.seq, ["annotations"], **said)  # type: ignore[arg-type]
        await one.database.redact(planned.seq, ["evidence"], **said)  # type: ignore[arg-type]
        one.clock.jump(seconds=1)
        for form in FORMATS:
            text = await exported(one, form, incident=ONE, is_whole=True)
            assert "customer" not in text, form  # digits alone may be part of a hash
            assert "taken back" in text or "taken_back" in text, form
        assert "- Evidence: `taken back by ada: ticket OPS-1`" in await exported(one, "markdown")
        story = await read_story(ONE, one.database.exports, made_at=one.clock.now())
        head = head_of(Wanted(FORMATS["html"]), Labels(one.clock.now(), "lab", "1.2.3"), title="Incident inc-1")
        assert b"taken_back" in dict(files_of(story, head))["diagnostics.json"]


async def test_the_rows_of_a_period_are_the_log_of_that_time() -> None:
    async with world() as one:
        await one.receive()
        await one.run()
        now = one.clock.now()
        period = Period(now - timedelta(hours=1), now + timedelta(seconds=1))
        lines = (await exported(one, "jsonl", period=period)).splitlines()
        records = await one.records()
        assert [json.loads(line)["record"]["seq"] for line in lines] == [record.seq for record in records]
        table = csv.DictReader(io.StringIO(await exported(one, "csv", period=period, is_whole=True)))
        assert [row["kind"] for row in table] == [record.kind for record in records]
        assert json.loads(await exported(one, "json", period=period))["incidents"][0]["facts"]["ref"] == "inc-1"
