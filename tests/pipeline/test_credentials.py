"""What a credential may speak of bounds what is done for its alerts, whatever their labels say (bar X4).

Tenants with a token each, over HTTP and through the whole way of an alert, to a cluster in which everything is broken
and may be mended: each may have its own workloads mended, and nobody else's.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import remediator.pipeline
from remediator.access.loading import Access, AccessFiles, load_access
from remediator.authority import NAMESPACE_LABELS, UNLIMITED, Authority
from remediator.clock import rfc3339
from remediator.guards import GUARDS
from remediator.journal import Journal
from remediator.model import Json, Mode, Request, State
from remediator.parts import Parts
from remediator.pipeline import remediate
from remediator.reasons import Reason
from remediator.receive.payload import fingerprint
from remediator.rules.automaton import compile_pattern
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.rules.schema import Rule
from remediator.store.approvals_base import Approval
from remediator.store.base import CommittedRecord, LostClaim
from tests.clocks import FakeClock
from tests.pipeline.test_collateral import table
from tests.pipeline.town import Place, Town, TownMetrics
from tests.pipeline.world import rule, world
from tests.unit.access.files import entry, written
from tests.unit.api.service import Service, running
from tests.unit.receive.bodies import body, element
from tests.workloads import NOW, alert

TENANTS = [f"team{number}" for number in range(6)]
PLACES = [(tenant, f"app{number}{letter}x") for number, tenant in enumerate(TENANTS) for letter in "pq"]
ALERTS, BODY = 10_000, 50
MINUTES = 100
LEASE = timedelta(minutes=5)
ROOM = {
    "budgets": {"action": ["999 per 1h"], "namespace": ["99 per 1h"], "cluster": ["999 per 1h"]},
    "cooldown": {"period": "1m"},
    "concurrency": {"cluster": 50, "namespace": 20},
    "storm": {"targets": 1000, "share": 100},
    "shared-cause": {"share": 90, "targets": 20},
}
"""So that nothing but the credential holds anything back."""
WIDE = {ord(letter): ord(letter) + 0xFEE0 for letter in "0123456789aemt"}
"""The same letters in full width, which a careless comparison folds together."""


def rules() -> RuleSet:
    """The ways from labels to a target: the alert's own, those of a rule, a fixed one; and a rule not for tenants."""
    common: dict[str, Any] = {"guards": ROOM, "limits": ["999 per 1h"]}
    mapped = {"labels": {"Deployment": "what", "namespace": "where"}}
    fixed = {"object": {"kind": "Deployment", "namespace": PLACES[0][0], "name": PLACES[0][1]}}
    named: dict[str, tuple[str, dict[str, Any]]] = {
        "crash-loop": ("KubePodCrashLooping", {}),
        "mapped": ("Mapped", {"target": mapped}),
        "fixed": ("Fixed", {"target": fixed}),
        "private": ("Private", {}),
    }
    made: list[Rule] = []
    for name, (alertname, fields) in named.items():
        made.append(rule(name=name, match=[f'alertname="{alertname}"'], **common, **fields))
    return rule_set(made)


def token(tenant: str) -> str:
    return f"token-of-{tenant}-0123456789"


def limited(folder: Path) -> Access:
    return load_access(
        AccessFiles(
            written(
                folder,
                *(
                    entry(
                        tenant,
                        token(tenant),
                        receivers=f"['{tenant}/.*']",
                        namespaces=f"[{tenant}]",
                        rules="[crash-loop, mapped, fixed]",
                    )
                    for tenant in TENANTS
                ),
            )
        )
    )


def unlimited(folder: Path) -> Access:
    return load_access(
        AccessFiles(written(folder, *(entry(tenant, token(tenant), namespaces="['.*']") for tenant in TENANTS)))
    )


