"""What we did before a story begins: actions in the ledger, with what became of them. Called by `replay.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from remediator.errors import ConfigError
from remediator.model import ActionId, Alert, AlertStatus, Outcome, Plan, Proof, Request, State, Step, Target, ToldBy
from remediator.rules.ruleset import RuleSet
from remediator.simulate.facts import Past
from remediator.simulate.happenings import Happening
from remediator.store.base import Change, Record

_WAY = (State.DIAGNOSING, State.PLANNED, State.ACTING, State.VERIFYING)
_END: dict[Outcome | None, tuple[State, ...]] = {
    None: (),
    Outcome.VERIFIED: (State.VERIFIED,),
    Outcome.FAILED: (State.FAILED, State.ESCALATED),
    Outcome.UNKNOWN: (State.UNKNOWN,),
}
LEASE = timedelta(minutes=1)


async def remember(history: Sequence[Past], table: RuleSet, to: Happening, *, cluster: str) -> None:
    """Go the way of each action in the store, from its alert to its end. Raises ConfigError for an unknown rule."""
    for number, past in enumerate(sorted(history, key=lambda one: -one.ago), start=1):
        rule = table.rule(past.rule)
        if rule is None:
            raise ConfigError(f"history names rule {past.rule}, which is not in the table")
        await _one(number, past, rule.digest, to, cluster)


async def _one(number: int, past: Past, digest: str, to: Happening, cluster: str) -> None:
    database, now = to.database, to.now
    acted_at = to.stage.zero - past.ago
    alert = Alert(
        fingerprint=f"{number:016x}",
        status=AlertStatus.FIRING,
        labels={"alertname": "Earlier", "namespace": past.of.namespace},
        annotations={},
        starts_at=acted_at,
        ends_at=None,
        generator_url="",
        receiver="remediator",
        group_key="{}",
    )
    await database.accept([alert], at=now)
    [mine] = await database.claim(owner="story", at=now, lease=LEASE, limit=1)
    uid = to.stage.get(past.of)["metadata"]["uid"]
    target = Target(cluster, past.of.kind, past.of.namespace, past.of.name, uid)
    begun = Change(target=target, rule=past.rule, rule_digest=digest, plan=_plan(past, target), acted_at=acted_at)
    for state in _WAY + _END[past.outcome]:
        change = begun if state is State.ACTING else Change()
        mine = await database.advance(mine, to=state, record=Record("story.past", {}), at=now, change=change)
    if past.outcome is None:  # nobody looks at it again within the story
        await database.release(mine, due_at=to.stage.zero + timedelta(days=365), progress={})
    else:
        await database.accept([replace(alert, status=AlertStatus.RESOLVED, ends_at=now)], at=now)


def _plan(past: Past, target: Target) -> Plan:
    request = Request("PATCH", "/story/past", "application/json-patch+json", [])
    return Plan(
        action=past.action,
        action_id=ActionId("0" * 32),
        target=target,
        steps=(Step(request, target, ToldBy.MARK),),
        proof=Proof((), timedelta(), timedelta(), "escalate"),
        generation=1,
        template_hash="",
        summary=f"{past.action} of {target}, before the story",
        before=None,
        after=None,
    )
