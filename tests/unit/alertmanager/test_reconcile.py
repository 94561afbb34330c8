"""What Alertmanager lists against what is known: what is offered, as what, and when silence proves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.access.base import Credential
from remediator.alertmanager.base import AlertmanagerUnavailable, Listing
from remediator.alertmanager.client import AlertmanagerApi
from remediator.alertmanager.reconcile import MAX_OFFERED, Offer, Pace, Reconciler, ours_by, quoted
from remediator.authority import UNLIMITED, unquoted
from remediator.clock import SystemClock, rfc3339
from remediator.model import Json
from remediator.receive.payload import read
from remediator.redact import Remembering
from remediator.store.base import StoreUnavailable
from remediator.store.database import Database
from remediator.store.opening import open_database
from tests.clocks import FakeClock
from tests.unit.scripted_server import Answer, ScriptedServer
from tests.unit.store.examples import firing, resolved
from tests.workloads import NOW

MINUTE = timedelta(minutes=1)
OLD = NOW - 10 * MINUTE


def listed(number: int = 1, **changes: Any) -> Json:
    """An active alert for our receiver, as the API lists it: its times are cut to milliseconds."""
    facts: Json = {
        "labels": dict(firing(number).labels),
        "annotations": {"summary": "s"},
        "startsAt": rfc3339(OLD),
        "endsAt": rfc3339(NOW + 4 * MINUTE),
        "updatedAt": rfc3339(NOW),
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": firing(number).fingerprint,
        "receivers": [{"name": "humans"}, {"name": "team.a/x/remediator"}],
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
    }
    return facts | changes


@dataclass
class Lists:
    alerts: Sequence[Json] = ()
    started_at: datetime | None = NOW - 60 * MINUTE
    asked: int = 0
    failure: Exception | None = None

    async def listing(self) -> Listing:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return Listing(self.alerts, self.started_at)


@dataclass
class Round:
    """A reconciler whose door is the receiver's own way from a body to the store."""

    store: Database
    lists: Lists = field(default_factory=Lists)
    clock: FakeClock = field(default_factory=FakeClock)
    offers: list[Offer] = field(default_factory=list)
    counted: list[tuple[int, int]] = field(default_factory=list)
    may_take: bool = True
    is_duty: bool = True
    rounds: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(
            self.lists,
            self.store.known,
            take=self.take,
            count=lambda found, gone: self.counted.append((found, gone)),
            is_left_out=lambda labels: labels.get("alertname") == "Watchdog",
            receivers=(),
            clock=self.clock,
            pace=Pace(5 * MINUTE),
            is_duty=lambda: self.is_duty,
            went=self.rounds.append,
        )

    async def take(self, offer: Offer) -> int | None:
        self.offers.append(offer)
        if not self.may_take:
            return None
        payload = read(json.dumps(offer.body).encode(), Remembering(), sender=Credential("am"))
        accepted = await self.store.accept(payload.alerts, at=self.clock.now(), authority=UNLIMITED)
        return accepted.queued + accepted.resolved

    async def look(self, *alerts: Json, **how: Any) -> list[Offer]:
        """What one round offers."""
        self.lists.alerts, before = alerts, len(self.offers)
        await self.reconciler.look(**how)
        return self.offers[before:]

    def total(self) -> tuple[int, int]:
        return sum(found for found, _ in self.counted), sum(gone for _, gone in self.counted)


@pytest.fixture
async def store() -> AsyncIterator[Database]:
    database = await open_database("sqlite:///:memory:", clock=SystemClock())
    yield database
    await database.close()


async def test_what_fires_and_never_came_is_taken_as_the_webhook_would_have_brought_it(store: Database) -> None:
    one = Round(store)
    [offer] = await one.look(listed(1), listed(2))
    assert (offer.found, offer.body["receiver"]) == (2, r"team\.a/x/remediator")
    claimed = await store.claim(owner="w", at=NOW, lease=MINUTE, limit=9)
    assert {one.alert.fingerprint for one in claimed} == {firing(1).fingerprint, firing(2).fingerprint}
    assert {one.alert.credential for one in claimed} == {"am"}
    assert one.total() == (2, 0)
    assert await one.look(listed(1), listed(2)) == [], "what was taken is known"


@pytest.mark.parametrize(
    "item",
    [
        listed(receivers=[{"name": "humans"}]),
        listed(status={"state": "suppressed", "silencedBy": ["x"], "inhibitedBy": []}),
        listed(status={"state": "unprocessed", "silencedBy": [], "inhibitedBy": []}),
        listed(startsAt=rfc3339(NOW - MINUTE)),
        listed(startsAt="soon"),
        listed(labels={"alertname": "Watchdog"}),
    ],
    ids=["not ours", "silenced", "unprocessed", "under way", "no time", "watchdog"],
)
async def test_what_is_not_offered(store: Database, item: Json) -> None:
    assert await Round(store).look(item) == []


