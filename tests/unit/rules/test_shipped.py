"""The table that is shipped does what the runbooks ask, and nothing but recommend."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remediator.model import Cause, Mode
from remediator.rules.load import load_rules
from remediator.rules.match import match_labels
from remediator.rules.schema import Rule
from remediator.rules.shipped import shipped_rules
from remediator.rules.when import Evidence, first_row

TABLE = load_rules(shipped_rules())
RECENT, OLD = timedelta(minutes=20), timedelta(days=3)


def test_every_rule_is_silent_and_explained() -> None:
    for rule in TABLE.rules:
        assert rule.mode is Mode.SILENT
        assert rule.description
        assert rule.runbook_url


@pytest.mark.parametrize(
    ("alertname", "rule", "severity"),
    [
        ("KubePodCrashLooping", "crash-loop", 1),
        ("KubeDeploymentRolloutStuck", "rollout-stuck", 1),
        ("KubeContainerWaiting", "container-waiting", 2),
        ("KubeDeploymentReplicasMismatch", "replicas-mismatch", 2),
        ("KubePodNotReady", "pod-not-ready", 3),
    ],
)
def test_the_alerts_of_kubernetes_mixin_have_a_rule(alertname: str, rule: str, severity: int) -> None:
    found = match_labels({"alertname": alertname, "namespace": "shop", "severity": "warning"}, TABLE)
    assert isinstance(found, Rule)
    assert (found.name, found.severity) == (rule, severity)


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "kube-node-lease"])
def test_the_clusters_own_namespaces_have_none(namespace: str) -> None:
    assert not isinstance(match_labels({"alertname": "KubePodCrashLooping", "namespace": namespace}, TABLE), Rule)


@pytest.mark.parametrize(
    ("cause", "deployed_ago", "kind", "do"),
    [
        (Cause.CODE_ERROR, RECENT, "Deployment", "rollback"),
        (Cause.IMAGE_ERROR, RECENT, "Deployment", "rollback"),
        (Cause.CANNOT_START, RECENT, "Deployment", "rollback"),
        (Cause.CODE_ERROR, OLD, "Deployment", "escalate"),
        (Cause.CODE_ERROR, None, "Deployment", "escalate"),
        (Cause.CODE_ERROR, RECENT, "StatefulSet", "escalate"),
        (Cause.MISSING_CONFIG, RECENT, "Deployment", "recommend"),
        (Cause.CHANGED_CONFIG, None, "Deployment", "recommend"),
        (Cause.OUT_OF_MEMORY, RECENT, "Deployment", "recommend"),
        (Cause.DEPENDENCY_DOWN, RECENT, "Deployment", "escalate"),
        (Cause.UNKNOWN, RECENT, "Deployment", "escalate"),
    ],
)
def test_crash_loop(cause: Cause, deployed_ago: timedelta | None, kind: str, do: str) -> None:
    rule = TABLE.rule("crash-loop")
    assert rule is not None
    row = first_row(rule, Evidence(cause, deployed_ago, kind, replicas=3, affected_ratio=1.0)).row
    assert row is not None
    assert rule.respond[row].do == do


@pytest.mark.parametrize("rule", TABLE.rules, ids=lambda rule: rule.name)
def test_every_rule_ends_with_people_and_never_acts_on_the_unknown(rule: Rule) -> None:
    for kind in ("Deployment", "StatefulSet", "DaemonSet", ""):
        row = first_row(rule, Evidence(Cause.UNKNOWN, RECENT, kind, None, None)).row
        assert row is not None
        assert rule.respond[row].do in ("escalate", "recommend")
