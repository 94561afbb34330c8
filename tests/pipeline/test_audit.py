"""No record, no action: whatever the audit log lacks, nothing is written to the cluster, and the reason is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from remediator.anchor.base import Doubt
from remediator.anchor.file import FileAnchor
from remediator.anchor.keeper import LogKeeper
from remediator.audit.note import checkpoint, opened
from remediator.journal import Journal
from remediator.model import IncidentId, Json, Mode, Request, State
from remediator.pipeline import remediate
from remediator.reasons import Reason
from remediator.rules.ruleset import rule_set
from remediator.store.approvals_base import Approval
from remediator.store.base import StoreUnavailable
from remediator.store.log import LogKeys
from remediator.store.log_base import StillNeeded
from remediator.store.opening import open_database
from tests.clocks import FakeClock
from tests.logkeys import KEYS
from tests.pipeline.world import DEPLOYMENT, FakeMetrics, Shop, World, rule, world


@asynccontextmanager
async def audited(anchor: Path, *, keys: LogKeys = KEYS, mode: Mode = Mode.ACTIVE) -> Any:
    """The world with a real log and its keeper."""
    clock = FakeClock()
    shop = Shop(clock)
    database = await open_database("sqlite:///:memory:", clock=clock, keys=keys)
    keeper = LogKeeper(
        database,
        [FileAnchor(anchor)],
        trusted=KEYS.known,
        clock=clock,
        say=lambda _: None,
        seen=lambda *_: None,
    )
    await keeper.begin()
    try:
        yield World(clock, shop, FakeMetrics(shop, clock), database, mode=mode, log=keeper)
    finally:
        await database.close()


async def test_with_a_sound_log_it_acts_and_the_anchor_knew_the_intent_before_the_write(tmp_path: Path) -> None:
    async with audited(tmp_path / "anchor") as one:
        seen: list[int] = []

        def looked(request: Request, dry_run: bool) -> Json:
            if not dry_run:
                note = (tmp_path / "anchor").read_bytes()
                seen.append(checkpoint(opened(note, KEYS.known)[0]).size)
            return one.shop.patch(request, dry_run)

        one.shop.replies["PATCH", DEPLOYMENT] = looked
        await one.receive()
        assert await one.run() is State.VERIFIED
        [intent] = [record for record in await one.records() if record.kind == "action.intent"]
        assert seen == [intent.seq]


async def key_missing(_: World, __: Path) -> None: ...


async def anchor_gone(_: World, folder: Path) -> None:
    shutil.rmtree(folder)


async def chain_broken(one: World, _: Path) -> None:
    one.database._writer._log.problem = "the records are not those of the head"


@pytest.mark.parametrize(
    ("fault", "keys", "reason"),
    [
        (key_missing, LogKeys(), Reason.AUDIT_UNSIGNED),
        (anchor_gone, KEYS, Reason.AUDIT_NOT_ANCHORED),
        (chain_broken, KEYS, Reason.AUDIT_BROKEN),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_what_the_log_lacks_forbids_every_write(
    tmp_path: Path, fault: Callable[[World, Path], Awaitable[None]], keys: LogKeys, reason: Reason
) -> None:
    (tmp_path / "sub").mkdir()
    async with audited(tmp_path / "sub" / "anchor", keys=keys) as one:
        await fault(one, tmp_path / "sub")
        await one.receive()
        await one.run(until=lambda state: state is State.HELD)
        assert one.shop.writes() == []
        assert (await one.last_body())["reason"] == reason.value


@dataclass
class Anchored:
    """A log that is sound at the guard, and not any more when the write comes: `answers` in turn."""

    answers: list[Doubt | None]

    async def why_not(self) -> Doubt | None:
        return self.answers.pop(0) if self.answers else None


async def test_it_is_looked_at_again_between_the_intent_and_the_write() -> None:
    doubt = Doubt(Reason.AUDIT_NOT_ANCHORED, "the disk of the anchor is full")
    async with world(log=Anchored([None, doubt])) as one:
        await one.receive()
        assert await one.one_pass() is State.HELD
        assert one.shop.writes() == []
        assert "action.intent" in await one.kinds()
        assert (await one.last_body())["reason"] == "audit-not-anchored"


async def test_the_negative_control_without_the_second_look_it_would_be_written() -> None:
    async with world(log=Anchored([None, None])) as one:
        await one.receive()
        await one.one_pass()
        assert len(one.shop.writes()) == 1


async def test_an_inverse_is_not_sent_either() -> None:
    """What did not help stays until the log is sound again, and people are told why."""
    doubt = Doubt(Reason.AUDIT_BROKEN, "the records are not those of the head")
    async with world(log=Anchored([None, None, doubt])) as one:
        one.shop.heals = False
        await one.receive()
        assert await one.run() is State.ESCALATED
        assert len(one.shop.writes()) == 1
        assert "may not be reverted" in (await one.last_body())["detail"]


async def test_a_record_that_cannot_be_written_is_an_action_that_is_not_done() -> None:
    """The disk is full at the intent: the store says so, nothing goes out, and it goes on when there is room."""
    async with world() as one:
        await one.receive()
        real = one.database.advance

        async def full(remediation: Any, *, to: State, **more: Any) -> Any:
            if to is State.ACTING:
                await allow_pages(one, 1)  # SQLite takes the present size for a smaller one
            return await real(remediation, to=to, **more)

        one.database.advance = full  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable, match="database or disk is full"):
            await one.one_pass()
        assert one.shop.writes() == []

        one.database.advance = real  # type: ignore[method-assign]
        await allow_pages(one, 2**30)
        one.clock.jump(minutes=10)
        assert await one.one_pass() is State.VERIFYING


async def allow_pages(one: World, most: int) -> None:
    limit = f"PRAGMA max_page_count={most}"
    await one.database._writer.read(lambda t: t.connection.exec_driver_sql(limit).scalar_one())


async def test_silent_mode_recommends_without_a_key_and_says_what_active_mode_would_lack(tmp_path: Path) -> None:
    async with audited(tmp_path / "anchor", keys=LogKeys(), mode=Mode.SILENT) as one:
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        body = await one.last_body()
        assert body["reason"] == "mode-silent"
        [lacks] = [verdict for verdict in body["verdicts"] if verdict["guard"] == "audit"]
        assert lacks["reason"] == "audit-unsigned"


async def test_the_record_of_a_write_says_who_what_why_and_when() -> None:
    """In names, numbers and hashes, which stay whatever is taken back of it."""
    rules = replace(rule_set([rule()]), commit="c0ffee" + "0" * 34)
    async with world(rules=rules) as one:
        await one.receive()
        parts = replace(one.parts, clock_offset_seconds=lambda: 0.3)
        [remediation] = await one.claim()
        await remediate(Journal(remediation, store=one.database, clock=one.clock, rules=parts.rules()), parts)
        [intent] = [record for record in await one.records() if record.kind == "action.intent"]
        clear = json.loads(intent.canonical)["body"]
    sent = one.shop.writes()[0]
    assert (clear["rule"], clear["rules_commit"][:6], len(clear["rule_digest"])) == ("crash-loop", "c0ffee", 64)
    assert (clear["verb"], clear["touched_uid"], clear["generation"]) == ("PATCH", "d-1", 7)
    assert clear["touched"] == {"kind": "Deployment", "namespace": "shop", "name": "checkout"}
    assert (clear["mode"], clear["clock_offset_seconds"]) == ("active", 0.3)
    assert {len(clear[name]) for name in ("request_hash", "before_hash", "after_hash")} == {64}
    assert clear["before_hash"] != clear["after_hash"]
    assert sent.audit_id == clear["audit_id"]
    assert {"verdicts", "request", "plan", "detail"} <= clear["committed"].keys()


async def test_each_request_has_an_id_of_its_own_and_so_has_its_inverse() -> None:
    async with world() as one:
        one.shop.heals = False
        await one.receive()
        await one.run()
        told = [record.body["audit_id"] for record in await one.records() if record.kind.endswith(".intent")]
        assert [request.audit_id for request in one.shop.writes()] == told
        assert len(set(told)) == 2


async def test_the_approver_stands_in_the_record() -> None:
    async with world(rules=rule_set([rule(mode="approve")]), mode=Mode.APPROVE) as one:
        await one.receive()
        assert await one.one_pass() is State.AWAITING_APPROVAL
        [asked] = await one.database.awaiting()
        said = Approval(asked.remediation, asked.request["plan_hash"], True, "ann", "yes", one.clock.now())
        await one.database.answer(said)
        await one.one_pass()
        [intent] = [record for record in await one.records() if record.kind == "action.intent"]
        assert intent.body["approver"] == "ann"
        # Whose word it was may have to be taken back some day; that there was one may not.
        assert "approver" in json.loads(intent.canonical)["body"]["committed"]
        assert "approved_at" in json.loads(intent.canonical)["body"]


async def test_a_plan_is_taken_back_where_the_service_keeps_it_too_but_not_while_it_is_needed() -> None:
    async with world() as one:
        await one.receive()
        assert await one.one_pass() is State.VERIFYING
        [intent] = [record.seq for record in await one.records() if record.kind == "action.intent"]
        said = {"by": "ann", "comment": "a password in an argument", "at": one.clock.now()}
        with pytest.raises(StillNeeded, match="is not over"):
            await one.database.redact(intent, ["plan"], **said)
        assert await one.run() is State.VERIFIED
        assert await one.database.redact(intent, ["plan", "detail"], **said) == ["detail", "plan"]
        found = await one.database.incident(IncidentId(1))
        assert found is not None
        assert [attempt.plan for attempt in found.remediations] == [None]
