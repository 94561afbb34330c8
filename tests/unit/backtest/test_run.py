"""What a table would have done: rows, what is needed, guards that count, each with its negative control."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.backtest.decided import Decided, Result, Would
from remediator.backtest.episodes import episodes
from remediator.backtest.facts import Facts
from remediator.backtest.history import History, Series, Span
from remediator.backtest.past_store import PastStore
from remediator.backtest.run import PastClock, backtest, play
from remediator.guards.freeze import Freeze
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.rules.schema import Rule
from remediator.store.database import Database
from remediator.store.opening import open_in_memory
from tests.unit.backtest.written import Town, at, firing, history, when

VERIFY = {"expect": ["rollout-complete"], "within": "10m", "stable_for": "2m"}
EASY = {"budgets": {"action": ["50 per 1h"], "namespace": ["50 per 1h"], "cluster": ["50 per 1h"]}}
NO_STORM = {"storm": {"targets": 1000, "share": 100}}


def table(*respond: dict[str, Any], freezes: tuple[Freeze, ...] = (), **fields: Any) -> RuleSet:
    """One rule for KubePodNotReady, of severity 2, whose budgets are not in the way."""
    given = {
        "name": "not-ready",
        "match": ['alertname="KubePodNotReady"'],
        "severity": 2,
        "respond": list(respond) or [{"do": "restart"}],
        "verify": VERIFY,
        "guards": EASY,
        **fields,
    }
    return rule_set([Rule.model_validate(given)], freezes=freezes)


def not_ready(pod: str, *spans: tuple[float, float], namespace: str = "shop") -> Series:
    return firing("KubePodNotReady", *spans, namespace=namespace, pod=pod, severity="warning")


async def run(given: History, rules: RuleSet) -> Result:
    return await backtest(given, rules, name="test")


async def words(given: History, rules: RuleSet) -> list[Decided]:
    return list((await run(given, rules)).decided)


def town(*names: str, pods: int = 2) -> Town:
    made = Town()
    for name in names:
        made.deployment("shop", name, pods=pods)
    return made


async def test_a_row_without_conditions_would_have_acted_on_the_workload_of_the_pod() -> None:
    """The pod's owner, by its ReplicaSet, as kube-state-metrics told it."""
    [word] = await words(history(not_ready("web-v1-1", (100, 120)), facts=town("web").facts), table())
    assert (word.would, word.rule, word.target) == (Would.ACT, "not-ready", "shop/deployment/web")
    assert (word.action, word.needs, word.at) == ("restart", (), when(100))


async def test_no_rule_names_the_nearest() -> None:
    rules = table(match=['alertname="KubePodNotReady"', 'namespace="pay"'])
    [word] = await words(history(not_ready("web-v1-1", (100, 120)), facts=town("web").facts), rules)
    assert (word.would, word.reason) == (Would.NOTHING, "no-rule")
    assert "nearest rule not-ready" in word.detail


async def test_a_pod_that_was_not_listed_is_gone() -> None:
    [word] = await words(history(not_ready("web-v1-9", (100, 120)), facts=town("web").facts), table())
    assert (word.would, word.reason) == (Would.NOTHING, "target-not-found")


async def test_a_pod_is_not_gone_only_because_nobody_told_of_pods() -> None:
    """Without the fact, and at a time at which it has no samples."""
    facts = town("web").facts
    del facts["pods"]
    [word] = await words(history(not_ready("web-v1-1", (100, 120)), facts=facts), table())
    assert (word.would, word.needs) == (Would.UNTOLD, ("pods, their nodes and owners (kube_pod_info)",))
    away = Town(until=50)
    away.deployment("shop", "web")
    [word] = await words(history(not_ready("web-v1-1", (100, 120)), facts=away.facts), table())
    assert word.would is Would.UNTOLD
    assert "kube_pod_info has no samples then" in word.needs[0]


async def test_a_protected_namespace_stays_protected() -> None:
    made = Town()
    made.deployment("kube-system", "dns")
    [word] = await words(history(not_ready("dns-v1-1", (100, 120), namespace="kube-system"), facts=made.facts), table())
    assert (word.would, word.reason) == (Would.NOTHING, "target-protected")


# --- what history does not tell