@pytest.mark.parametrize(
    "odd",
    [
        {"receivers": 7},
        {"receivers": ["remediator"]},
        {"labels": "none"},
        {"labels": {"alertname": 7, "namespace": ["shop"]}},
        {"status": "active"},
        {"status": {"state": "suppressed", "silencedBy": 7}},
        {"startsAt": {"at": 7}},
        {"fingerprint": None},
        {"annotations": 7},
    ],
    ids=lambda odd: "-".join(f"{name} {value}" for name, value in odd.items()),
)
async def test_an_item_that_is_not_as_the_api_has_it_keeps_no_other_from_being_taken(
    store: Database, odd: Json
) -> None:
    replica = (Answer(body=[listed(1) | odd, listed(2)]), up(9))
    found = await listing_of(replica, replica)
    await Round(store).look(*found.alerts)
    claimed = await store.claim(owner="w", at=NOW, lease=MINUTE, limit=9)
    assert firing(2).fingerprint in {one.alert.fingerprint for one in claimed}


async def test_what_is_known_is_never_new(store: Database) -> None:
    """Neither by a beginning that was cut to milliseconds, nor by a later one while it fires, nor after its end."""
    whole = OLD + timedelta(microseconds=123456)
    for number, earlier in ((1, timedelta()), (2, 30 * MINUTE)):
        await store.accept([firing(number, starts_at=whole - earlier)], at=NOW)
    await store.accept([firing(3, starts_at=whole)], at=NOW)
    await store.accept([resolved(3, starts_at=whole)], at=NOW)
    cut = rfc3339(whole.replace(microsecond=123000))
    assert await Round(store).look(*(listed(number, startsAt=cut) for number in (1, 2, 3))) == []


async def test_a_resolution_that_was_long_ago_is_taken_back_by_the_list(store: Database) -> None:
    """It fires with its old beginning, and the webhook would say so only with the next repeat."""
    one = Round(store)
    await store.accept([firing(1, starts_at=OLD)], at=NOW - 20 * MINUTE)
    await store.accept([resolved(1, starts_at=OLD)], at=NOW - 9 * MINUTE)
    assert await one.look(listed(1)) == []
    one.clock.jump(minutes=2)
    [offer] = await one.look(listed(1))
    assert offer.found == 1
    assert not await store.is_resolved(firing(1).fingerprint, OLD)
    assert one.total() == (1, 0)


async def test_the_webhook_that_comes_after_all_is_a_repeat(store: Database) -> None:
    """It has the whole beginning, of which the API had three digits."""
    whole = OLD + timedelta(microseconds=123456)
    await Round(store).look(listed(1, startsAt=rfc3339(whole.replace(microsecond=123000))))
    assert (await store.accept([firing(1, starts_at=whole)], at=NOW)).repeated == 1
    assert (await store.accept([resolved(1, starts_at=whole)], at=NOW)).resolved == 1


async def test_after_a_body_that_was_cut_off_the_young_ones_are_fetched_too(store: Database) -> None:
    one, young = Round(store), listed(startsAt=rfc3339(NOW - timedelta(seconds=1)))
    assert await one.look(young) == []
    assert len(await one.look(young, is_asked=True)) == 1


async def test_what_is_set_aside_at_the_door_is_not_carried_there_again(store: Database) -> None:
    one, bad = Round(store), listed(labels={"alertname": "A", "x": "y" * 100_000})
    assert len(await one.look(bad)) == 1
    assert await one.look(bad) == []


async def test_what_may_not_be_taken_is_offered_again(store: Database) -> None:
    one = Round(store, may_take=False)
    assert len(await one.look(listed())) == len(await one.look(listed())) == 1
    assert one.total() == (0, 0)


async def test_a_round_is_bounded(store: Database) -> None:
    one = Round(store)
    many = [listed(number) for number in range(MAX_OFFERED + 3)]
    assert [sum(offer.found for offer in await one.look(*many)) for _ in range(3)] == [MAX_OFFERED, 3, 0]


# --- gone


async def fires_since_long(one: Round) -> None:
    await one.store.accept([firing(1)], at=NOW - 30 * MINUTE)


async def test_what_no_replica_lists_twice_is_over(store: Database) -> None:
    one = Round(store)
    await fires_since_long(one)
    assert await one.look() == [], "once may be between two sendings"
    [offer] = await one.look()
    assert offer.gone == 1
    assert await store.is_resolved(firing(1).fingerprint, firing(1).starts_at)
    assert one.total() == (0, 1)


