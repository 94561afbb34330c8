"""Declared permissions are what is sent, what the shipped roles grant, and no more than a rule needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.actions import ACTIONS
from remediator.cli.rights import roles
from remediator.diagnose import COLLECTORS
from remediator.kube.access_review import FENCE_PATH, FENCE_PERMISSION, REVIEW_PATH
from remediator.kube.base import RESOURCES
from remediator.lint.manifests import Granted, compare, granted, read
from remediator.lint.rights import Around, Need, Right, Scope, needed
from remediator.model import Mode
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.rules.schema import Rule
from remediator.simulate.apiserver import Call
from remediator.simulate.replay import Stage
from remediator.simulate.stories import Placed, read_stories
from remediator.simulate.tables import table_of
from remediator.simulate.trial import tried
from tests.unit.lint.alertmanagers import TABLE

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy" / "kustomize"
INCIDENTS = ROOT / "tests" / "data" / "incidents"
PLAIN = Around()

KINDS = ["Deployment", "StatefulSet", "DaemonSet"]
VERIFY = {"expect": ["rollout-complete", "pods-ready", "alert-clear"]}
ROWS: list[dict[str, Any]] = [
    {"when": {"cause": "code-error"}, "do": "rollback", "with": {"kinds": KINDS}},
    {"when": {"cause": "leak"}, "do": "restart"},
    {"when": {"cause": "node-fault"}, "do": "evict"},
    {"when": {"cause": "load"}, "do": "scale", "with": {"max_replicas": 9, "hpa": "raise", "kinds": KINDS[:2]}},
    {"when": {"cause": "capacity"}, "do": "shed", "with": {"workloads": ["a/deployment/b", "a/statefulset/c"]}},
    {"when": {"cause": "out-of-memory"}, "do": "resize", "with": {"ceiling": "2Gi"}},
    {"do": "escalate"},
]


def a_rule(*rows: dict[str, Any], **fields: Any) -> Rule:
    given = {"name": "one", "match": ['alertname="A"'], "severity": 1, "respond": list(rows), "verify": VERIFY}
    return Rule.model_validate(given | fields)


def everything() -> RuleSet:
    """Each collector, each action with all that it may be told to do, targets of every kind."""
    depends = [{"name": "db", "kind": "Service", "object": "db"}]
    first = a_rule(*ROWS, diagnose=list(COLLECTORS), depends_on=depends, queries={"q": "up"})
    nodes = a_rule({"do": "escalate"}, name="two", target={"from": "alert", "node_scope": True}, diagnose=["node"])
    return rule_set([first, nodes])


def rights(needs: Sequence[Need], *scopes: Scope) -> set[tuple[str, str, str]]:
    return {
        (need.right.group, need.right.resource, need.right.verb) for need in needs if not scopes or need.scope in scopes
    }


def role(name: str) -> set[tuple[str, str, str]]:
    [found] = [one for one in read([DEPLOY]) if one["kind"] == "ClusterRole" and one["metadata"]["name"] == name]
    return {
        (group, resource, verb)
        for rule in found["rules"]
        for verb in rule["verbs"]
        for group in rule.get("apiGroups", [""])
        for resource in rule.get("resources", rule.get("nonResourceURLs", []))
    }


def test_reads_of_everything_are_the_shipped_reader_role() -> None:
    """A cluster test compares that role with the API server's audit log: so this is what is really sent."""
    reads = rights(needed(everything(), Mode.SILENT, around=PLAIN), Scope.CLUSTER, Scope.MANAGED)
    assert reads == role("remediator-reader") | role("remediator-events")


def test_nothing_more_is_read_when_it_acts() -> None:
    """The role to act is beside the reader role, and holds writes only."""
    acting = rights(needed(everything(), Mode.ACTIVE, around=PLAIN), Scope.CLUSTER, Scope.MANAGED)
    assert acting == role("remediator-reader") | role("remediator-events") | role("remediator-rollback")


def test_proving_takes_the_rights_of_the_dry_run_component() -> None:
    plain = rights(needed(everything(), Mode.SILENT, around=PLAIN))
    proving = rights(needed(everything(), Mode.SILENT, around=PLAIN, proves=True))
    assert {right for right in proving - plain if right[2] not in ("get", "list")} == role("remediator-dry-run")


def test_silent_mode_writes_events_only() -> None:
    table = TABLE
    writes = [need.right for need in needed(table, Mode.SILENT, around=PLAIN) if need.right.is_write]
    assert [str(right) for right in writes] == ["create events.events.k8s.io"]
    assert not any(need.right.is_write for need in needed(table, Mode.SILENT, around=Around(has_events=False)))


def writes_of(*rows: dict[str, Any], **fields: Any) -> set[str]:
    table = rule_set([a_rule(*rows, {"do": "escalate"}, **fields)])
    return {
        str(need.right) for need in needed(table, Mode.ACTIVE, around=Around(has_events=False)) if need.right.is_write
    }