async def test_a_cause_is_never_guessed() -> None:
    """The row that asks for one is possible, and says so; the words behind it are not counted as needs."""
    rules = table({"when": {"cause": "code-error"}, "do": "restart"}, {"do": "escalate"})
    [word] = await words(history(not_ready("web-v1-1", (100, 120)), facts=town("web").facts), rules)
    assert (word.would, word.action, word.others) == (Would.COULD, "restart", ("escalate",))
    assert word.needs == ("the cause (logs, events, configuration)",)


async def test_what_is_told_rules_a_row_out() -> None:
    """Nothing was deployed for days, so whatever the cause was, this row would not have been taken."""
    row = {"when": {"cause": "code-error", "deployed_within": "2h"}, "do": "rollback"}
    [word] = await words(
        history(not_ready("web-v1-1", (100, 120)), facts=town("web").facts), table(row, {"do": "escalate"})
    )
    assert (word.would, word.action, word.needs) == (Would.SPEAK, "escalate", ())


def deployed(*, image: str | None = None) -> Town:
    """A second release at minute 60, complete ten minutes later."""
    made = Town()
    made.add("deployments", {"namespace": "shop", "deployment": "web"}, value=0)
    made.add("replicas", {"namespace": "shop", "deployment": "web"}, value=2)
    made.release("shop", "web", "v1", until=70)
    made.release("shop", "web", "v2", since=60, image=image)
    return made


RECENT = {"when": {"deployed_within": "2h"}, "do": "rollback"}
LAST = {"do": "escalate"}


async def test_a_release_that_was_told_is_recent_for_two_hours() -> None:
    """Another image: not merely a restart."""
    early, late = not_ready("web-v2-1", (100, 120)), not_ready("web-v2-2", (250, 260))
    first, second = await words(history(early, late, facts=deployed().facts), table(RECENT, {"do": "escalate"}))
    assert (first.would, first.action, first.needs) == (Would.ACT, "rollback", ())
    assert (second.would, second.action) == (Would.SPEAK, "escalate")


async def test_a_rollout_of_the_same_image_may_be_a_restart() -> None:
    facts = deployed(image="web:v1").facts
    [word] = await words(history(not_ready("web-v2-1", (100, 120)), facts=facts), table(RECENT, {"do": "escalate"}))
    assert word.would is Would.COULD
    assert word.needs == ("whether a rollout changed more than a restart does (pod templates)",)


async def test_a_rollout_that_begins_with_the_alert_may_have_begun_before_it() -> None:
    """Between two samples nobody knows which was first."""
    [word] = await words(history(not_ready("web-v1-1", (58, 90)), facts=deployed().facts), table(RECENT, LAST))
    assert word.would is Would.COULD
    assert "whether a rollout of that minute had begun" in word.needs[0]


async def test_a_rollout_that_does_not_end_is_recent_for_as_long_as_it_runs() -> None:
    """Two ReplicaSets with replicas after three hours: nobody told whether it still counted as running."""
    made = Town()
    made.add("deployments", {"namespace": "shop", "deployment": "web"}, value=0)
    made.release("shop", "web", "v1")
    made.release("shop", "web", "v2", since=60)
    early, late = not_ready("web-v2-1", (100, 120)), not_ready("web-v2-2", (250, 260))
    first, second = await words(history(early, late, facts=made.facts), table(RECENT, LAST))
    assert (first.would, first.needs) == (Would.ACT, ())
    assert (second.would, second.needs) == (Would.COULD, ("whether the rollout was still running",))


async def test_a_gap_of_kube_state_metrics_is_no_rollout() -> None:
    """For half an hour nothing was told; what had replicas before has them after."""
    made = town("web")
    for name, series in made.facts.items():
        made.facts[name] = [
            Series(one.labels, tuple(part for span in one.spans for part in around(span, at(40), at(70))))
            for one in series
        ]
    alert = history(not_ready("web-v1-1", (100, 120)), facts=made.facts)
    [word] = await words(alert, table(RECENT, LAST))
    assert (word.would, word.action, word.needs) == (Would.SPEAK, "escalate", ())


