"""Values that want to be more stay values in PromQL, in Alertmanager's filters and in paths; see `injection.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from urllib.parse import urlsplit

import pytest

from remediator.alertmanager.client import FILTERED_BY, AlertmanagerApi
from remediator.diagnose import queries, rollout
from remediator.diagnose.resources import expressions
from remediator.kube.base import path_of
from remediator.model import Target
from remediator.prometheus import measures
from remediator.rules.matcher import parse_matchers
from tests.fakes import ScriptedMetrics
from tests.hostile.corpora import HOSTILE
from tests.hostile.injection import FEW, unchanged
from tests.hostile.readers import Query, query_of, text_of_regex
from tests.unit.diagnose.scenes import collect, scene
from tests.unit.scripted_server import Answer, ScriptedServer
from tests.workloads import TARGET, alert

MARK = "harmless"
"""Stands where the value will: no notation sees anything special in it."""


# -- PromQL

RULES_OWN = (
    'sum(rate(a{namespace="$namespace",pod=~"$pod-.*",container=$container}[5m])) # $pod\n'
    " / on (pod) b{pod='<$pod>',workload!~'$workload',kind!=$kind,x=~$pod} > 0"
)
SCENE = scene()
IN_BACKQUOTES = "c{pod=`$pod`,workload=~`$workload.+`}"


def target_of(value: str) -> Target:
    return Target("test", value, value, value, "uid")


async def of_the_rule(value: str, expression: str = RULES_OWN) -> list[str]:
    metrics = ScriptedMetrics()
    firing = alert(labels={"pod": value, "container": value})
    of = replace(SCENE, metrics=metrics, target=target_of(value), alert=firing, queries={"own": expression})
    await collect("queries", of)
    return metrics.asked


async def of_measures(value: str) -> list[str]:
    metrics = ScriptedMetrics()
    await measures.measure(target_of(value), metrics)
    return metrics.asked


async def of_resources(value: str) -> list[str]:
    owner = {"kind": "ReplicaSet", "name": value, "controller": True}
    pods = expressions.pods_of(replace(SCENE.workload, pods=[{"metadata": {"ownerReferences": [owner]}}]))
    assert pods is not None
    moments = [getattr(expressions, name)(value, pods) for name in ("memory", "traffic", "cpu_of_pods")]
    return [
        *(expressions.over_time(one, (0, 300)) for one in moments),
        expressions.memory_peak_before(value, pods, 60),
        expressions.cpu(value, pods),
        expressions.throttled(value, pods),
    ]


async def of_nodes(value: str) -> list[str]:
    tolerations = [{"key": value, "effect": value, "value": value}, {"key": value, "operator": "Exists"}]
    requests = {"cpu": "1", "example.com/x": "1"}
    containers = [{"name": "app", "resources": {"requests": requests}}]
    room = expressions.room_on_nodes({"spec": {"containers": containers, "tolerations": tolerations}})
    assert isinstance(room, str)
    return [room]


async def of_revisions(value: str) -> list[str]:
    metrics = ScriptedMetrics()
    named = [
        {**one, "metadata": {**one["metadata"], "name": f"{value}{number}"}}
        for number, one in enumerate(SCENE.workload.replica_sets)
    ]
    of = replace(SCENE, metrics=metrics, target=replace(TARGET, namespace=value))
    await collect("rollout", replace(of, workload=replace(of.workload, replica_sets=named)))
    return metrics.asked


Asking = Callable[[str], Awaitable[list[str]]]
OWN: Mapping[str, Asking] = {
    "measures": of_measures,
    "resources": of_resources,
    "nodes": of_nodes,
    "revisions": of_revisions,
}
MAX_NAME = 57
"""Of an owner's name this much and a dash is a pod's; more of it is not compared here."""


def read_all(made: Sequence[str]) -> list[Query]:
    return [query_of(one) for one in made]


def intrusions(value: str, made: Sequence[str], harmless: Sequence[Query]) -> Iterator[str]:
    """What is not as it was written, when the value stands where the harmless one does."""
    if len(made) != len(harmless):
        yield f"{len(made)} expressions instead of {len(harmless)}"
    for one, wanted in zip(made, harmless, strict=False):
        try:
            found = query_of(one)
            if found.shape != wanted.shape:
                yield f"other tokens: {one}"
            elif any(not is_value(value, *pair) for pair in zip(found.matchers, wanted.matchers, strict=True)):
                yield f"another value: {one}"
        except ValueError as error:
            yield f"{error}: {one}"


def is_value(value: str, found: tuple[str, str, str], wanted: tuple[str, str, str]) -> bool:
    """Whether a matcher is the harmless one with the value in it. Raises ValueError for another expression."""
    (name, operator, text), (wanted_name, wanted_operator, pattern) = found, wanted
    if operator not in ("=~", "!~") or MARK not in pattern:
        return (name, operator, text) == (wanted_name, wanted_operator, pattern.replace(MARK, value))
    before, _, after = pattern.partition(MARK)
    inner = text.removeprefix(before).removesuffix(after)
    is_around = text == f"{before}{inner}{after}"
    return is_around and (name, operator) == (wanted_name, wanted_operator) and text_of_regex(inner) == value


async def test_a_value_in_a_rules_query_is_one_string_and_adds_no_matcher() -> None:
    harmless = read_all(await of_the_rule(MARK))
    assert len(harmless[0].matchers) == 7
    found = [one for value in HOSTILE for one in intrusions(value, await of_the_rule(value), harmless)]
    assert found[:FEW] == []


async def test_between_backquotes_a_value_stands_as_it_is_or_nothing_is_asked() -> None:
    harmless = read_all(await of_the_rule(MARK, IN_BACKQUOTES))
    for value in HOSTILE[::4]:
        made = await of_the_rule(value, IN_BACKQUOTES)
        assert list(intrusions(value, made, [] if "`" in value else harmless)) == []


@pytest.mark.parametrize("name", OWN)
async def test_a_name_in_an_expression_of_our_own_is_one_string_and_adds_no_matcher(name: str) -> None:
    ask = OWN[name]
    values = [value[:MAX_NAME] for value in HOSTILE[list(OWN).index(name) :: len(OWN)]]
    harmless = read_all(await ask(MARK))
    found = [one for value in values for one in intrusions(value, await ask(value), harmless)]
    assert harmless
    assert len(values) >= 2500
    assert found[:FEW] == []


async def test_a_filter_for_alertmanager_is_one_matcher_with_the_value() -> None:
    """As its two parsers read it; over HTTP, so for some hundreds."""
    server = ScriptedServer()
    await server.start()
    server.answers(Answer(body=[]))
    client = AlertmanagerApi([server.url])
    try:
        for number, value in enumerate(HOSTILE[::25]):
            name = FILTERED_BY[number % 2]
            await client.look_up(alert(labels={name: value}))
            found = parse_matchers(server.asked[-1].query["filter"])
            assert [(one.name, one.op.value, one.value) for one in found] == [(name, "=", value)]
    finally:
        await client.close()
        await server.stop()


@pytest.mark.parametrize(
    ("module", "escaper"),
    [(one, "label_value") for one in (queries, measures, expressions, rollout)]
    + [(one, "regex_literal") for one in (queries, measures, expressions)],
    ids=lambda one: one if isinstance(one, str) else one.__name__.rpartition(".")[2],
)
async def test_the_control_a_value_that_is_only_put_in_quotes_is_found_out(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, escaper: str
) -> None:
    asks = [of_the_rule, of_measures, of_resources, of_nodes, of_revisions]
    harmless = [read_all(await ask(MARK)) for ask in asks]
    monkeypatch.setattr(module, escaper, '"{}"'.format if escaper == "label_value" else unchanged)
    value = 'x"} or vector(1) #' if escaper == "label_value" else ".*"
    assert any([list(intrusions(value, await ask(value), one)) for ask, one in zip(asks, harmless, strict=True)])


# -- paths


def test_a_name_from_outside_is_one_segment_of_a_path_or_none() -> None:
    kept = 0
    for value in HOSTILE:
        try:
            path = path_of("Pod", namespace="shop", name=value)
        except ValueError:
            continue
        kept += 1
        assert path.split("/") == ["", "api", "v1", "namespaces", "shop", "pods", value]
        assert urlsplit(path).path == path
        assert value not in ("", ".", "..")
    assert kept > 0
