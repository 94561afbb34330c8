"""The real process and its one write, when the network or the process itself fails in the worst moment.

Intent committed, request sent, no reply: whatever happened, it is found out by reading and never by sending again.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from remediator.clock import rfc3339
from tests.cluster import audit
from tests.cluster.conftest import StartPrometheus
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import ACTIVE
from tests.cluster.lossy import Fate, LossyProxy
from tests.cluster.monitoring import Exporter, Prometheus, prometheus_config
from tests.cluster.service import RunningService, rules_with
from tests.cluster.steps import App
from tests.cluster.test_way_of_one_alert import CRASH_LOOPING, alert_rules, crashing_pods, sample
from tests.cluster.waiting import wait_for
from tests.unit.receive.bodies import body, element

GOOD, BAD = "shop:1.4", "shop:crash-1.5"
QUICK = "lease_seconds: 5\npoll_seconds: 0.2\n"
"""A dead process' claim is taken over when its lease has run out: after five seconds instead of sixty."""

Start = Callable[[Fate], tuple[LossyProxy, RunningService]]


@pytest.fixture
def app(control_plane: ControlPlane, namespace: str, exporter: Exporter, prometheus: Prometheus) -> App:
    """A good release, then one that crashes; Prometheus knows."""
    shop = App(control_plane, namespace)
    shop.deploy(GOOD)
    shop.release(BAD)
    [pod, *_] = wait_for(lambda: crashing_pods(control_plane, namespace), timeout_seconds=30, what="a crashing pod")
    sample(exporter, pod)
    wait_for(lambda: prometheus.query(CRASH_LOOPING), timeout_seconds=20, what="Prometheus knows of it")
    return shop


@pytest.fixture
def prometheus(exporter: Exporter, start_prometheus: StartPrometheus, tmp_path: Path) -> Prometheus:
    """It runs the alert's rule, so that the alert can be seen to be true still."""
    return start_prometheus(prometheus_config(targets=[exporter.target], rule_files=[alert_rules(tmp_path)]))


@pytest.fixture
def start(
    control_plane: ControlPlane, permissions: None, exporter: Exporter, prometheus: Prometheus, tmp_path: Path
) -> Iterator[Start]:
    """The service in active mode behind a proxy that loses its write; pods are the proof."""
    with ExitStack() as stack:

        def started(fate: Fate) -> tuple[LossyProxy, RunningService]:
            proxy = stack.enter_context(LossyProxy(control_plane, fate))
            settings = tmp_path / "settings.yaml"
            settings.write_text(QUICK, encoding="utf-8")
            rules = rules_with(
                tmp_path / "rules", expect=["rollout-complete", "pods-ready"], within="60s", stable_for="1s"
            )
            kubeconfig = proxy.kubeconfig(tmp_path, token=control_plane.token(ACTIVE))
            flags = (
                "--mode=active",
                f"--config.file={settings}",
                f"--kubeconfig={kubeconfig}",
                f"--prometheus.url={prometheus.url}",
            )
            service = RunningService(control_plane, tmp_path / "service", user=ACTIVE, flags=flags, rules=rules)
            return proxy, stack.enter_context(service)

        yield started


def send_alert(service: RunningService, app: App) -> None:
    """What Alertmanager posts of a crash-looping pod of the present release."""
    pods = app.control_plane.get(f"/api/v1/namespaces/{app.namespace}/pods")["items"]
    pod = next(each for each in pods if each["spec"]["containers"][0]["image"] == BAD)
    labels = {"alertname": "KubePodCrashLooping", "namespace": app.namespace, "pod": pod["metadata"]["name"]}
    alert = element(labels=labels, startsAt=rfc3339(datetime.now(UTC)))
    request = urllib.request.Request(
        f"{service.url}/api/v1/alerts", data=body(alert), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.status == 200


def outcome(service: RunningService) -> str:
    (incident,) = service.incidents()
    return str(incident["outcome"])


def story(service: RunningService) -> list[str]:
    """The kinds of the incident's records that are ours, in order."""
    (incident,) = service.incidents()
    records = service.get(f"/api/v1/incidents/{incident['id']}")["records"]
    return [record["kind"] for record in records if not record["kind"].startswith("alert.")]


def written(app: App) -> list[dict[str, Any]]:
    """The service's real writes to Deployments that reached the API server."""
    events = app.control_plane.writes(ACTIVE, app.namespace)
    return [event for event in events if event["objectRef"]["resource"] == "deployments"]


def until_verified(service: RunningService) -> None:
    wait_for(lambda: outcome(service) == "verified", timeout_seconds=30, what="the incident is verified")


def test_a_crash_before_the_reply_is_read_back_and_verified(app: App, start: Start) -> None:
    """The write was done and the process died before it knew: the next one finds its mark and sends nothing."""
    proxy, service = start(Fate.REPLY_LOST)
    send_alert(service, app)
    assert proxy.has_arrived.wait(timeout=20)
    service.kill()

    service.start()
    until_verified(service)

    assert [(event["verb"], audit.response_code(event)) for event in written(app)] == [("patch", 200)]
    assert len(proxy.writes) == 1
    assert app.images() == [GOOD]
    assert story(service) == ["step.diagnosing", "step.planned", "action.intent", "action.applied", "outcome.verified"]


def test_a_write_that_arrives_after_the_crash_is_not_sent_twice(app: App, start: Start) -> None:
    """Held up on its way, it is not there at the first read-back: waiting, not sending again, keeps it the only one."""
    proxy, service = start(Fate.LATE)
    send_alert(service, app)
    wait_for(lambda: proxy.writes, timeout_seconds=20, what="the write is on its way")
    service.kill()

    service.start()
    before = proxy.reads.count(app.path)
    wait_for(lambda: proxy.reads.count(app.path) > before, timeout_seconds=20, what="a look at the Deployment")
    assert (app.images(), outcome(service)) == ([BAD], "acting")
    proxy.let_arrive()
    until_verified(service)

    assert [(event["verb"], audit.response_code(event)) for event in written(app)] == [("patch", 200)]
    assert len(proxy.writes) == 1
    assert app.images() == [GOOD]


def test_a_write_that_was_reset_on_its_way_is_not_sent_again_while_it_could_arrive(app: App, start: Start) -> None:
    """The object says "not done", which a request under way would make untrue: so it only looks, every five seconds."""
    proxy, service = start(Fate.RESET)
    send_alert(service, app)
    wait_for(lambda: proxy.writes, timeout_seconds=20, what="the write is on its way")
    before = proxy.reads.count(app.path)

    wait_for(lambda: proxy.reads.count(app.path) >= before + 3, timeout_seconds=30, what="three looks")

    assert outcome(service) == "acting"
    assert len(proxy.writes) == 1
    assert written(app) == []
    assert app.images() == [BAD]
    assert story(service) == ["step.diagnosing", "step.planned", "action.intent"]