async def test_without_a_day_of_history_an_old_deployment_may_have_been_rolled_back_to() -> None:
    """A ReplicaSet is created once and can be used again; what was before the first sample nobody told."""
    made = Town()
    made.add("deployments", {"namespace": "shop", "deployment": "web"}, since=-60, value=0)
    made.release("shop", "web", "v1", since=-60)
    made.facts["replicasets"] = [
        Series(one.labels, tuple(span._replace(value=at(-5000)) for span in one.spans))
        for one in made.facts["replicasets"]
    ]
    [word] = await words(history(not_ready("web-v1-1", (100, 120)), facts=made.facts), table(RECENT, LAST))
    assert (word.would, word.needs) == (Would.COULD, ("when it was last deployed (history begins too late)",))


def around(span: Span, begin: float, end: float) -> list[Span]:
    """The run without its middle."""
    return [span._replace(last=begin), span._replace(first=end)]


async def test_a_spec_that_was_not_observed_puts_every_action_in_doubt() -> None:
    """The service waits for the controller, a few times, and then only recommends."""
    made = town("web")
    made.add("unobserved", {"namespace": "shop", "deployment": "web"}, since=95, until=130)
    [word] = await words(history(not_ready("web-v1-1", (100, 120)), facts=made.facts), table())
    assert word.would is Would.COULD
    assert word.needs == ("whether its spec was observed in time (the controller lagged behind)",)


async def test_an_autoscaler_leads_to_what_it_scales() -> None:
    """And a Service to nothing: what it selects nobody told."""
    made = town("web")
    scaled = {"scaletargetref_kind": "Deployment", "scaletargetref_name": "web"}
    made.add("autoscalers", {"namespace": "shop", "horizontalpodautoscaler": "web-hpa", **scaled})
    rules = table(match=['alertname=~"KubeHpaMaxedOut|ServiceDown"'])
    maxed = firing("KubeHpaMaxedOut", (100, 120), namespace="shop", horizontalpodautoscaler="web-hpa")
    down = firing("ServiceDown", (200, 220), namespace="shop", service="web")
    one, other = await words(history(maxed, down, facts=made.facts), rules)
    assert (one.would, one.target) == (Would.ACT, "shop/deployment/web")
    assert (other.would, other.needs) == (Would.UNTOLD, ("the Service web: its selector, or itself",))


async def test_a_share_of_pods_is_told_by_their_readiness() -> None:
    made = town("web", pods=4)
    made.unready("shop", "web-v1-1", since=80, until=130)
    row = {"when": {"affected_ratio": {"max": 0.5}}, "do": "evict"}
    alert = not_ready("web-v1-1", (100, 120))
    [one] = await words(history(alert, facts=made.facts), table(row))
    assert (one.would, one.needs) == (Would.ACT, ())
    assert one.seen == "web-v1-1/app CrashLoopBackOff"
    for number in (2, 3):
        made.unready("shop", f"web-v1-{number}", since=80, until=130)
    [most] = await words(history(alert, facts=made.facts), table(row))
    assert (most.would, most.reason) == (Would.NOTHING, "no-row")


async def test_a_share_is_not_told_while_pods_come_and_go() -> None:
    made = town("web")
    made.add(
        "pods",
        {"namespace": "shop", "pod": "new", "created_by_kind": "ReplicaSet", "created_by_name": "web-v1"},
        since=105,
    )
    row = {"when": {"affected_ratio": {"max": 0.5}}, "do": "evict"}
    [word] = await words(history(not_ready("web-v1-1", (103, 120)), facts=made.facts), table(row))
    assert (word.would, word.needs) == (Would.COULD, ("which of its pods were ready",))


# --- guards


def many(count: int) -> tuple[Town, list[Series]]:
    """So many workloads, one alert each, all within a minute."""
    names = [f"app{number}" for number in range(count)]
    return town(*names), [not_ready(f"{name}-v1-1", (100, 130)) for name in names]


async def test_a_storm_stops_everything_and_four_targets_are_none() -> None:
    """The service's own numbers: five within five minutes. With the guard's bound out of reach they would act."""
    made, alerts = many(5)
    stormy = await words(
        history(*alerts, facts=made.facts), table(guards={**EASY, "concurrency": {"namespace": 20, "cluster": 50}})
    )
    assert {(one.would, one.guard, one.reason) for one in stormy} == {(Would.REFUSED, "storm", "storm")}
    loose = {**EASY, **NO_STORM, "concurrency": {"namespace": 20, "cluster": 50}}
    calm = await words(history(*alerts, facts=made.facts), table(guards=loose))
    assert {one.would for one in calm} == {Would.ACT}
    few, alerts = many(30)
    quiet = await words(
        history(*alerts[:4], facts=few.facts), table(guards={**EASY, "concurrency": {"namespace": 20, "cluster": 50}})
    )
    assert {one.would for one in quiet} == {Would.ACT}