@pytest.mark.parametrize(
    ("row", "writes"),
    [
        ({"do": "rollback"}, {"patch deployments.apps"}),
        (
            {"do": "rollback", "with": {"kinds": KINDS[:2]}},
            {"patch deployments.apps", "patch statefulsets.apps", "create pods/eviction"},
        ),
        ({"do": "restart"}, {f"patch {kind.lower()}s.apps" for kind in KINDS}),
        ({"do": "restart", "when": {"kind": "DaemonSet"}}, {"patch daemonsets.apps"}),
        ({"do": "evict"}, {"create pods/eviction", "delete pods"}),
        ({"do": "scale", "with": {"max_replicas": 3}}, {"patch deployments/scale.apps"}),
        (
            {"do": "scale", "with": {"max_replicas": 3, "hpa": "raise"}},
            {"patch deployments/scale.apps", "patch horizontalpodautoscalers.autoscaling"},
        ),
        ({"do": "shed", "with": {"workloads": ["a/statefulset/b"]}}, {"patch statefulsets/scale.apps"}),
        ({"do": "resize", "with": {"ceiling": "1Gi"}}, {"patch pods/resize"}),
        ({"do": "recommend"}, set()),
    ],
)
def test_a_rule_needs_what_its_rows_can_do(row: dict[str, Any], writes: set[str]) -> None:
    assert writes_of({"when": {"cause": "load"}, **row}) == writes


def test_a_fixed_target_needs_its_own_kind_only() -> None:
    fixed = {"object": {"kind": "StatefulSet", "namespace": "shop", "name": "db"}}
    assert writes_of({"when": {"cause": "leak"}, "do": "restart"}, target=fixed) == {"patch statefulsets.apps"}
    table = rule_set([a_rule({"do": "escalate"}, target=fixed)])
    read_kinds = {need.right.resource for need in needed(table, Mode.SILENT, around=Around(watches=False))}
    assert not read_kinds & {"services", "endpointslices", "cronjobs", "deployments", "replicasets"}


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_declares_no_write_that_no_rule_can_need(name: str) -> None:
    """And the other way round: `permissions` is what some choice of parameters needs."""
    row = next((one for one in ROWS if one["do"] == name), {"do": name})
    rule = a_rule(row, {"do": "escalate"}) if name != "escalate" else a_rule(row)
    needs = ACTIONS[name].needs(rule.respond[0].parameters, frozenset(KINDS))
    assert _writes(needs) == _writes(ACTIONS[name].permissions)


def _writes(permissions: Sequence[Any]) -> set[tuple[str, str, str]]:
    return {(one.group, one.resource, verb) for one in permissions for verb in one.verbs if verb not in ("get", "list")}


# --- what is really sent

STORIES = (
    *("release-crashes", "memory-leak", "latency-load", "room-is-made", "one-pod-fails", "dependency-away"),
    *("hung-service", "node-lost", "silent-mode"),
)
PLURALS = {place.plural for place in RESOURCES.values()}


def right_of(call: Call) -> tuple[str, str, str]:
    """The verb and resource by which RBAC judges a request."""
    if call.path == FENCE_PATH:
        return FENCE_PERMISSION.group, FENCE_PERMISSION.resource, "get"
    if call.path == "/readyz":
        return "", call.path, "get"
    found = re.fullmatch(
        r"/(?:api|apis/(?P<group>[^/]+))/[^/]+(?:/namespaces/[^/]+)?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+)(?P<sub>/.+)?)?",
        call.path,
    )
    assert found is not None, call.path
    name = found["name"]
    if found["plural"] not in PLURALS:  # a namespace itself: /api/v1/namespaces/shop is taken for one in it
        raise AssertionError(call.path)
    verbs = {"GET": "get" if name else "list", "POST": "create", "PATCH": "patch", "DELETE": "delete"}
    return found["group"] or "", found["plural"] + (found["sub"] or ""), verbs[call.method]


@cache
def sent(name: str) -> Sequence[tuple[Placed, Sequence[Call]]]:
    """Every request of the service while the stories of a file are played."""
    found: list[tuple[Placed, Sequence[Call]]] = []
    build = Stage.build
    for placed in read_stories(INCIDENTS / f"{name}.yaml"):
        stages: list[Stage] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Stage, "build", lambda story, kept=stages: kept.append(build(story)) or kept[-1])
            trial = tried(placed)
        assert trial.problem == ""
        found.append((placed, stages[0].cluster.requests))
    return found


def undeclared(placed: Placed, calls: Sequence[Call]) -> set[tuple[str, str, str]]:
    """What was sent and is not needed by the story's table in its mode; a dry run takes the right to the real write."""
    table, mode = table_of(placed), placed.story.mode or Mode.SILENT
    plain, proving = (rights(needed(table, mode, around=PLAIN, proves=proves)) for proves in (False, True))
    return {
        right_of(one)
        for one in calls
        if one.path != REVIEW_PATH  # everybody may ask what he may
        and right_of(one) not in (proving if "dryRun" in one.query or one.path == FENCE_PATH else plain)
    }


