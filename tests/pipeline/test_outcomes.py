"""Every way one alert can go, through the real pipeline and the real store, in active mode unless said otherwise."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.errors import PermanentError
from remediator.kube.access_review import REVIEW_PATH
from remediator.kube.base import Conflict, Forbidden, ReplyLost, Unreachable
from remediator.model import AlertStatus, Json, Mode, Request, State
from remediator.prometheus.base import PrometheusUnavailable, Sample
from remediator.reasons import Reason
from remediator.rules.ruleset import rule_set
from remediator.store.base import KillSwitch
from tests.pipeline.world import BAD, DEPLOYMENT, GOOD, World, rule, world
from tests.workloads import NOW, alert


async def test_a_crashing_release_is_rolled_back_once_and_verified() -> None:
    async with world() as one:
        await one.receive()
        assert await one.run() is State.VERIFIED
        assert one.shop.image == "shop/checkout:1.4"
        assert len(one.shop.writes()) == 1
        assert await one.kinds() == [
            "step.diagnosing",
            "step.planned",
            "action.intent",
            "action.applied",
            "outcome.verified",
        ]


async def test_verification_takes_the_time_asked_after_the_action() -> None:
    """Pods that were ready all along have proved nothing since."""
    async with world() as one:
        await one.receive()
        await one.run()
        applied, verified = [r.at for r in await one.records() if r.kind in ("action.applied", "outcome.verified")]
        assert verified - applied >= timedelta(minutes=2)


@pytest.mark.parametrize("mode", [Mode.SILENT, Mode.OFF])
async def test_a_cautious_mode_writes_nothing_and_says_what_it_would_do(mode: Mode) -> None:
    async with world(mode=mode) as one:
        await one.receive()
        await one.run()
        last = await one.last()
        assert one.shop.writes() == []
        assert last.body["plan"]["after"] == GOOD
        assert last.body["reason"] == f"mode-{mode}"


async def test_silent_mode_asks_every_guard_and_the_dry_run() -> None:
    async with world(mode=Mode.SILENT) as one:
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        guards = [verdict["guard"] for verdict in (await one.last()).body["verdicts"]]
        assert guards[-1] == "dry-run"
        assert [(request.path, dry) for request, dry in one.shop.sent] == [(DEPLOYMENT, True), (REVIEW_PATH, True)]


async def test_the_rule_s_own_mode_holds_when_it_is_more_cautious() -> None:
    async with world(rules=rule_set([rule(mode="silent")])) as one:
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        assert one.shop.writes() == []


async def test_what_waits_for_approval_expires() -> None:
    async with world(mode=Mode.APPROVE) as one:
        await one.receive()
        assert await one.run(until=lambda s: s is State.AWAITING_APPROVAL) is State.AWAITING_APPROVAL
        assert await one.run() is State.EXPIRED
        assert one.shop.writes() == []


async def engage(one: World, engaged: bool) -> None:
    await one.database.set_kill_switch(KillSwitch(engaged, "a test", "me", one.clock.now(), None))


async def test_the_kill_switch_holds_and_its_release_lets_go_on() -> None:
    async with world() as one:
        await engage(one, True)
        await one.receive()
        assert await one.run(until=lambda s: s is State.HELD) is State.HELD
        assert (await one.last()).body["reason"] == "kill-switch"
        await engage(one, False)
        assert await one.run() is State.VERIFIED


class SwitchedOff:
    """The store, in which the kill switch is engaged the moment the intent is committed."""

    def __init__(self, one: World) -> None:
        self._one = one

    def __getattr__(self, name: str) -> Any:
        return getattr(self._one.database, name)

    async def advance(self, *args: Any, **kwargs: Any) -> Any:
        done = await self._one.database.advance(*args, **kwargs)
        if kwargs["to"] is State.ACTING:
            await engage(self._one, True)
        return done


async def test_a_kill_switch_between_intent_and_write_stops_the_write() -> None:
    async with world() as one:
        one.store = SwitchedOff(one)
        await one.receive()
        await one.run(until=lambda s: s is State.HELD)
        assert one.shop.writes() == []
        assert (await one.last()).body["reason"] == "kill-switch"


async def test_a_second_alert_of_the_target_waits_for_the_cooldown() -> None:
    """Two pods crash, two alerts come, one write is made; the other alert goes away by itself."""
    other = replace(alert(), fingerprint="f" * 16, labels={**alert().labels, "pod": "checkout-2-a"})
    async with world() as one:
        await one.receive(alert(), other)
        for _ in range(60):
            await one.one_pass()
            one.clock.jump(seconds=5)
        assert len(one.shop.writes()) == 1
        assert {r.body["reason"] for r in await one.records() if r.kind == "decision.held"} <= {"cooldown", ""}


async def test_severity_three_watches_before_it_acts() -> None:
    async with world(rules=rule_set([rule(severity=3)])) as one:
        await one.receive(alert(starts_at=NOW - timedelta(minutes=1)))
        await one.one_pass()
        last = await one.last()
        assert (last.body["reason"], one.shop.writes()) == ("severity-waits", [])
        assert await one.run() is State.VERIFIED


async def test_an_alert_that_resolves_first_is_cancelled() -> None:
    gone = replace(alert(), status=AlertStatus.RESOLVED, ends_at=NOW)
    async with world() as one:
        await one.receive()
        await one.receive(gone)
        assert await one.run() is State.CANCELLED
        assert one.shop.writes() == []


class ResolvedMeanwhile(SwitchedOff):
    """The store, in which the alert resolves just before the intent is committed."""

    async def advance(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs["to"] is State.ACTING:
            await self._one.receive(replace(alert(), status=AlertStatus.RESOLVED, ends_at=NOW))
        return await self._one.database.advance(*args, **kwargs)


async def test_an_alert_that_resolves_after_the_guards_is_not_acted_on() -> None:
    async with world() as one:
        one.store = ResolvedMeanwhile(one)
        await one.receive()
        assert await one.run() is State.CANCELLED
        assert one.shop.writes() == []


async def test_no_rule_names_the_nearest() -> None:
    near = rule_set([rule(match=['alertname="KubePodCrashLooping"', 'namespace="pay"'])])
    async with world(rules=near) as one:
        await one.receive()
        assert await one.run() is State.DECLINED
        body = (await one.last()).body
        assert (body["reason"], body["nearest"]) == ("no-rule", "crash-loop")


async def test_no_target_is_declined() -> None:
    async with world() as one:
        await one.receive(alert(labels={"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "gone-1"}))
        assert await one.run() is State.DECLINED
        assert (await one.last()).body["reason"] == "target-not-found"


async def test_a_precondition_s_refusal_is_a_recommendation_with_its_name() -> None:
    async with world() as one:
        one.shop.live["spec"]["paused"] = True
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        assert (await one.last()).body["reason"] == "paused"
        assert one.shop.sent == []


async def test_missing_configuration_is_named_in_the_advice() -> None:
    async with world() as one:
        status = one.shop.peek("Pod", "shop", "checkout-3-a")["status"]["containerStatuses"][0]
        status["state"] = {
            "waiting": {"reason": "CreateContainerConfigError", "message": 'configmap "app-config" not found'}
        }
        status.pop("lastState")
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        assert (await one.last()).body["advice"] == "Restore ConfigMap app-config of shop/deployment/checkout"


async def test_an_unknown_cause_is_escalated_and_never_acted_on() -> None:
    async with world() as one:
        status = one.shop.peek("Pod", "shop", "checkout-3-a")["status"]["containerStatuses"][0]
        status["state"], status["restartCount"] = {"running": {}}, 0
        status.pop("lastState")
        await one.receive()
        assert await one.run() is State.ESCALATED
        assert one.shop.sent == []


async def test_a_rollback_that_does_not_help_is_reverted_once() -> None:
    async with world() as one:
        one.shop.heals = False
        await one.receive()
        assert await one.run() is State.REVERTED
        assert len(one.shop.writes()) == 2
        assert one.shop.live["spec"]["template"] == BAD


async def test_a_rollback_that_does_not_help_is_left_to_people_where_the_rule_says_so() -> None:
    proof = {"expect": ["rollout-complete"], "within": "10m", "stable_for": "2m", "otherwise": "escalate"}
    async with world(rules=rule_set([rule(verify=proof)])) as one:
        one.shop.heals = False
        await one.receive()
        assert await one.run() is State.ESCALATED
        assert len(one.shop.writes()) == 1


async def test_nothing_acts_again_on_a_release_that_was_rolled_back_in_vain() -> None:
    async with world() as one:
        one.shop.heals = False
        await one.receive()
        await one.run()
        one.clock.jump(hours=1)
        await one.receive(alert(fingerprint="d" * 16, starts_at=one.clock.now()))
        await one.one_pass()
        assert (await one.last()).body["reason"] == Reason.REDEPLOYED_AFTER_ROLLBACK
        assert len(one.shop.writes()) == 2


async def test_without_evidence_the_outcome_is_unknown_and_never_success() -> None:
    async with world() as one:
        await one.receive()
        await one.run(until=lambda s: s is State.VERIFYING)
        one.metrics.failure = PrometheusUnavailable("down")
        assert await one.run() is State.UNKNOWN
        assert one.shop.image == "shop/checkout:1.4"


async def test_a_series_that_still_holds_for_the_workload_s_pod_is_no_success() -> None:
    async with world() as one:
        one.metrics.extra = [Sample({"namespace": "shop", "pod": "checkout-2-a"}, 1.0)]
        await one.receive()
        assert await one.run() is State.REVERTED


async def test_a_series_of_another_workload_does_not_count() -> None:
    async with world() as one:
        one.metrics.extra = [Sample({"namespace": "shop", "pod": "other-1"}, 1.0)]
        await one.receive()
        assert await one.run() is State.VERIFIED


async def test_a_conflict_is_decided_again_three_times_then_left_to_people() -> None:
    async with world() as one:

        def conflict(request: Request, dry_run: bool) -> Json:
            if dry_run:
                return one.shop.patch(request, dry_run)
            raise Conflict("the object is not as the request requires")

        one.shop.replies["PATCH", DEPLOYMENT] = conflict
        await one.receive()
        assert await one.run() is State.ESCALATED
        assert len(one.shop.writes()) == 4
        assert one.shop.image == "shop/checkout:1.5"


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_lost_reply_is_settled_by_reading(arrives: bool) -> None:
    """Done: verified without a second write. Not done: looked at until it cannot arrive any more, then decided anew."""
    async with world() as one:
        lost = 0

        def lose(request: Request, dry_run: bool) -> Json:
            nonlocal lost
            if dry_run or lost:
                return one.shop.patch(request, dry_run)
            lost += 1
            if arrives:
                one.shop.patch(request, dry_run)
            raise ReplyLost("no answer")

        one.shop.replies["PATCH", DEPLOYMENT] = lose
        await one.receive()
        assert await one.run() is State.VERIFIED
        assert len(one.shop.writes()) == (1 if arrives else 2)
        if not arrives:
            sent = [r.at for r in await one.records() if r.kind == "action.intent"]
            assert sent[1] - sent[0] >= timedelta(seconds=120)


async def test_an_object_changed_between_plan_and_write_is_not_written() -> None:
    async with world() as one:

        def changed(request: Request, dry_run: bool) -> Json:
            answer = one.shop.patch(request, dry_run)
            if dry_run:
                one.shop.live["spec"]["replicas"] = 2
                one.shop.live["metadata"]["generation"] += 1
                one.shop.live["status"]["observedGeneration"] += 1
            return answer

        one.shop.replies["PATCH", DEPLOYMENT] = changed
        await one.receive()
        await one.run(minutes=5)
        assert one.shop.image == "shop/checkout:1.5"
        assert "action.applied" not in await one.kinds()


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [(Forbidden("no"), "dry-run-not-provable"), (PermanentError("denied by policy"), "dry-run-refused")],
)
async def test_a_dry_run_that_is_refused_ends_the_attempt(refusal: Exception, reason: str) -> None:
    async with world() as one:
        one.shop.replies["PATCH", DEPLOYMENT] = refusal
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        assert (await one.last()).body["reason"] == reason
        assert one.shop.writes() == []


async def test_an_api_server_that_is_away_is_asked_again() -> None:
    async with world() as one:
        one.shop.errors["/api/v1/namespaces/shop/pods/checkout-3-a"] = Unreachable("away")
        await one.receive()
        with pytest.raises(Unreachable):
            await one.one_pass()
        one.shop.errors.clear()
        one.clock.jump(minutes=3)
        assert await one.run() is State.VERIFIED


async def test_a_decision_that_never_comes_expires() -> None:
    async with world() as one:
        await engage(one, True)
        await one.receive()
        assert await one.run() is State.EXPIRED
        assert one.shop.writes() == []


async def test_an_opt_out_on_the_workload_is_heeded() -> None:
    async with world() as one:
        one.shop.live["metadata"]["annotations"]["remediator.io/mode"] = "off"
        await one.receive()
        await one.run()
        assert (await one.last()).body["reason"] == "opted-out"


async def test_a_mode_that_cannot_be_read_means_silent() -> None:
    async with world() as one:
        one.shop.live["metadata"]["annotations"]["remediator.io/mode"] = "actve"
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        assert (await one.last()).body["reason"] == "mode-annotation-invalid"


async def test_a_truncated_body_is_only_recommended_on() -> None:
    async with world() as one:
        await one.receive(alert(truncated=3))
        assert await one.run() is State.RECOMMENDED
        assert one.shop.writes() == []


def test_the_world_is_copied_for_each_test() -> None:
    """The templates that all tests share are not changed by any."""
    assert copy.deepcopy(BAD)["spec"]["containers"][0]["image"] == "shop/checkout:1.5"