def hostile(chance: random.Random, tenant: str) -> dict[str, Any]:
    """One element that the tenant sends, honest or about somebody else in one of the ways that labels allow."""
    victim, app = chance.choice([place for place in PLACES[:5] if place[0] != tenant])
    own = chance.choice([name for namespace, name in PLACES if namespace == tenant])
    mine = {"alertname": "KubePodCrashLooping", "namespace": tenant, "pod": f"{own}-3-a"}
    theirs = {"alertname": "KubePodCrashLooping", "namespace": victim, "pod": f"{app}-3-a"}
    opted = {"remediate_kind": "deployment", "remediate_name": app, "remediate_namespace": victim}
    odd = (f"{tenant}\n", f" {tenant}", f"{tenant}/../{victim}", f"{victim}\u200b", tenant.upper(), f"{tenant}|x")
    alike = (victim.replace("a", "\u0430"), victim.translate(WIDE), f"{victim}\u0301", f"\u202e{victim}", f"{victim}.")
    climbing = (
        f"../../{victim}/deployments/{app}",
        f"{own}/../../../{victim}/deployments/{app}",
        f"%2e%2e%2f{victim}%2fdeployments%2f{app}",
        f"{own}?namespace={victim}",
        f"{own}#/../{app}",
    )
    at_home = {"alertname": "KubePodCrashLooping", "namespace": tenant}
    kind = chance.choice(("deployment", "statefulset", "daemonset", "service", "job_name", "node", "container"))
    ways: Sequence[dict[str, Any]] = [
        {"labels": mine},
        {"labels": theirs},
        {"labels": theirs, "status": "resolved", "endsAt": rfc3339(NOW)},
        {"labels": {**mine, "exported_namespace": victim, "exported_pod": f"{app}-3-a"}},
        {"labels": {**theirs, "exported_namespace": tenant}},
        {"labels": {**theirs, "kubernetes_namespace": tenant, "Namespace": tenant}},
        {"labels": {**mine, **opted}},
        {"labels": {**mine, **opted, "pod": f"{app}-3-a"}},
        {"labels": {**mine, "pod": f"{app}-3-a"}},
        {"labels": {**mine, "pod": f"../{victim}/{app}-3-a"}},
        {"labels": mine, "fingerprint": fingerprint(theirs)},
        {"labels": mine, "fingerprint": fingerprint(theirs), "status": "resolved", "endsAt": rfc3339(NOW)},
        {"labels": {**theirs, "namespace": chance.choice(odd)}},
        {"labels": {"alertname": "KubePodCrashLooping", "pod": f"{app}-3-a"}},
        {"labels": {**mine, "alertname": "Mapped", "where": victim, "what": app}},
        {"labels": {**mine, "alertname": "Mapped", "where": tenant, "what": own}},
        {"labels": {**mine, "alertname": "Mapped", "where": chance.choice(alike), "what": app}},
        {"labels": {**mine, "alertname": "Mapped", "where": tenant, "what": chance.choice(climbing)}},
        {"labels": {**mine, "alertname": "Mapped", "where": f"{tenant}/../{victim}", "what": app}},
        {"labels": {**at_home, "deployment": own}},
        {"labels": {**at_home, kind: app}},
        {"labels": {**at_home, kind: chance.choice(climbing)}},
        {"labels": {**at_home, f"exported_{kind}": app, "exported_namespace": chance.choice([victim, *alike])}},
        {"labels": {**at_home, "workload": app, "workload_type": "deployment"}},
        {"labels": {**theirs, "namespace": chance.choice(alike)}},
        {"labels": {**mine, **opted, "remediate_namespace": chance.choice([*alike, f"{tenant}/../{victim}"])}},
        {"labels": {**mine, **opted, "remediate_namespace": tenant, "remediate_name": chance.choice(climbing)}},
        {"labels": {**mine, "uid": f"uid-{app}-3-a", "node": "node-1"}},
        {"labels": {**mine, "pod": f"{app}-3-a"}, "fingerprint": fingerprint(theirs)},
        {"labels": {**mine, "alertname": "Fixed"}},
        {"labels": {**mine, "alertname": "Private"}},
    ]
    started = rfc3339(NOW - timedelta(minutes=5))
    return element(**{"fingerprint": ..., "startsAt": started, **chance.choice(ways)})


def sent(count: int, by: Sequence[str] = TENANTS) -> Iterator[tuple[str, bytes]]:
    """(tenant, body), always the same ones."""
    chance = random.Random(4)
    for _ in range(0, count, BODY):
        tenant = chance.choice(by)
        receiver = f"{chance.choice([tenant, tenant, tenant, *TENANTS])}/am/remediator"
        yield tenant, body(*(hostile(chance, tenant) for _ in range(BODY)), receiver=receiver)


@dataclass
class Told:
    """What came of it."""

    records: Sequence[CommittedRecord]
    written_in: list[str] = field(default_factory=list)
    received: Mapping[str, int] = field(default_factory=dict)
    """Fingerprint -> how often it came, as the store has it."""

    def bodies(self, kind: str) -> list[tuple[str, Json]]:
        """(credential of the alert, body) of the records of that kind."""
        came = {one.remediation_id: one.body["credential"] for one in self.records if one.kind == "alert.received"}
        return [(came[one.remediation_id], one.body) for one in self.records if one.kind == kind]

    def intents(self) -> list[tuple[str, str, str]]:
        """(credential, namespace, rule) of all that was written."""
        return [(who, told["object"]["namespace"], told["rule"]) for who, told in self.bodies("action.intent")]