async def test_a_limit_of_the_rule_holds_what_comes_after_it() -> None:
    """Without the limit both act."""
    alerts = [not_ready("web-v1-1", (100, 110)), not_ready("pay-v1-1", (130, 140))]
    facts = town("web", "pay").facts
    first, second = await words(history(*alerts, facts=facts), table(limits=["1 per 1h"]))
    assert (first.would, second.would) == (Would.ACT, Would.HELD)
    assert (second.guard, second.reason) == ("limits", "limit-used")
    assert "1 of 1 per 1h used" in second.detail
    assert [one.would for one in await words(history(*alerts, facts=facts), table())] == [Would.ACT, Would.ACT]


async def test_a_budget_of_the_namespace_counts_its_workloads() -> None:
    """A tenth of the workloads, one at least; twenty workloads have two."""
    guards = {"budgets": {"action": ["50 per 1h"], "cluster": ["50 per 1h"]}}
    small, large = town("web", "pay"), town("web", "pay", *(f"app{number}" for number in range(18)))
    alerts = [not_ready("web-v1-1", (100, 110)), not_ready("pay-v1-1", (130, 140))]
    assert [one.would for one in await words(history(*alerts, facts=small.facts), table(guards=guards))] == [
        Would.ACT,
        Would.HELD,
    ]
    assert [one.would for one in await words(history(*alerts, facts=large.facts), table(guards=guards))] == [
        Would.ACT,
        Would.ACT,
    ]


async def test_a_cooldown_holds_the_same_workload_and_not_another_one() -> None:
    """Fifteen minutes; the second alert lasts longer than that, so it would have been acted on late."""
    alerts = [not_ready("web-v1-1", (100, 103)), not_ready("web-v1-2", (106, 130)), not_ready("pay-v1-1", (109, 111))]
    guards = {**EASY, **NO_STORM, "concurrency": {"namespace": 20, "cluster": 50}}
    first, second, third = await words(history(*alerts, facts=town("web", "pay").facts), table(guards=guards))
    assert (first.would, first.at) == (Would.ACT, when(100))
    assert (second.would, second.at) == (Would.ACT, when(115))
    assert (third.would, third.at) == (Would.ACT, when(109))


async def test_one_at_a_time_in_a_namespace() -> None:
    """The first goes on until its alert has been over for two minutes; the other waits for it, or is over before."""
    alerts = [not_ready("web-v1-1", (100, 104)), not_ready("pay-v1-1", (101, 120)), not_ready("api-v1-1", (102, 103))]
    guards = {**EASY, **NO_STORM}
    facts = town("web", "pay", "api").facts
    first, second, third = await words(history(*alerts, facts=facts), table(guards=guards))
    assert first.would is Would.ACT
    assert (second.would, second.at) == (Would.ACT, when(107))
    assert (third.would, third.reason) == (Would.HELD, "too-many-at-once")
    assert "resolved before anything was done" in third.detail
    guards["concurrency"] = {"namespace": 20, "cluster": 50}
    together = await words(history(*alerts, facts=facts), table(guards=guards))
    assert [one.at for one in together] == [when(100), when(101), when(102)]


async def test_a_severity_waits_and_what_heals_meanwhile_is_left_alone() -> None:
    """Severity 3 watches for five minutes."""
    alerts = [not_ready("web-v1-1", (100, 102)), not_ready("pay-v1-1", (200, 220))]
    first, second = await words(history(*alerts, facts=town("web", "pay").facts), table(severity=3))
    assert (first.would, first.reason) == (Would.HELD, "severity-waits")
    assert (second.would, second.at) == (Would.ACT, when(205))


async def test_an_alert_that_comes_and_goes_is_flapping() -> None:
    alerts = not_ready("web-v1-1", (100, 101), (104, 105), (108, 130))
    guards = {**EASY, "cooldown": {"period": "1m"}}
    found = await words(history(alerts, facts=town("web").facts), table(guards=guards, severity=3))
    assert [one.reason for one in found] == ["severity-waits", "flapping", "flapping"]
    guards["flap"] = {"changes": 20}
    found = await words(history(alerts, facts=town("web").facts), table(guards=guards, severity=3))
    assert [one.reason for one in found] == ["severity-waits", "severity-waits", ""]


