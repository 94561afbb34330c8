"""What is looked at over the network: Prometheus, Alertmanager and a running service, each with its failures."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.doctor.alertmanager import ALERTMANAGER, ROUTE, judged
from remediator.doctor.alertmanager import SERVER as REPLICAS
from remediator.doctor.base import Answer, Running
from remediator.doctor.prometheus import ALERTS, NEEDED_SERIES, PRESENT, PROMETHEUS, SERIES, SERVER, faults_of
from remediator.doctor.service import MAX_BYTES, SERVICE
from remediator.generate.route import Wanted, beside
from remediator.lint.routing.config import Config, read_config
from remediator.lint.routing.review import review_routing
from remediator.prometheus.base import AlertingRule
from remediator.rules.ruleset import alertnames, rule_set
from remediator.settings import Settings
from remediator.watchdog import awaited
from tests.certificates import Authority
from tests.unit.doctor.asking import SHIPPED, answers, asked, only
from tests.unit.rules.make import a_rule
from tests.unit.scripted_server import HANG, JumpingClock, ScriptedServer
from tests.unit.scripted_server import Answer as Reply
from tests.unit.scripted_server import Asked as Heard

OK, WARNING, FAILED, SKIPPED = Answer.OK, Answer.WARNING, Answer.FAILED, Answer.SKIPPED
NAMES = sorted({name for rule in SHIPPED.rules for name in alertnames(rule) or ()})
NOBODY = "http://127.0.0.1:1"
AWAITED = awaited(Settings.load(None, {}))
WANTED = Wanted("http://remediator.remediator.svc:9095/api/v1/alerts", watchdog=AWAITED)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    one = ScriptedServer()
    await one.start()
    yield one
    await one.stop()


# --- Prometheus


def success(data: Any) -> Reply:
    return Reply(body={"status": "success", "data": data}, headers={"Content-Type": "application/json"})


def prometheus(
    *,
    loaded: Sequence[str] = NAMES,
    series: Sequence[str] = tuple(NEEDED_SERIES),
    renamed: bool = False,
    ready: int = 200,
) -> Any:
    """One that has these alerts and these series."""

    def answer(heard: Heard) -> Reply:
        if heard.path == "/-/ready":
            return Reply(ready)
        if heard.path == "/api/v1/rules":
            name = heard.query["rule_name[]"]
            rule = {"name": name, "query": "up", "labels": {"severity": "warning"}, "health": "ok", "type": "alerting"}
            return success({"groups": [{"interval": 30, "rules": [rule]}] if name in loaded else []})
        if heard.query["query"] == PRESENT:
            found = [{"metric": {"__name__": name}, "value": [0, "3"]} for name in series]
            return success({"resultType": "vector", "result": found})
        return success({"resultType": "vector", "result": [{"metric": {}, "value": [0, "3"]}] if renamed else []})

    return answer


@pytest.mark.parametrize(
    ("given", "expected", "text"),
    [
        ({}, (OK, OK, OK), "all 14 alerts of the rules are loaded"),
        ({"ready": 503}, (WARNING, OK, OK), "replays its log"),
        ({"loaded": []}, (OK, FAILED, OK), "none of the 14 alerts"),
        ({"loaded": NAMES[1:]}, (OK, WARNING, OK), NAMES[0]),
        ({"loaded": [n for n in NAMES if n[0] != "R"]}, (OK, WARNING, OK), "generate prometheus-rules"),
        ({"loaded": [n for n in NAMES if n[0] == "R"]}, (OK, WARNING, OK), "kubernetes-mixin"),
        ({"series": []}, (OK, OK, FAILED), "let Prometheus scrape kube-state-metrics and the kubelet"),
        ({"series": ["kube_pod_info"]}, (OK, OK, WARNING), "no series of kube_pod_owner"),
        ({"renamed": True}, (OK, OK, WARNING), "honorLabels"),
    ],
)
async def test_prometheus(
    server: ScriptedServer, given: dict[str, Any], expected: tuple[Answer, ...], text: str
) -> None:
    server.script(prometheus(**given))
    found = await answers(PROMETHEUS, asked(prometheus_url=server.url, clock=JumpingClock()))
    assert tuple(found[name].answer for name in (SERVER, ALERTS, SERIES)) == expected
    assert text in " ".join(f"{one.detail} {one.remedy}" for one in found.values())
    assert {heard.method for heard in server.asked} == {"GET"}


async def test_a_prometheus_that_is_away_or_no_prometheus(server: ScriptedServer) -> None:
    away = await answers(PROMETHEUS, asked(prometheus_url=NOBODY, clock=JumpingClock()))
    assert [away[name].answer for name in (SERVER, ALERTS, SERIES)] == [FAILED, SKIPPED, SKIPPED]
    none = await answers(PROMETHEUS, asked())
    assert [none[name].answer for name in (SERVER, ALERTS, SERIES)] == [WARNING, SKIPPED, SKIPPED]
    server.answers(Reply(body=b"<html>login</html>"))
    other = await answers(PROMETHEUS, asked(prometheus_url=server.url, clock=JumpingClock()))
    assert other[SERVER].answer is FAILED
    assert other[SERVER].remedy


def loaded(name: str, health: str = "ok", **labels: str) -> AlertingRule:
    return AlertingRule(name, "up", labels, health, 30, None)


@pytest.mark.parametrize(
    ("match", "found", "fault"),
    [
        (['alertname="A"', 'severity="critical"'], [loaded("A", severity="warning")], "raised with severity warning"),
        (
            ['alertname="A"', 'severity="critical"'],
            [loaded("A", severity="warning"), loaded("A", severity="critical")],
            None,
        ),
        (['alertname="A"', 'severity="critical"'], [loaded("A", severity="{{ $labels.s }}")], None),
        (['alertname="A"', 'team="web"'], [loaded("A", severity="warning")], None),
        (['alertname="A"'], [loaded("A", "err")], "its expression fails"),
        (['alertname="A"'], [], "which is not loaded"),
        (['severity="critical"'], [], None),
    ],
)
def test_a_rule_that_can_never_take_an_alert(match: list[str], found: list[AlertingRule], fault: str | None) -> None:
    faults = faults_of(a_rule(match=match), {"A": found})
    assert len(faults) == (fault is not None)
    assert not fault or fault in faults[0]


# --- Alertmanager


def status(configuration: Any) -> Reply:
    text = configuration if isinstance(configuration, str) else yaml.safe_dump(configuration)
    return Reply(body={"versionInfo": {"version": "0.31.1"}, "config": {"original": text}})


def hidden(configuration: dict[str, Any]) -> dict[str, Any]:
    """As Alertmanager shows it: the addresses of webhooks are secrets."""
    for receiver in configuration["receivers"]:
        for hook in receiver.get("webhook_configs", ()):
            hook["url"] = "<secret>"
    return configuration


GOOD = hidden(beside(SHIPPED, WANTED))


def changed(**webhook: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(GOOD))
    copy["receivers"][1]["webhook_configs"][0] |= webhook
    return copy


@pytest.mark.parametrize(
    ("configuration", "answer", "text"),
    [
        (GOOD, OK, "all 14 alerts of the rules are sent to remediator"),
        ({**GOOD, "receivers": [{"name": "people"}]}, FAILED, "--receiver"),
        ({**GOOD, "route": {"receiver": "people"}}, FAILED, "14 of 14 alerts of the rules never reach us"),
        (changed(max_alerts=5), WARNING, "max_alerts: 5"),
        (changed(send_resolved=False), WARNING, "resolved alerts are not sent"),
        ("- a list", WARNING, "not understood"),
        (
            "route: {receiver: remediator}\nreceivers: [{name: remediator, webhook_configs: [{url: <secret>}]}]",
            WARNING,
            "Watchdog comes every 4h5m",
        ),
    ],
)
async def test_the_route(server: ScriptedServer, configuration: Any, answer: Answer, text: str) -> None:
    server.answers(status(configuration))
    found = await answers(ALERTMANAGER, asked(alertmanager_urls=(server.url,)))
    assert found[REPLICAS].answer is OK
    assert found[ROUTE].answer is answer, found[ROUTE]
    assert text in f"{found[ROUTE].detail} {found[ROUTE].remedy}"
    assert [(heard.method, heard.path) for heard in server.asked] == [("GET", "/api/v2/status")]


async def test_replicas_that_are_away_or_differ(server: ScriptedServer) -> None:
    server.answers(status(GOOD))
    away = await answers(ALERTMANAGER, asked(alertmanager_urls=(server.url, NOBODY)))
    assert (away[REPLICAS].answer, away[ROUTE].answer) == (WARNING, OK)
    server.answers(status(GOOD), status({**GOOD, "templates": ["x"]}))
    differ = await answers(ALERTMANAGER, asked(alertmanager_urls=(server.url, f"{server.url}/two")))
    assert (differ[REPLICAS].answer, "differ" in differ[REPLICAS].detail) == (WARNING, True)
    none = await answers(ALERTMANAGER, asked(alertmanager_urls=(NOBODY,)))
    assert (none[REPLICAS].answer, none[ROUTE].answer) == (FAILED, SKIPPED)
    unasked = await answers(ALERTMANAGER, asked())
    assert (unasked[REPLICAS].answer, unasked[ROUTE].answer) == (WARNING, SKIPPED)


async def test_alertmanager_s_certificate_is_verified_by_the_file_that_the_settings_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    server = ScriptedServer()
    await server.start(tls=context)
    try:
        server.answers(status(GOOD))
        for file, answer, text in (
            (authority.file, OK, "1 of 1 replicas"),
            (None, FAILED, "certificate verify failed"),
            (pair.key, FAILED, "holds no certificate"),
        ):
            found = await answers(ALERTMANAGER, asked(alertmanager_urls=(server.url,), alertmanager_ca_file=file))
            assert (found[REPLICAS].answer, text in found[REPLICAS].detail) == (answer, True), found[REPLICAS]
    finally:
        await server.stop()


async def test_a_receiver_of_another_name_is_found_when_it_is_named(server: ScriptedServer) -> None:
    text = yaml.safe_dump(GOOD).replace("remediator", "robot")
    server.answers(status(text))
    assert (await answers(ALERTMANAGER, asked(alertmanager_urls=(server.url,))))[ROUTE].answer is FAILED
    named = await answers(ALERTMANAGER, asked(alertmanager_urls=(server.url,), receiver="robot"))
    assert named[ROUTE].answer is OK


def configured(*routes: Mapping[str, Any], name: str = "remediator") -> Config:
    receiver = {"name": name, "webhook_configs": [{"url": "<secret>"}]}
    tree = {"receiver": "people", "routes": list(routes)}
    return read_config("am.yml", yaml.safe_dump({"route": tree, "receivers": [receiver]}).encode())


TO_US = {"receiver": "remediator"}
HEARS_A = rule_set([a_rule("a", match=['alertname="A"'])])


@pytest.mark.parametrize(
    ("routes", "answer", "text"),
    [
        ([{**TO_US, "matchers": ['alertname="A"']}], OK, ""),
        ([{**TO_US, "match": {"alertname": "A"}}], OK, ""),
        ([{**TO_US, "match_re": {"alertname": "A|B"}}], OK, ""),
        ([{"receiver": "chat", "matchers": ['alertname="A"']}, TO_US], FAILED, "no route sends A"),
        ([{"receiver": "chat", "matchers": ['alertname="A"'], "continue": True}, TO_US], OK, ""),
        ([{**TO_US, "matchers": ['severity="critical"']}], WARNING, "only with severity critical"),
        ([{"matchers": ['alertname="A"'], "routes": [{"matchers": ['severity!="x"'], **TO_US}]}], OK, ""),
        ([{**TO_US, "matchers": ['namespace="monitoring"']}], FAILED, "no route sends A"),
    ],
)
def test_where_the_tree_leads(routes: list[Mapping[str, Any]], answer: Answer, text: str) -> None:
    config = configured(*routes)
    result = judged(HEARS_A, config, config.ours())
    assert result.answer is answer, result
    assert text in result.detail


def test_the_trap_of_the_operator_is_named() -> None:
    """What it makes of an AlertmanagerConfig: a receiver with slashes, and a matcher of its own namespace."""
    name = "monitoring/remediator/remediator"
    config = configured({"receiver": name, "matchers": ['namespace="monitoring"'], "continue": True}, name=name)
    result = judged(SHIPPED, config, config.ours())
    assert result.answer is FAILED
    assert "alertmanagerConfigMatcherStrategy" in result.remedy


@pytest.mark.parametrize(
    ("name", "url", "found"),
    [
        ("remediator", "<secret>", True),
        ("monitoring/x/Remediator", "<secret>", True),
        ("pager", "<secret>", False),
        ("pager", "http://remediator.ns.svc:9095/api/v1/alerts", True),
        ("pager", "http://other.ns.svc/api/v1/alerts", False),
        ("remediator/x/pager", "<secret>", False),
    ],
)
def test_which_receiver_is_ours(name: str, url: str, found: bool) -> None:
    configuration = {"route": {"receiver": name}, "receivers": [{"name": name, "webhook_configs": [{"url": url}]}]}
    assert bool(read_config("am.yml", yaml.safe_dump(configuration).encode()).ours()) is found


# --- a service that runs


def ready(*parts: tuple[str, bool, bool]) -> Reply:
    shown = [{"name": name, "ready": up, "required": needed, "detail": ""} for name, up, needed in parts]
    is_ready = all(up for _, up, needed in parts if needed)
    return Reply(200 if is_ready else 503, {"ready": is_ready, "parts": shown})


@pytest.mark.parametrize(
    ("reply", "answer", "text"),
    [
        (ready(("store", True, True), ("audit", True, False)), OK, "is ready: store, audit"),
        (ready(("store", False, True)), FAILED, "store: not ready"),
        (ready(("store", True, True), ("prometheus", False, False)), WARNING, "prometheus: not ready"),
        (Reply(401), FAILED, "--token-file"),
        (Reply(200, b"<html>"), FAILED, "not as remediator does"),
        (Reply(200, json.dumps({"parts": [], "more": "x" * MAX_BYTES}).encode()), FAILED, "not as remediator does"),
        (Reply(404, {}), FAILED, "answered 404"),
    ],
)
async def test_a_running_service(server: ScriptedServer, reply: Reply, answer: Answer, text: str) -> None:
    server.answers(reply)
    found = await only(SERVICE, asked(running=Running(server.url, "Bearer token")))
    assert found[0] is answer
    assert text in found[1]
    [heard] = server.asked
    assert (heard.method, heard.path, heard.headers["Authorization"]) == ("GET", "/-/ready", "Bearer token")


async def test_a_service_that_is_away_hangs_or_is_not_asked_for(server: ScriptedServer) -> None:
    assert (await only(SERVICE, asked()))[0] is SKIPPED
    assert (await only(SERVICE, asked(running=Running(NOBODY))))[0] is FAILED
    server.answers(HANG)
    assert (await only(SERVICE, asked(running=Running(server.url), limit=0.1)))[0] is FAILED


WATCHDOG = {"receiver": "remediator", "matchers": ['alertname="Watchdog"'], "continue": True}
OFTEN = {"group_interval": "30s", "repeat_interval": "2m"}


@pytest.mark.parametrize(
    ("route", "answer", "text"),
    [
        ({**WATCHDOG, **OFTEN}, OK, "all 14"),
        ({**WATCHDOG, **OFTEN, "receiver": "people", "continue": False}, WARNING, "no route sends the watchdog"),
        ({**WATCHDOG, **OFTEN, "repeat_interval": "4h"}, WARNING, "every 4h30s, and is missing after 15m"),
        ({**WATCHDOG, **OFTEN, "group_interval": "3m"}, WARNING, "confirms what ended 2m before it comes"),
        ({**WATCHDOG, **OFTEN, "mute_time_intervals": ["nights"]}, WARNING, "is silent at times (nights)"),
    ],
)
def test_the_watchdog_is_judged_as_check_alertmanager_does(
    route: dict[str, Any], answer: Answer, text: str
) -> None:
    configuration = beside(SHIPPED, WANTED)
    routes = configuration["route"]["routes"]
    configuration["route"]["routes"] = [route, *(one for one in routes if "Watchdog" not in str(one))]
    config = read_config("am.yml", yaml.safe_dump(configuration).encode())
    result = judged(SHIPPED, config, config.ours(), watchdog=AWAITED)
    assert (result.answer, text in result.detail) == (answer, True), result
    checked = [one for one in review_routing(config, SHIPPED, [], watchdog=AWAITED) if "watchdog" in one.code]
    assert list(result.lines) == [f"{one.text}; {one.hint}" for one in checked]
    assert judged(SHIPPED, config, config.ours()).answer is OK, "where none is awaited nothing is said"


async def test_a_watchdog_that_names_no_alert_is_told(server: ScriptedServer) -> None:
    server.answers(status(GOOD))
    found = await answers(ALERTMANAGER, asked(alertmanager_urls=(server.url,), watchdog="severity=none"))
    assert (found[ROUTE].answer, found[ROUTE].detail[:27]) == (FAILED, "watchdog: expected matchers")
    assert "`watchdog: ''`" in found[ROUTE].remedy


async def test_a_configuration_that_comes_in_pieces_is_read_to_its_end(server: ScriptedServer) -> None:
    """One of many routes is larger than what a socket gives at once."""
    many = [{"receiver": "people", "matchers": [f'team="{number:06}"']} for number in range(5_000)]
    large = json.loads(json.dumps(GOOD))
    large["route"]["routes"] += many
    server.answers(status(large))
    found = await answers(ALERTMANAGER, asked(alertmanager_urls=(server.url,)))
    assert (found[REPLICAS].answer, found[ROUTE].answer) == (OK, OK), found