async def delivered(
    access: Access, count: int, by: Sequence[str] = TENANTS, *, minutes: int = MINUTES
) -> Told:
    """So many alerts over HTTP, then decided on and carried through until nothing is left to be done, which is within
    `MINUTES`; or for fewer minutes."""
    clock, places = FakeClock(), list[Place]()

    def on_write(place: Place, _: Request) -> None:
        places.append(place)

    town = Town(clock, on_write, places=PLACES)
    async with running(access=access) as service:
        with capture_logs():
            for tenant, one in sent(count, by):
                headers = {"Authorization": f"Bearer {token(tenant)}", "Content-Type": "application/json"}
                async with service.client.post("/api/v1/alerts", data=one, headers=headers) as answer:
                    assert answer.status == 200, await answer.text()
        is_done = await decided(service, town, clock, minutes=minutes)
        assert is_done or minutes < MINUTES, await service.store.queue_depth()
        records: list[CommittedRecord] = []
        while page := await service.store.records(after=len(records), limit=10_000):
            records += page
        begun = {one.body["fingerprint"] for one in records if one.kind == "alert.received"}
        known = await service.store.known.of(sorted(begun))
    return Told(records, [namespace for namespace, _ in places], {one.fingerprint: one.times_received for one in known})


async def decided(service: Service, town: Town, clock: FakeClock, *, minutes: int) -> bool:
    """Whether nothing is left."""
    table = rules()
    parts = Parts(
        store=service.store,
        cluster=town,
        metrics=TownMetrics(town, clock),
        clock=clock,
        rules=lambda: table,
        mode=Mode.ACTIVE,
        protected_namespaces=frozenset(),
        authority_of=service.access.credentials.authority_of,
    )
    for _ in range(minutes):
        for remediation in await service.store.claim(owner="t", at=clock.now(), lease=LEASE, limit=1000):
            with suppress(LostClaim):
                await remediate(Journal(remediation, store=service.store, clock=clock, rules=parts.rules()), parts)
        if not await service.store.queue_depth():
            return True
        clock.jump(minutes=1)
    return False


def outside(told: Told, access: Access) -> list[tuple[str, str, str]]:
    """What was written for a credential that may not speak of it."""
    found = []
    for who, namespace, by_rule in told.intents():
        authority = access.credentials.authority_of(who)
        if authority is None or authority.outside([namespace], by_rule):
            found.append((who, namespace, by_rule))
    return found


def honest(count: int) -> Counter[str]:
    """Fingerprint -> how often its own tenant told of it, by way of its own receiver."""
    found: Counter[str] = Counter()
    for tenant, one in sent(count):
        told = json.loads(one)
        found.update(
            [
                fingerprint(element["labels"])
                for element in told["alerts"]
                if told["receiver"].startswith(f"{tenant}/")
                and {element["labels"].get(name, tenant) for name in NAMESPACE_LABELS} == {tenant}
                and "namespace" in element["labels"]
                and element.get("fingerprint") in (None, fingerprint(element["labels"]))
            ]
        )
    return found


async def test_10_000_hostile_alerts_write_nothing_outside_of_their_credentials(tmp_path: Path) -> None:
    access = limited(tmp_path)
    told = await delivered(access, ALERTS)
    assert Counter(told.written_in) == Counter(namespace for _, namespace, _ in told.intents()), "all is accounted for"
    assert set(told.written_in) == set(TENANTS), "each had its own mended"
    assert outside(told, access) == []
    known = access.credentials.by_name
    for kind in ("alert.received", "alert.resolved"):
        for record in told.records:
            if record.kind == kind:
                authority = known[record.body["credential"]].authority
                assert authority.holds(record.body["labels"]), "no stranger began or ended anything"
                assert record.body["fingerprint"] == fingerprint(record.body["labels"])
    assert told.received == honest(ALERTS), "no stranger repeated anything"
    aside = [record.body["credential"] for record in told.records if record.kind == "alert.quarantined"]
    assert len(aside) > ALERTS / 3
    assert set(aside) == set(TENANTS)
    planned = told.bodies("step.planned")
    assert {(who, plan["object"]["namespace"]) for who, plan in planned} == {(tenant, tenant) for tenant in TENANTS}


async def test_the_same_alerts_write_elsewhere_where_credentials_have_no_limits(tmp_path: Path) -> None:
    """The negative control: it is the limits, and not that the alerts were harmless."""
    told = await delivered(unlimited(tmp_path), 200)
    assert any(who != namespace for who, namespace, _ in outside(told, limited(tmp_path)))


