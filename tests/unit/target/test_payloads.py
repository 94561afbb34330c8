"""Every captured webhook body leads where `payload_targets.yaml` says, and never to the exporter."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from remediator.authority import UNLIMITED
from remediator.receive.base import BadBody
from remediator.target.labels import NoTarget
from remediator.target.resolve import Resolved, resolve
from remediator.target.spec import TargetSpec
from tests.unit.target.alerts import DATA, alert, alerts_of, look
from tests.unit.target.world import lab

EXPECTED: dict[str, Any] = YAML(typ="safe").load(DATA / "payload_targets.yaml")
BODIES = [file for file, expected in EXPECTED.items() if expected != "not-a-webhook-body"]
CHART = [file for file in BODIES if "chart-labels" in file or "no-honor-labels" in file]


def said(found: Resolved | NoTarget) -> str:
    if isinstance(found, NoTarget):
        return str(found.reason)
    place = f"{found.target.namespace}/" if found.target.namespace else ""
    return f"{found.target.kind} {place}{found.target.name}"


def test_table_covers_every_captured_file() -> None:
    assert set(EXPECTED) == {path.name for path in (DATA / "payloads").iterdir()}


@pytest.mark.parametrize("file", sorted(set(EXPECTED) - set(BODIES)))
def test_api_v2_answer_is_no_webhook_body(file: str) -> None:
    """Nothing to resolve: the receiver refuses it with a reason, since a webhook body is an object."""
    with pytest.raises(BadBody, match="must be a JSON object"):
        alerts_of(file)


@pytest.mark.parametrize("file", BODIES)
async def test_captured_alerts_lead_to_their_targets(file: str) -> None:
    expected, cluster = EXPECTED[file], lab()
    for name, uid in expected.get("uid", {}).items():
        cluster.peek("Pod", "shop", name)["metadata"]["uid"] = uid
    spec = TargetSpec(from_alert=True, node_scope=expected.get("node_scope", False))
    found = [await look(one, spec, cluster) for one in alerts_of(file)]
    assert [said(one) for one in found] == expected["targets"]


@pytest.mark.parametrize("node_scope", [False, True])
@pytest.mark.parametrize("file", BODIES)
async def test_nothing_ever_leads_to_the_exporter_even_where_its_namespace_is_allowed(
    file: str, node_scope: bool
) -> None:
    cluster, spec = lab(), TargetSpec(from_alert=True, node_scope=node_scope)
    for one in alerts_of(file):
        found = await resolve(one, spec, cluster=cluster, protected_namespaces=frozenset(), authority=UNLIMITED)
        assert isinstance(found, NoTarget) or (
            found.target.namespace != "monitoring" and "kube-state-metrics" not in found.target.name
        )


@pytest.mark.parametrize("file", CHART)
async def test_reading_the_plain_pod_label_would_have_met_the_exporter(file: str) -> None:
    """The control of the test above: the trap is really in the cluster, under the names that the payloads carry."""
    exporters = [one.labels["pod"] for one in alerts_of(file) if "kube-state-metrics" in one.labels["pod"]]
    for name in exporters:
        trap = alert(namespace="monitoring", pod=name)
        spec = TargetSpec(from_alert=True)
        found = await resolve(trap, spec, cluster=lab(), protected_namespaces=frozenset(), authority=UNLIMITED)
        assert isinstance(found, NoTarget)
        assert found.detail.endswith("which only reports on others")


async def test_chart_capture_with_the_uid_of_another_run_is_about_another_pod() -> None:
    """The control of the `uid` override in the table."""
    (one,) = alerts_of("firing-chart-labels-kubepodcrashlooping.json")
    found = await look(one, TargetSpec(from_alert=True), lab())
    assert said(found) == "target-changed"