@pytest.mark.parametrize("name", STORIES)
def test_whatever_is_sent_was_declared_for_the_rules_of_the_story(name: str) -> None:
    """The real pipeline on the embedded cluster: each request of an incident is needed by its table in its mode."""
    assert [undeclared(placed, calls) for placed, calls in sent(name)] == [set() for _ in sent(name)]


def test_the_stories_send_writes_of_most_kinds() -> None:
    """Else the test above would prove little."""
    calls = [call for name in STORIES for _, some in sent(name) for call in some]
    every = {right_of(call) for call in calls if call.path != REVIEW_PATH}
    writes = {f"{verb} {resource}" for _, resource, verb in every if verb not in ("get", "list")}
    assert writes >= {"patch deployments", "create pods/eviction", "patch deployments/scale"}
    assert len(every) >= 25


def test_what_is_not_declared_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: a collector that says less than it reads."""
    [(placed, calls)] = sent("release-crashes")
    monkeypatch.setattr(type(COLLECTORS["logs"]), "permissions", ())
    assert undeclared(placed, calls) == {("", "pods/log", "get")}


# --- manifests

SILENT, ACTIVE = "remediator/remediator-silent", "remediator/remediator-active"


def shipped(account: str, *also: str) -> list[Granted]:
    return list(granted(read([DEPLOY / "base", DEPLOY / account.rpartition("-")[2]]), account, also=also))


def test_the_silent_manifests_grant_exactly_what_the_shipped_rules_need() -> None:
    found = compare(needed(TABLE, Mode.SILENT, around=PLAIN), shipped(SILENT))
    assert ([str(one.right) for one in found.missing], [str(one.right) for one in found.unused]) == ([], [])


def test_the_active_manifests_lack_nothing_and_grant_what_no_shipped_rule_does() -> None:
    needs = needed(TABLE, Mode.ACTIVE, around=PLAIN)
    found = compare(needs, shipped(ACTIVE, "remediator-rollback"))
    assert list(found.missing) == []
    assert {str(one.right) for one in found.unused} == {
        "patch statefulsets.apps",
        "patch daemonsets.apps",
        "patch statefulsets/scale.apps",
        "patch pods/resize",
        "patch horizontalpodautoscalers.autoscaling",
    }


def test_without_the_consent_of_a_namespace_the_writes_are_missing() -> None:
    needs = needed(TABLE, Mode.ACTIVE, around=PLAIN)
    missing = {str(need.right) for need in compare(needs, shipped(ACTIVE)).missing}
    assert {"patch deployments.apps", "create pods/eviction", "delete pods", "patch deployments/scale.apps"} == missing


def test_every_right_that_is_taken_away_is_missed() -> None:
    """And none besides."""
    needs, given = needed(everything(), Mode.ACTIVE, around=PLAIN), shipped(ACTIVE, "remediator-rollback")
    assert list(compare(needs, given).missing) == []
    for lost in given:
        rest = [one for one in given if one.right != lost.right]
        assert [need.right for need in compare(needs, rest).missing] == [lost_as_needed(needs, lost)]


def lost_as_needed(needs: Sequence[Need], lost: Granted) -> Right:
    same = {(lost.right.group, lost.right.resource, lost.right.verb, lost.right.name)}
    [found] = [n.right for n in needs if (n.right.group, n.right.resource, n.right.verb, n.right.name) in same]
    return found


def test_a_wildcard_covers_and_is_more_than_what_is_needed() -> None:
    needs = needed(TABLE, Mode.SILENT, around=PLAIN)
    everything_granted = Granted(Right("*", "*", "*"), "", "ClusterRole admin")
    paths = Granted(Right("", "/readyz", "get"), "", "ClusterRole admin")
    found = compare(needs, [everything_granted, paths])
    assert (list(found.missing), list(found.unused)) == ([], [everything_granted])


@pytest.mark.parametrize("mode", ["silent", "active"])
def test_roles_as_printed_grant_what_is_needed_and_no_more(mode: str, tmp_path: Path) -> None:
    """Read back as manifests: nothing is missing, nothing is unused."""
    needs = needed(TABLE, Mode(mode), around=replace(PLAIN, anchor="remediator/anchor"))
    file = tmp_path / "roles.yaml"
    file.write_text(roles(needs, mode, "remediator/x"), encoding="utf-8")
    kinds = [one["kind"] for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    assert kinds.count("ClusterRoleBinding") == 1
    given = list(granted(read([file]), "remediator/x", also=[f"remediator-{mode}-write"]))
    found = compare(needs, given)
    assert (list(found.missing), list(found.unused)) == ([], [])
