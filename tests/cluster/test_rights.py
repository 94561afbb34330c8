"""The roles that `check rbac -o yaml` prints, on a real API server: enough for silent mode, and no write with them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from remediator.actions import ACTIONS
from remediator.cli.main import app
from remediator.lint.rights import Around, Right, needed
from remediator.model import Mode
from remediator.rules.load import load_rules
from remediator.rules.shipped import shipped_rules
from tests.cluster.controlplane import ControlPlane
from tests.cluster.every_kind import deployment
from tests.cluster.waiting import wait_for

READY = Right("", "/readyz", "get")


def account(namespace: str) -> str:
    return f"system:serviceaccount:{namespace}:generated"


def is_allowed(control: ControlPlane, namespace: str, right: Right) -> bool:
    """By the API server's own authorizer, for the account of the generated roles."""
    plural, _, subresource = right.resource.partition("/")
    asked: dict[str, Any] = {"verb": right.verb, "group": right.group, "resource": plural, "name": right.name}
    asked |= {"subresource": subresource, "namespace": right.namespace or namespace}
    about = {"nonResourceAttributes": {"path": right.resource, "verb": right.verb}} if right == READY else {}
    spec = {"user": account(namespace), "groups": ["system:authenticated"], **(about or {"resourceAttributes": asked})}
    answer = control.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
    return bool(answer["status"]["allowed"])


@pytest.fixture
def generated(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[ControlPlane]:
    """The roles of silent mode, for an account of the test's own namespace."""
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"own_namespace: {namespace}\n")
    words = ["check", "rbac", "--config.file", str(settings), "-o", "yaml", "--account", f"{namespace}/generated"]
    printed = CliRunner().invoke(app, words).output
    documents = list(yaml.safe_load_all(printed.replace("remediator-silent", f"generated-{namespace}")))
    control_plane.apply(documents)
    yield control_plane
    for kind in ("clusterrolebinding", "clusterrole"):
        control_plane.kubectl("delete", kind, f"generated-{namespace}")


def test_generated_roles_suffice_for_silent_mode_and_forbid_every_write(
    generated: ControlPlane, namespace: str
) -> None:
    """All that is declared is allowed (what is declared is what is sent: see `test_deploy.py`); a write is refused."""
    around = Around(switch=f"{namespace}/remediator-kill-switch")
    needs = [need.right for need in needed(load_rules(shipped_rules()), Mode.SILENT, around=around)]
    wait_for(
        lambda: is_allowed(generated, namespace, needs[-1]), timeout_seconds=10, what="the bindings to take effect"
    )
    assert [str(right) for right in needs if not is_allowed(generated, namespace, right)] == []
    writes = {
        Right(one.group, one.resource, verb)
        for action in ACTIONS.values()
        for one in action.permissions
        for verb in one.verbs
    }
    never = {*writes, Right("", "secrets", "get"), Right("", "configmaps", "get"), Right("", "pods/exec", "create")}
    assert [str(right) for right in sorted(never) if is_allowed(generated, namespace, right)] == []
    generated.apply(deployment("shop"), namespace)
    tried = ("scale", "deployment/shop", "--replicas=0", "-n", namespace, f"--as={account(namespace)}")
    refused = generated.kubectl(*tried, check=False)
    assert refused.returncode != 0
    assert "forbidden" in refused.stderr
    assert generated.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/shop")["spec"]["replicas"] == 1