async def test_without_the_guard_a_rule_acts_for_whom_it_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the guard: the rule is known only once the alert is matched, and no step before asks."""
    without = tuple(guard for guard in GUARDS if guard.name != "scope")
    monkeypatch.setattr(remediator.pipeline, "GUARDS", without)
    access = limited(tmp_path)
    assert {by_rule for _, _, by_rule in outside(await delivered(access, 500), access)} == {"private"}


async def test_without_the_guard_and_the_bounds_labels_lead_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of both: what came in lawfully names the objects of others, and they are changed. A third
    thing stands in between, that the expression does not hold for such labels. One tenant sends alone, since what its
    owner had mended before would not be changed again."""
    without = tuple(guard for guard in GUARDS if guard.name not in ("scope", "still-firing"))
    monkeypatch.setattr(remediator.pipeline, "GUARDS", without)
    monkeypatch.setattr(remediator.pipeline, "reach_of", lambda *_: UNLIMITED)
    access = limited(tmp_path)
    found = outside(await delivered(access, 300, TENANTS[-1:], minutes=15), access)
    assert len({namespace for _, namespace, _ in found if namespace != TENANTS[-1]}) > 1


# -- one alert, and what the credential may when it is decided


SHOP, PAY = (Authority(namespaces=compile_pattern(name)) for name in ("shop", "pay"))
Knows = Callable[[str], Authority | None]


@pytest.mark.parametrize(
    ("known", "credential", "said"),
    [
        ({"a": SHOP}, "a", ""),
        ({"a": Authority(rules=compile_pattern("crash-loop"))}, "a", ""),
        ({"": Authority()}, "", ""),
        ({"a": Authority(rules=compile_pattern("other"))}, "a", "rule 'crash-loop' is outside"),
        ({"a": SHOP}, "", "came without a credential"),
    ],
)
async def test_the_guard_asks_what_the_credential_may_now(
    known: Mapping[str, Authority], credential: str, said: str
) -> None:
    async with world(authority_of=known.get) as one:
        await one.receive(alert(credential=credential))
        if not said:
            assert await one.run() is State.VERIFIED
            assert len(one.shop.writes()) == 1
            return
        assert await one.run() is State.RECOMMENDED
        told = await one.last_body()
        assert (told["reason"], said in told["detail"], told["guard"]) == (Reason.OUTSIDE_CREDENTIAL, True, "scope")
        assert one.shop.writes() == []


@pytest.mark.parametrize("known", [{"a": PAY}, {"b": SHOP}])
async def test_what_is_outside_is_not_even_read(known: Mapping[str, Authority]) -> None:
    """Nor does it join an incident of the target, or count in what is decided on it."""
    async with world(authority_of=known.get) as one:
        await one.receive(alert(credential="a"))
        assert await one.run() is State.DECLINED
        assert (await one.last_body())["reason"] == Reason.OUTSIDE_CREDENTIAL
        assert one.shop.calls == []
        [incident] = await one.database.incidents(limit=10, open_only=False)
        assert incident.target == ""


async def test_a_credential_that_is_taken_away_while_it_waits_acts_no_more() -> None:
    known: dict[str, Authority] = {"a": SHOP}
    async with world(authority_of=known.get, mode=Mode.APPROVE) as one:
        await one.receive(alert(credential="a"))
        assert await one.one_pass() is State.AWAITING_APPROVAL
        [waiting] = await one.database.awaiting()
        plan_hash = waiting.request["plan_hash"]
        await one.database.answer(Approval(waiting.remediation, plan_hash, True, "ada", "yes", one.clock.now()))
        known.clear()
        assert await one.run() is State.DECLINED
        assert one.shop.writes() == []


@pytest.mark.parametrize(("authority", "ends"), [(PAY, "outcome.verified"), (SHOP, "outcome.failed")])
async def test_a_strangers_alert_after_an_action_does_not_undo_it(authority: Authority, ends: str) -> None:
    """A new alert on the target makes an action a failure, and its inverse is a write too; the second is a control."""
    async with world(authority_of={"a": SHOP, "b": authority}.get, rules=table()) as one:
        await one.receive(alert(credential="a"))
        assert await one.one_pass() is State.VERIFYING
        one.clock.jump(seconds=10)
        labels = {"alertname": "RemediatorHighErrorRate", "namespace": "pay", "deployment": "checkout"}
        opted = {"remediate_kind": "deployment", "remediate_name": "checkout", "remediate_namespace": "shop"}
        strange = {"fingerprint": "d" * 16, "labels": labels | opted, "starts_at": one.clock.now()}
        await one.receive(alert(credential="b", **strange))
        for _ in range(200):
            await one.one_pass()
            one.clock.jump(seconds=5)
            if {"outcome.verified", "outcome.failed"} & set(kinds := await one.kinds()):
                break
        assert ends in kinds
