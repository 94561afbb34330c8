"""The whole command against the embedded cluster and Prometheus, through the real clients; and what it leaves alone."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from remediator.cli.main import app
from remediator.clock import SystemClock
from remediator.doctor.base import Answer
from remediator.doctor.kubernetes import ACTS, CLOCK, CLUSTER, EVENT, KUBERNETES, READS
from remediator.doctor.prometheus import NEEDED_SERIES, PRESENT, RENAMED
from remediator.doctor.rights import acts, reads
from remediator.generate.route import Wanted, beside
from remediator.kube.access_review import REVIEW_PATH
from remediator.model import Mode
from remediator.prometheus.base import Sample
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.settings import Settings
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.prometheus import EmbeddedPrometheus
from remediator.watchdog import awaited
from tests.clocks import FakeClock
from tests.unit.api.service import running
from tests.unit.doctor.asking import SHIPPED, answers, asked, written
from tests.unit.rules.make import a_rule
from tests.unit.scripted_server import Answer as Reply
from tests.unit.scripted_server import ScriptedServer

OK, WARNING, FAILED, SKIPPED = Answer.OK, Answer.WARNING, Answer.FAILED, Answer.SKIPPED
READER = Path(__file__).parents[3] / "deploy" / "kustomize" / "base" / "reader.yaml"
CONFIG = beside(SHIPPED, Wanted("http://remediator/api/v1/alerts", watchdog=awaited(Settings.load(None, {}))))


@dataclass
class Lab:
    cluster: EmbeddedCluster
    prometheus: EmbeddedPrometheus
    alertmanager: ScriptedServer

    def settings(self, folder: Path, **more: Any) -> Path:
        values = {
            "kube_server": self.cluster.url,
            "prometheus_url": self.prometheus.url,
            "alertmanager_urls": [self.alertmanager.url],
            "storage_url": f"sqlite:///{folder / 'remediator.db'}",
            **more,
        }
        return written(folder, "settings.yaml", yaml.safe_dump(values))


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    clock = SystemClock()
    async with EmbeddedCluster(clock) as cluster, EmbeddedPrometheus(clock, cluster) as prometheus:
        prometheus.answer_query(PRESENT, lambda *_: [Sample({"__name__": name}, 1.0) for name in NEEDED_SERIES])
        prometheus.answer_query(RENAMED, lambda *_: [])
        alertmanager = ScriptedServer()
        await alertmanager.start()
        status = {"versionInfo": {"version": "0.31.1"}, "config": {"original": yaml.safe_dump(CONFIG)}}
        alertmanager.answers(Reply(body=status))
        yield Lab(cluster, prometheus, alertmanager)
        await alertmanager.stop()


async def doctor(*words: str) -> tuple[int, Mapping[str, Any]]:
    """The exit code, and the checks by name."""
    done = await asyncio.to_thread(CliRunner().invoke, app, ["doctor", "-o", "json", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, {one["name"]: one for one in json.loads(done.stdout)["checks"]}


async def test_all_of_it_against_the_embedded_cluster(lab: Lab, tmp_path: Path) -> None:
    """Three of the fourteen alerts are loaded there, and there is no key: warnings, and nothing needed fails."""
    async with running() as service:
        url = f"http://127.0.0.1:{service.port}"
        code, found = await doctor("--config.file", str(lab.settings(tmp_path)), "--url", url)
    assert code == 0, found
    assert list(found) == [
        *("settings", "rules", "store", "audit-key", "audit-anchor"),
        *("kubernetes", "kubernetes-clock", "permissions-read", "permissions-events", "permissions-act"),
        *("prometheus", "prometheus-alerts", "kube-state-metrics", "alertmanager", "alertmanager-route"),
        *("webhook", "credentials", "service"),
    ]
    warned = {name for name, one in found.items() if one["answer"] == "warning"}
    assert warned - {"store"} == {"audit-key", "audit-anchor", "prometheus-alerts", "credentials"}
    assert [name for name, one in found.items() if one["answer"] == "skipped"] == ["webhook"]
    assert all(one["remedy"] for one in found.values() if one["answer"] in ("warning", "failed"))


async def test_it_changes_nothing_anywhere(lab: Lab, tmp_path: Path) -> None:
    file = lab.settings(tmp_path)
    await doctor("--config.file", str(file), "--mode", "active", "-n", "shop")
    assert lab.cluster.writes == []
    assert {(call.method, call.path) for call in lab.cluster.requests if call.method != "GET"} == {
        ("POST", REVIEW_PATH)
    }
    assert {heard.method for heard in lab.alertmanager.asked} == {"GET"}
    assert os.listdir(tmp_path) == [file.name], "not even an empty database"


async def test_for_people_it_says_what_to_do_and_exits_with_1(lab: Lab, tmp_path: Path) -> None:
    lab.cluster.deny("list", "pods")
    words = ["doctor", "--config.file", str(lab.settings(tmp_path)), "--mode", "active", "-v"]
    done = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith("FAILED   permissions-read") for line in lines)
    assert any("list pods: needed by rule" in line for line in lines)
    assert any("-> apply deploy/kustomize/base/reader.yaml" in line for line in lines)
    assert [line for line in lines if len(line) > 120] == []
    assert lines[-1].startswith("3 failed, ")  # the right to read, no key, anyone may come in


async def test_settings_that_cannot_be_used_skip_the_rest(tmp_path: Path) -> None:
    code, found = await doctor("--config.file", str(written(tmp_path, "s.yaml", "mode: loud\n")))
    assert code == 1
    assert found["settings"]["answer"] == "failed"
    assert {one["answer"] for name, one in found.items() if name != "settings"} == {"skipped"}
    assert len(found) == 18


async def test_rules_that_cannot_be_used_leave_what_does_not_need_them(lab: Lab, tmp_path: Path) -> None:
    rules = written(tmp_path, "rules.yaml", "rules: 3\n")
    code, found = await doctor("--config.file", str(lab.settings(tmp_path)), "--rules", str(rules))
    assert (code, found["rules"]["answer"], found["kubernetes"]["answer"]) == (1, "failed", "ok")
    assert found["prometheus-alerts"]["answer"] == found["alertmanager-route"]["answer"] == "skipped"


@pytest.mark.parametrize("words", [["--timeout", "soon"], ["--timeout", "0s"], ["--timeout", "2h"], ["--url", "here"]])
async def test_misuse_is_said(words: list[str]) -> None:
    done = await asyncio.to_thread(CliRunner().invoke, app, ["doctor", *words])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")


# --- Kubernetes


ACTING = rule_set(
    [
        a_rule(
            "a",
            mode="active",
            respond=[{"when": {"cause": "leak"}, "do": "evict"}, {"do": "restart"}],
            verify={"expect": ["pods-ready"]},
        )
    ]
)


async def kubernetes(lab: Lab, *, rules: RuleSet | None = SHIPPED, **fields: Any) -> dict[str, tuple[Answer, str]]:
    found = await answers(KUBERNETES, asked(kube_server=lab.cluster.url, rules=rules, **fields))
    return {name: (one.answer, f"{one.detail} {one.remedy} {' '.join(one.lines)}") for name, one in found.items()}


@pytest.mark.parametrize(
    ("denied", "check", "answer", "text"),
    [
        (("get", "pods"), READS, FAILED, "get pods: needed by rule"),
        (("list", "deployments"), READS, FAILED, "list deployments.apps"),
        (("get", "pods/log"), READS, WARNING, "get pods/log: needed by rule"),
        (("list", "scaledobjects"), READS, WARNING, "list scaledobjects.keda.sh"),
        (("create", "events"), EVENT, WARNING, "events: false"),
    ],
)
async def test_a_right_that_is_missing(
    lab: Lab, denied: tuple[str, str], check: str, answer: Answer, text: str
) -> None:
    before = await kubernetes(lab)
    assert before[check][0] is OK
    lab.cluster.deny(*denied)
    after = await kubernetes(lab)
    assert after[check][0] is answer
    assert text in after[check][1]


async def test_the_kill_switch_has_to_be_readable(lab: Lab) -> None:
    lab.cluster.deny("get", "configmaps")
    found = await kubernetes(lab, own_namespace="remediator")
    assert "get configmaps remediator/remediator-kill-switch: needed by kill switch" in found[READS][1]


async def test_the_right_to_act_is_asked_by_mode_and_namespace(lab: Lab) -> None:
    assert (await kubernetes(lab, mode="active", rules=ACTING))[ACTS][0] is OK
    assert (await kubernetes(lab, mode="active"))[ACTS][0] is WARNING, "no rule of the shipped table may act"
    silent = await kubernetes(lab, rules=ACTING)
    assert (silent[ACTS][0], "dry runs only" in silent[ACTS][1]) == (OK, True)
    lab.cluster.deny("patch", "deployments")
    assert "needs none" in (await kubernetes(lab, rules=ACTING))[ACTS][1]
    some = await kubernetes(lab, mode="active", rules=ACTING)
    assert (some[ACTS][0], "--namespace" in some[ACTS][1]) == (WARNING, True)
    named = await kubernetes(lab, mode="active", rules=ACTING, namespaces=("shop",))
    assert "patch deployments.apps in shop: needed by rule a" in named[ACTS][1]
    assert named[ACTS][0] is FAILED, "what is missing everywhere is missing there"


async def test_without_events_their_right_is_not_asked_for(lab: Lab) -> None:
    assert (await kubernetes(lab, events=False))[EVENT][0] is SKIPPED


async def test_clocks_that_are_apart(lab: Lab) -> None:
    now = SystemClock().now()
    for ahead, answer in ((0.0, OK), (20.0, WARNING), (-20.0, WARNING), (600.0, FAILED)):
        found = await kubernetes(lab, clock=FakeClock(now + timedelta(seconds=ahead)))
        assert found[CLOCK][0] is answer, found[CLOCK]


async def test_an_api_server_that_is_away_is_one_failure(lab: Lab) -> None:
    lab.cluster.fail("*", "*", 503)
    gone = await answers(KUBERNETES, asked(kube_server="http://127.0.0.1:1", limit=1.0))
    assert [one.answer for one in gone.values()] == [FAILED, SKIPPED, SKIPPED, SKIPPED, SKIPPED]
    assert "kubectl get --raw /version" in gone[CLUSTER].remedy


async def test_no_way_to_a_cluster_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    found = await answers(KUBERNETES, asked())
    assert (found[CLUSTER].answer, "--kubeconfig" in found[CLUSTER].remedy) == (FAILED, True)


def test_the_rights_that_are_asked_for_are_those_of_the_shipped_role() -> None:
    role = yaml.safe_load(READER.read_text(encoding="utf-8"))
    shipped = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule.get("apiGroups", ())
        for resource in rule.get("resources", ())
        for verb in rule["verbs"]
    }
    wanted = {one.right for one in reads(SHIPPED, Settings.load(None, {"rollout_poll_seconds": 60}))}
    assert {(one.group, one.resource, one.verb) for one in wanted if not one.resource.startswith("/")} <= shipped


def test_the_rights_to_act_are_those_of_the_actions_that_rules_may_do() -> None:
    assert list(acts(SHIPPED, Mode.ACTIVE)) == []
    assert list(acts(ACTING, Mode.SILENT)) == []
    assert {(one.right.resource, one.right.verb) for one in acts(ACTING, Mode.APPROVE)} == {
        ("pods/eviction", "create"),
        ("pods", "delete"),
        ("deployments", "patch"),
        ("statefulsets", "patch"),
        ("daemonsets", "patch"),
    }
