"""One remediation, whose write meets one fault on its way to the API server, as far as it goes: for the rig
(`tests/cluster/test_api_faults.py`) and for the embedded cluster (`tests/pipeline/test_api_faults.py`).

The pipeline, the journal, the client and the proxy are real; Prometheus says what it is told to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from remediator.access.credentials import Credentials
from remediator.authority import UNLIMITED
from remediator.clock import Clock
from remediator.errors import TransientError
from remediator.journal import Journal
from remediator.kube.base import Cluster
from remediator.model import TERMINAL, Alert, Mode, State
from remediator.parts import Parts
from remediator.pipeline import admit, remediate
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.store.base import LostClaim
from remediator.store.opening import open_in_memory
from tests.cluster.lossy import Fate
from tests.fakes import Firing
from tests.pipeline.world import rule
from tests.workloads import alert

FATES = (
    Fate.REPLY_LOST,
    Fate.RESET,
    Fate.SLOW,
    Fate.RESET_AFTER,
    Fate.CUT,
    Fate.ERROR_BEFORE,
    Fate.ERROR_AFTER,
    Fate.CONFLICT,
    Fate.TOO_MANY,
    Fate.STALE,
)
ACTIONS = ("rollback", "restart", "scale", "evict")
WRITES: Mapping[str, tuple[str, str]] = {
    "rollback": ("PATCH", "/deployments/"),
    "restart": ("PATCH", "/deployments/"),
    "scale": ("PATCH", "/scale"),
    "evict": ("POST", "/eviction"),
}
"""Its method, and what its path has."""

PROOF = {"within": "10m", "stable_for": "1s", "otherwise": "escalate"}
SETTLED = TERMINAL | {State.TEMPORARY}
"""A scale helped, and will be given back later: of no interest here."""

LEASE = timedelta(minutes=2)
MOST_PASSES = 400


def rules(action: str) -> RuleSet:
    """A rule that answers the alert with that action, whatever the cause, and no wait before it."""
    rows: dict[str, Any] = {
        "rollback": {"do": "rollback"},
        "restart": {"do": "restart"},
        "scale": {"do": "scale", "with": {"max_replicas": 10}},
        "evict": {"do": "evict", "with": {"which": "worst"}},
    }
    proof = {"expect": ["rollout-complete", "pods-ready"], **PROOF}
    collectors = ["containers", "logs", "events", "rollout", "config", "node", "resources", "scheduling", "autoscaling"]
    guards = {"storm": {"targets": 1000, "share": 100}}
    return rule_set(
        [
            rule(
                name=action,
                match=['alertname="InTrouble"'],
                diagnose=collectors,
                respond=[rows[action]],
                verify=proof,
                guards=guards,
            )
        ]
    )


@dataclass
class Told:
    """How it ended. `intents` are the requests that were announced, each of which was sent once at most."""

    state: State
    kinds: list[str] = field(default_factory=list)
    last: Mapping[str, Any] = field(default_factory=dict)

    @property
    def intents(self) -> int:
        return self.kinds.count("action.intent")


def in_trouble(clock: Clock, namespace: str, name: str) -> Alert:
    labels = {"alertname": "InTrouble", "namespace": namespace, "deployment": name}
    return alert(labels=labels, starts_at=clock.now())


async def remedied(
    about: Alert, action: str, *, cluster: Cluster, clock: Clock, wait: Callable[[State], Awaitable[None]]
) -> Told:
    """Take it as far as it goes, as the worker does; `wait` lets time pass between two looks."""
    table, store = rules(action), await open_in_memory(clock=clock)
    labels = {name: text for name, text in about.labels.items() if name != "alertname"}
    parts = Parts(
        store=store,
        cluster=cluster,
        metrics=Firing(clock, labels),
        clock=clock,
        rules=lambda: table,
        mode=Mode.ACTIVE,
        protected_namespaces=frozenset({"kube-system"}),
        authority_of=Credentials().authority_of,
    )
    try:
        await admit([about], store=store, clock=clock, authority=UNLIMITED)
        state = State.QUEUED
        for _ in range(MOST_PASSES):
            for remediation in await store.claim(owner="test", at=clock.now(), lease=LEASE, limit=1):
                journal = Journal(remediation, store=store, clock=clock, rules=table)
                try:
                    await remediate(journal, parts)
                except (LostClaim, TransientError):  # as the worker: look again later
                    with suppress(LostClaim):
                        due = clock.now() + timedelta(seconds=5)
                        await store.release(journal.remediation, due_at=due, progress=journal.remediation.progress)
                state = journal.state
            if state in SETTLED:
                break
            await wait(state)
        records = [one for one in await store.records(after=0, limit=1000) if one.remediation_id is not None]
        ours = [one for one in records if not one.kind.startswith(("alert.", "escalation."))]
        return Told(state, [one.kind for one in ours], ours[-1].body if ours else {})
    finally:
        await store.close()


def check(told: Told, fate: Fate, *, action: str, sent: int, done: int) -> None:
    """`done` are the writes that the API server's own log knows of as done, `sent` those that went out.

    One was done, whatever happened; a second one was sent only where the API server turned the first away unseen (429),
    or where it was decided anew, under an intent of its own, after it was certain that the first would not come.
    """
    story = (fate.name, action, told.state, told.kinds, told.last.get("detail"))
    assert done == 1, (*story, f"{done} writes were done")
    assert told.state in (State.VERIFIED, State.TEMPORARY), story
    again = {Fate.TOO_MANY: (2, 1), Fate.CONFLICT: (2, 2), Fate.RESET: (2, 2), Fate.ERROR_BEFORE: (2, 2)}
    assert (sent, told.intents) == again.get(fate, (1, 1)), story