async def test_a_freeze_holds() -> None:
    """The story's noon is a Monday's; the window ends at 14:00, the alert before."""
    window = Freeze.model_validate({"name": "lunch", "days": ["mon"], "from": "13:00", "to": "14:00"})
    alerts = history(not_ready("web-v1-1", (70, 90)), facts=town("web").facts)
    [held] = await words(alerts, table(freezes=(window,)))
    assert (held.would, held.guard) == (Would.HELD, "freeze")
    [acts] = await words(alerts, table())
    assert acts.would is Would.ACT


async def test_nodes_that_are_not_ready_stop_everything() -> None:
    made = town("web")
    made.facts["nodes"] = []
    for number in range(4):
        made.add("nodes", {"node": f"node-{number}"}, value=0 if number < 2 else 1)
    [held] = await words(history(not_ready("web-v1-1", (100, 120)), facts=made.facts), table())
    assert (held.would, held.guard) == (Would.HELD, "cluster-health")


async def test_a_guard_whose_facts_are_not_told_is_not_asked_and_named() -> None:
    facts = town("web").facts
    del facts["nodes"]
    result = await run(history(not_ready("web-v1-1", (100, 120)), facts=facts), table())
    assert "cluster-health" not in result.asked
    assert result.not_asked["cluster-health"] == "nodes of kube-state-metrics"
    assert [one.would for one in result.decided] == [Would.ACT]


async def test_what_is_held_by_a_doubtful_action_is_in_doubt_itself() -> None:
    """The first may have acted, and then the second is held; nobody knows."""
    row = {"when": {"cause": "code-error"}, "do": "restart"}
    alerts = [not_ready("web-v1-1", (100, 110)), not_ready("pay-v1-1", (130, 140))]
    first, second = await words(history(*alerts, facts=town("web", "pay").facts), table(row, limits=["1 per 1h"]))
    assert first.would is Would.COULD
    assert (second.would, second.needs) == (Would.HELD, ("whether earlier actions would have been done",))


async def test_a_rule_that_is_off_does_nothing() -> None:
    [word] = await words(history(not_ready("web-v1-1", (100, 120)), facts=town("web").facts), table(mode="off"))
    assert (word.would, word.reason) == (Would.REFUSED, "mode-off")


async def test_what_fired_before_is_left_out_and_counted() -> None:
    result = await run(history(not_ready("web-v1-1", (0, 20)), facts=town("web").facts), table())
    assert (list(result.decided), result.cut) == ([], 1)


@pytest.mark.parametrize("count", [1, 3])
async def test_the_same_history_is_the_same_answer(count: int) -> None:
    """Nothing of it is left to chance."""
    made, alerts = many(8)
    given = history(*alerts, not_ready("app1-v1-1", (300, 310)), facts=made.facts)
    first = await words(given, table())
    for _ in range(count):
        assert await words(given, table()) == first


class Asks(PastStore):
    """Asks the database whatever it is asked."""

    gate_seen_at = Database.gate_seen_at
    alerts_unseen = Database.alerts_unseen
    last_action_at = Database.last_action_at


async def test_the_quick_store_says_what_the_services_own_says() -> None:
    """A busy hour, by the store with its queue, its thread and its log, and without the answers that are known before.

    Storms, a flapping alert, limits, cooldowns, one at a time; with rules that act on all of it.
    """
    made, alerts = many(9)
    alerts += [not_ready("app1-v1-2", (150, 152), (155, 158), (161, 190)), not_ready("app2-v1-1", (300, 340))]
    alerts += [not_ready(f"app{number}-v1-2", (300 + 7 * number, 330 + 7 * number)) for number in range(3, 9)]
    given, rules = history(*alerts, facts=made.facts), table(limits=["3 per 1h"], severity=3)
    quick = await words(given, rules)
    assert {one.would for one in quick} == {Would.ACT, Would.HELD, Would.REFUSED}
    clock, facts = PastClock(given.begins), Facts(given)
    whole = await open_in_memory(clock=clock)
    store = Asks(whole._writer, clock=clock, facts=facts)
    try:
        slow = await play(episodes(given), rules, store, clock, until=given.ends)
    finally:
        await store.close()
    assert slow == quick
