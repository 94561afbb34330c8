"""Prometheus and Alertmanager that are down, slow, wrong or empty, over their real clients and a socket, at each of the
three moments at which the pipeline asks: nothing is done on it, it is told by name, and it goes on when they are back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from remediator.alertmanager.client import AlertmanagerApi
from remediator.clock import rfc3339
from remediator.model import Remediation, State
from remediator.prometheus.client import PrometheusMetrics
from remediator.reasons import Reason
from remediator.rules.ruleset import rule_set
from tests.pipeline.world import EXPRESSION, World, crashing, rule, world
from tests.unit.prometheus.conftest import failure, vector
from tests.unit.scripted_server import DROP, HANG, Answer, Asked, ScriptedServer
from tests.workloads import alert

DEEP = b"[" * 100_000
NAN = vector(*(({"namespace": "shop", "pod": pod}, "NaN") for pod in ("checkout-3-a", "checkout-2-a")))


def data(result_type: str, result: Any) -> Answer:
    return Answer(body={"status": "success", "data": {"resultType": result_type, "result": result}})


BROKEN: dict[str, Answer] = {
    "down": DROP,
    "slow": HANG,
    "500": failure(500, "internal"),
    "503 of a proxy": Answer(503, b"<html>no healthy upstream</html>"),
    "a page to sign in": Answer(200, b"<html>sign in</html>"),
    "to sign in elsewhere": Answer(302, b"", {"Location": "/login"}),
    "401": Answer(401, b"no"),
    "cut off": Answer(body={"status": "success", "data": {}}, then="cut"),
    "half a document": Answer(200, b'{"status":"success","data":{"resultType":"vector","res'),
    "too deep": Answer(200, DEEP),
    "a list": Answer(body=[]),
    "no data": Answer(body={"status": "success"}),
    "data of another type": Answer(body={"status": "success", "data": ["x"]}),
    "partial": vector(({}, "1"), warnings=["receive series from store-2: connection refused"]),
    "an error with 200": Answer(body={"status": "error", "errorType": "internal", "error": "no"}),
}
"""Whatever is asked, this is no answer."""

WRONG: dict[str, Answer] = {
    "no number": data("vector", [{"metric": {"namespace": "shop"}, "value": [1.7e9, "many"]}]),
    "a value too few": data("vector", [{"metric": {"namespace": "shop"}, "value": []}]),
    "a matrix": data("matrix", []),
    "an object for a list": data("vector", {"metric": {}}),
    "NaN": NAN,
}
"""Wrong to a query; the rules are there."""

ANY = {**BROKEN, **WRONG}


PROOF = {"expect": ["rollout-complete", "pods-ready", "alert-clear"], "within": "90s", "stable_for": "20s"}
PROOF |= {"otherwise": "revert"}
QUICK = rule_set([rule(verify=PROOF)])


@dataclass
class Watched:
    """A world whose Prometheus and Alertmanager are real clients of two servers. `*_fault` None: they are well."""

    world: World
    prometheus: ScriptedServer
    alertmanager: ScriptedServer
    prometheus_fault: tuple[str, Answer] | None = None
    alertmanager_fault: Answer | None = None

    def answer_query(self, asked: Asked) -> Answer:
        is_rules = asked.path.endswith("/rules")
        if self.prometheus_fault is not None:
            name, answer = self.prometheus_fault
            if name not in WRONG or not is_rules:
                return answer
        if is_rules:
            return self._rules()
        if asked.query.get("query") == EXPRESSION:
            return vector(*(({"namespace": "shop", "pod": name}, "1") for name in crashing(self.world.shop)))
        return vector(({}, "1"))

    def _rules(self) -> Answer:
        evaluated_at = rfc3339(self.world.clock.now())
        one = {"type": "alerting", "name": "KubePodCrashLooping", "query": EXPRESSION, "labels": {}, "health": "ok"}
        groups = [{"interval": 30, "rules": [{**one, "lastEvaluation": evaluated_at}]}]
        return Answer(body={"status": "success", "data": {"groups": groups}})

    def answer_list(self, asked: Asked) -> Answer:
        return self.alertmanager_fault or listed(state="active")

    def heal(self) -> None:
        self.prometheus_fault = self.alertmanager_fault = None


def listed(**status: Any) -> Answer:
    given = {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": [], **status}
    return Answer(body=[{"fingerprint": alert().fingerprint, "labels": {}, "status": given}])


@asynccontextmanager
async def watched(**changes: Any) -> AsyncIterator[Watched]:
    prometheus, alertmanager = ScriptedServer(), ScriptedServer()
    await prometheus.start()
    await alertmanager.start()
    async with world(**{"rules": QUICK, **changes}) as one:
        metrics = PrometheusMetrics(prometheus.url, one.clock, read_seconds=0.1)
        alerts = AlertmanagerApi([alertmanager.url])
        seen = Watched(one, prometheus, alertmanager)
        prometheus.script(seen.answer_query)
        alertmanager.script(seen.answer_list)
        one.metrics = metrics  # type: ignore[assignment]
        one.alertmanager = alerts
        try:
            yield seen
        finally:
            await prometheus.stop()
            await alertmanager.stop()
            await metrics.close()
            await alerts.close()


ASKS_FIRST = rule_set(
    [
        rule(
            verify=PROOF,
            diagnose=["logs", "rollout", "queries"],
            queries={"errors": "errors_of_the_shop"},
            respond=[
                {"when": {"query": {"name": "errors", "above": 0.5}}, "do": "rollback"},
                {"do": "escalate"},
            ],
        )
    ]
)


@pytest.mark.parametrize("name", ANY)
async def test_no_row_holds_on_a_number_that_is_not_there(name: str) -> None:
    """Diagnosis: the rule rolls back when errors are above one half, and nobody can say whether they are."""
    async with watched(rules=ASKS_FIRST) as seen:
        seen.prometheus_fault = (name, ANY[name])
        await seen.world.receive()
        assert await seen.world.run() is State.ESCALATED
        assert seen.world.shop.writes() == []
        assert (await seen.world.last_body())["reason"] == Reason.ROW_ESCALATES


async def test_a_row_holds_on_the_number() -> None:
    """The negative control."""
    async with watched(rules=ASKS_FIRST) as seen:
        await seen.world.receive()
        assert await seen.world.run() is State.VERIFIED


@dataclass
class AfterIntent:
    """The store; something happens right after the intent is committed."""

    inner: Any
    happens: Callable[[], None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def advance(self, remediation: Remediation, **step: Any) -> Remediation:
        moved: Remediation = await self.inner.advance(remediation, **step)
        if step["to"] is State.ACTING:
            self.happens()
        return moved


@pytest.mark.parametrize("when", ["before the guards", "after the intent"])
@pytest.mark.parametrize("name", ANY)
async def test_what_may_not_be_true_any_more_is_not_acted_on(name: str, when: str) -> None:
    """The still-true check, both times; it is held, or refused where another answer is not to be expected."""
    async with watched() as seen:
        one = seen.world

        def breaks() -> None:
            seen.prometheus_fault = (name, ANY[name])

        if when == "after the intent":
            one.store = AfterIntent(one.database, breaks)  # type: ignore[assignment]
        else:
            breaks()
        await one.receive()
        state = await one.one_pass()
        assert state in (State.HELD, State.RECOMMENDED)
        assert one.shop.writes() == []
        assert (await one.last_body())["reason"] == Reason.FACT_MISSING
        assert (await one.last_body())["detail"]

        seen.heal()
        one.store = None
        if state is State.HELD:
            assert await one.run() is State.VERIFIED
            assert len(one.shop.writes()) == 1


EMPTY_RULES = Answer(body={"status": "success", "data": {"groups": []}})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(vector(), Reason.ALERT_NOT_FIRING), (EMPTY_RULES, Reason.FACT_MISSING)],
    ids=["no series", "no rule"],
)
async def test_an_empty_answer_is_no_reason_to_act(answer: Answer, reason: Reason) -> None:
    async with watched() as seen:
        fault = "NaN" if reason is Reason.ALERT_NOT_FIRING else "no rule"  # to queries only, or to all
        seen.prometheus_fault = (fault, answer)
        await seen.world.receive()
        assert await seen.world.one_pass() in (State.HELD, State.RECOMMENDED)
        assert seen.world.shop.writes() == []
        assert (await seen.world.last_body())["reason"] == reason


@pytest.mark.parametrize("name", [*ANY, "no rule"])
async def test_what_cannot_be_verified_is_unknown_and_people_are_called(name: str) -> None:
    """All is well with the pods, and nobody can say so of the alert: that is no success, and nothing is reverted."""
    async with watched() as seen:
        one = seen.world
        await one.receive()
        await one.run(until=lambda state: state is State.VERIFYING)
        seen.prometheus_fault = (name, ANY.get(name, EMPTY_RULES))
        assert await one.run() is State.UNKNOWN
        assert (await one.last_body())["reason"] == Reason.EVIDENCE_MISSING
        assert [record.kind for record in await one.told()] == ["escalation.opened"]
        assert len(one.shop.writes()) == 1


@pytest.mark.parametrize("name", ["down", "slow", "partial", "half a document", "NaN"])
async def test_verification_goes_on_when_it_is_back(name: str) -> None:
    async with watched() as seen:
        one = seen.world
        await one.receive()
        await one.run(until=lambda state: state is State.VERIFYING)
        seen.prometheus_fault = (name, ANY[name])
        for _ in range(6):
            one.clock.jump(seconds=5)
            assert await one.one_pass() in (State.VERIFYING, None)
        seen.heal()
        assert await one.run() is State.VERIFIED


async def test_a_prometheus_that_forgot_everything_does_not_verify_alone() -> None:
    """Empty is what an alert that is over looks like, so the pods have to say it as well; and they do not."""
    async with watched() as seen:
        one = seen.world
        one.shop.heals = False
        await one.receive()
        await one.run(until=lambda state: state is State.VERIFYING)
        seen.prometheus_fault = ("NaN", vector())
        assert await one.run() is State.REVERTED


NOT_LISTED: dict[str, Answer] = {
    "down": DROP,
    "500": Answer(500),
    "401": Answer(401),
    "HTML": Answer(200, b"<html>sign in</html>"),
    "half a document": Answer(200, b'[{"fingerprint": "00112233aabbccdd", "status": {"sta'),
    "cut off": Answer(body=[{"fingerprint": "00112233aabbccdd"}], then="cut"),
    "too deep": Answer(200, DEEP),
    "an object": Answer(body={"status": "success"}),
    "no objects": Answer(body=["x"]),
    "no state": Answer(body=[{"fingerprint": "00112233aabbccdd", "status": {}}]),
    "a state that is none": listed(state="happy"),
    "a status that is a word": Answer(body=[{"fingerprint": "00112233aabbccdd", "status": "active"}]),
    "silences that are a number": listed(state="suppressed", silencedBy=1),
}


@pytest.mark.parametrize("when", ["before the guards", "after the intent"])
@pytest.mark.parametrize("name", NOT_LISTED)
async def test_an_alert_that_may_be_silenced_is_not_acted_on(name: str, when: str) -> None:
    async with watched() as seen:
        one = seen.world

        def breaks() -> None:
            seen.alertmanager_fault = NOT_LISTED[name]

        if when == "after the intent":
            one.store = AfterIntent(one.database, breaks)  # type: ignore[assignment]
        else:
            breaks()
        await one.receive()
        assert await one.one_pass() is State.HELD
        assert one.shop.writes() == []
        assert (await one.last_body())["reason"] == Reason.FACT_MISSING

        seen.heal()
        one.store = None
        assert await one.run() is State.VERIFIED
        assert len(one.shop.writes()) == 1


async def test_an_alertmanager_that_lists_nothing_holds_it() -> None:
    async with watched() as seen:
        seen.alertmanager_fault = Answer(body=[])
        await seen.world.receive()
        assert await seen.world.one_pass() is State.HELD
        assert (await seen.world.last_body())["reason"] == Reason.ALERT_NOT_FIRING
        seen.heal()
        assert await seen.world.run() is State.VERIFIED


async def test_an_alertmanager_that_is_slow_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediator.alertmanager.client.TIMEOUT_SECONDS", 0.2)
    async with watched() as seen:
        seen.alertmanager_fault = HANG
        await seen.world.receive()
        assert await seen.world.one_pass() is State.HELD
        assert (await seen.world.last_body())["reason"] == Reason.FACT_MISSING
        assert seen.world.shop.writes() == []