@pytest.mark.parametrize("started_at", [NOW - MINUTE, None], ids=["started lately", "one does not answer"])
async def test_the_silence_of_some_proves_nothing(store: Database, started_at: datetime | None) -> None:
    one = Round(store, Lists(started_at=started_at))
    await fires_since_long(one)
    assert [await one.look() for _ in range(3)] == [[], [], []]


async def test_what_is_silenced_or_sent_elsewhere_is_not_gone(store: Database) -> None:
    one = Round(store)
    await fires_since_long(one)
    quiet = listed(receivers=[{"name": "humans"}], status={"state": "suppressed"})
    assert [await one.look(quiet) for _ in range(3)] == [[], [], []]


async def test_what_came_lately_is_left_to_the_webhook(store: Database) -> None:
    one = Round(store)
    await store.accept([firing(1)], at=NOW - MINUTE)
    assert [await one.look() for _ in range(3)] == [[], [], []]


async def test_a_round_without_an_answer_changes_nothing(store: Database) -> None:
    one = Round(store)
    await fires_since_long(one)
    await one.look()
    one.lists.failure = AlertmanagerUnavailable("away")
    with pytest.raises(AlertmanagerUnavailable):
        await one.look()
    assert one.total() == (0, 0)


@pytest.mark.parametrize(
    ("failure", "rounds"), [(None, [True]), (AlertmanagerUnavailable("away"), [False]), (StoreUnavailable("away"), [])]
)
async def test_a_round_says_whether_another_replica_might_do_better(
    store: Database, failure: Exception | None, rounds: list[bool]
) -> None:
    """The store is the same for all of them."""
    one = Round(store, Lists(failure=failure))
    await one.reconciler._round(is_asked=False)
    assert one.rounds == rounds


# --- names, and the client


@pytest.mark.parametrize("name", ["team.a/default+x", r"a\b", "(x)[y]{z}^$|?*", "plain", "ünï.code"])
def test_a_name_is_quoted_as_the_webhook_does_it(name: str) -> None:
    assert unquoted(quoted(name)) == name


def test_whose_receiver_it_is() -> None:
    by_name, named = ours_by(()), ours_by(["ops"])
    assert [by_name(name) for name in ("remediator", "ns/obj/Remediator-2", "remediator/obj/people")] == [
        True,
        True,
        False,
    ]
    assert (named("ops"), named("remediator")) == (True, False)


async def listing_of(*answers: tuple[Answer, Answer]) -> Listing:
    """What the client makes of replicas that answer so: their alerts, their status."""
    servers = [ScriptedServer() for _ in answers]
    for server, (alerts, status) in zip(servers, answers, strict=True):
        await server.start()

        def by_path(asked: Any, alerts: Answer = alerts, status: Answer = status) -> Answer:
            return status if asked.path.endswith("/status") else alerts

        server.script(by_path)
    client = AlertmanagerApi([server.url for server in servers])
    try:
        return await client.listing()
    finally:
        await client.close()
        for server in servers:
            await server.stop()


def up(minutes: int) -> Answer:
    return Answer(body={"uptime": rfc3339(NOW - minutes * MINUTE), "versionInfo": {}})


async def test_the_list_is_of_all_replicas_and_as_old_as_the_youngest() -> None:
    muted = listed(1, status={"state": "suppressed", "silencedBy": ["s"]})
    found = await listing_of((Answer(body=[listed(1), listed(2)]), up(9)), (Answer(body=[muted]), up(3)))
    assert found == Listing([muted, listed(2)], NOW - 3 * MINUTE)


@pytest.mark.parametrize(
    "second", [(Answer(500), up(5)), (Answer(body=[]), Answer(500)), (Answer(body=[]), Answer(body={"uptime": "?"}))]
)
async def test_a_replica_that_does_not_answer_may_know_more(second: tuple[Answer, Answer]) -> None:
    found = await listing_of((Answer(body=[listed(1)]), up(9)), second)
    assert found == replace(found, alerts=[listed(1)], started_at=None)


@pytest.mark.parametrize(("is_duty", "is_asked", "looks"), [(True, False, 1), (False, False, 0), (False, True, 1)])
async def test_of_several_replicas_one_compares_and_who_is_asked_does_in_any_case(
    store: Database, is_duty: bool, is_asked: bool, looks: int
) -> None:
    one = Round(store, is_duty=is_duty)
    if is_asked:
        one.reconciler.ask()
    running = asyncio.create_task(one.reconciler.run())
    for _ in range(5):  # it asks Alertmanager before it waits for anything
        await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert one.lists.asked == looks
