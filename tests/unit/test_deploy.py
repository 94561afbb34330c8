"""What ships under `deploy/`, without a cluster: rights, hardening, agreement with the settings, and the wheel."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from remediator.access.credentials import load_credentials
from remediator.actions import ACTIONS
from remediator.api.openapi import document
from remediator.cli.main import app
from remediator.model import Mode
from remediator.settings import Settings

ROOT = Path(__file__).parents[2]
KUSTOMIZE = ROOT / "deploy" / "kustomize"
DOCKERFILE = ROOT / "deploy" / "image" / "Dockerfile"
KUSTOMIZATIONS = sorted(KUSTOMIZE.rglob("kustomization.yaml"))
MANIFESTS = sorted(set(KUSTOMIZE.rglob("*.yaml")) - set(KUSTOMIZATIONS))

READS = {"get", "list"}
NEVER = {"*", "secrets", "pods/exec", "pods/attach", "pods/portforward", "nodes/proxy", "serviceaccounts/token"}

Right = tuple[str, str, str]
"""(API group, resource or resource/subresource, verb)"""


def objects(folder: str = "") -> Iterator[dict[str, Any]]:
    for file in MANIFESTS:
        if (KUSTOMIZE / folder) in (file.parent, *file.parents):
            yield from yaml.safe_load_all(file.read_text(encoding="utf-8"))


def one(kind: str, name: str | None = None) -> dict[str, Any]:
    (found,) = (item for item in objects() if item["kind"] == kind and name in (None, item["metadata"]["name"]))
    return found


def kustomization(folder: str) -> dict[str, Any]:
    text = (KUSTOMIZE / folder / "kustomization.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def literals(*folders: str) -> dict[str, str]:
    """The environment that the generators of these folders make, the later ones over the earlier."""
    pairs: dict[str, str] = {}
    for folder in folders:
        for generator in kustomization(folder).get("configMapGenerator", []):
            pairs |= dict(text.split("=", 1) for text in generator["literals"])
    return pairs


def rights_of(*roles: str) -> set[Right]:
    return {
        (group, resource, verb)
        for role in roles
        for rule in one("ClusterRole", role)["rules"]
        for group in rule.get("apiGroups", [])
        for resource in rule.get("resources", [])
        for verb in rule["verbs"]
    }


def bound_to(account: str, folder: str) -> set[str]:
    """The ClusterRoles bound to the account in the whole cluster by the manifests of a folder."""
    return {
        item["roleRef"]["name"]
        for item in objects(folder)
        if item["kind"] == "ClusterRoleBinding"
        for subject in item["subjects"]
        if (subject["kind"], subject["namespace"], subject["name"]) == ("ServiceAccount", "remediator", account)
    }


def pod_spec() -> dict[str, Any]:
    spec: dict[str, Any] = one("Deployment")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (only,) = pod_spec()["containers"]
    return dict(only)


@pytest.mark.parametrize("file", KUSTOMIZATIONS, ids=lambda file: file.parent.name)
def test_every_manifest_of_a_folder_is_used_and_every_used_one_exists(file: Path) -> None:
    """An orphan is never applied, and nobody notices."""
    listed = yaml.safe_load(file.read_text(encoding="utf-8")).get("resources", [])
    assert {name for name in listed if name.endswith(".yaml")} == {
        each.name for each in MANIFESTS if each.parent == file.parent
    }
    assert all((file.parent / name).exists() for name in listed)


@pytest.mark.parametrize("role", [item["metadata"]["name"] for item in objects() if item["kind"] == "ClusterRole"])
def test_role_names_everything_and_nothing_dangerous(role: str) -> None:
    """No wildcards, no secrets, no way to run something in a pod."""
    for rule in one("ClusterRole", role)["rules"]:
        words = [
            *rule.get("apiGroups", []),
            *rule.get("resources", []),
            *rule["verbs"],
            *rule.get("nonResourceURLs", []),
        ]
        assert not NEVER & set(words)


def test_silent_account_writes_events_and_nothing_else() -> None:
    """Silent mode is proven by its rights, not by our code."""
    roles = bound_to("remediator-silent", "silent")
    writes = {right for right in rights_of(*roles) if right[2] not in READS}
    assert roles == {"remediator-reader", "remediator-events"}
    assert writes == {("events.k8s.io", "events", "create")}


def test_active_account_has_no_write_bound_cluster_wide_but_events() -> None:
    """A namespace consents by a RoleBinding of its own."""
    roles = bound_to("remediator-active", "active")
    assert {right for right in rights_of(*roles) if right[2] not in READS} == {("events.k8s.io", "events", "create")}


@pytest.mark.parametrize("role", ["remediator-rollback", "remediator-dry-run"])
def test_role_to_act_is_what_the_actions_need(role: str) -> None:
    """The table of actions and the manifests agree."""
    needed = {
        (permission.group, permission.resource, verb)
        for action in ACTIONS.values()
        for permission in action.permissions
        for verb in permission.verbs
    }
    assert rights_of(role) == needed


def test_right_to_dry_run_comes_with_the_policy_that_fences_it() -> None:
    """The two are in one component, and the policy fails closed, for every resource, by denying."""
    assert {"policy.yaml", "role.yaml"} <= set(kustomization("components/dry-run")["resources"])
    policy = one("ValidatingAdmissionPolicy")["spec"]
    (everything,) = policy["matchConstraints"]["resourceRules"]
    assert policy["failurePolicy"] == "Fail"
    assert (everything["resources"], everything["operations"]) == (["*/*"], ["*"])
    binding = one("ValidatingAdmissionPolicyBinding")["spec"]
    assert (binding["policyName"], binding["validationActions"]) == ("remediator-silent-writes-nothing", ["Deny"])
    assert "matchResources" not in binding


def test_namespace_enforces_restricted_pod_security() -> None:
    """Of the profiles, the strictest."""
    labels = one("Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_pod_is_hardened() -> None:
    """Restricted Pod Security, and a read-only root besides, which that profile does not ask for."""
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    whole = pod_spec()["securityContext"]
    assert (whole["runAsNonRoot"], whole["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod_spec())
    assert {"requests", "limits"} <= set(container()["resources"])


def test_only_the_pod_that_needs_the_token_mounts_it() -> None:
    """The accounts do not automount."""
    accounts = [item for item in objects() if item["kind"] == "ServiceAccount"]
    assert [item["automountServiceAccountToken"] for item in accounts] == [False, False]
    assert pod_spec()["automountServiceAccountToken"] is True


def test_active_mode_has_its_key_and_an_anchor_that_applying_does_not_turn_back() -> None:
    assert "../components/audit-key" in kustomization("active")["components"]
    assert "data" not in one("ConfigMap", "remediator-audit-anchor")
    (rule,) = one("Role", "remediator-audit-anchor")["rules"]
    assert (rule["resourceNames"], rule["verbs"]) == (["remediator-audit-anchor"], ["get", "patch"])


def test_one_writer_holds_the_database() -> None:
    """Two pods on one SQLite file is one too many, also during an update."""
    spec = one("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert one("PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteOncePod"]


def replicas_patch() -> dict[str, Any]:
    """What the overlay `replicas` changes in the Deployment."""
    [patch] = [
        loaded
        for one in kustomization("replicas")["patches"]
        if (loaded := yaml.safe_load(one["patch"]))["kind"] == "Deployment"
    ]
    return dict(patch["spec"])


def test_several_replicas_have_a_database_of_their_own_and_no_claim() -> None:
    """From a Secret, and nothing of the one file is left: neither its claim nor its mount nor its setting."""
    spec = replicas_patch()["template"]["spec"]
    [container] = spec["containers"]
    [variable] = container["env"]
    assert variable["name"] == "REMEDIATOR_STORAGE_URL"
    assert variable["valueFrom"] == {"secretKeyRef": {"name": "remediator-database", "key": "url"}}
    assert spec["volumes"] == [{"$patch": "delete", "name": "state"}]
    assert container["volumeMounts"] == [{"$patch": "delete", "mountPath": "/var/lib/remediator"}]
    assert "sqlite" not in literals("base", "active", "replicas")["REMEDIATOR_STORAGE_URL"]
    deleted = [yaml.safe_load(one["patch"]) for one in kustomization("replicas")["patches"]]
    assert {one["kind"] for one in deleted if one.get("$patch") == "delete"} == {"PersistentVolumeClaim"}


def test_several_replicas_are_never_all_gone() -> None:
    """Not by an update, not by a drain, and not with one node."""
    [several] = kustomization("replicas")["replicas"]
    assert several["count"] >= 2
    strategy = replicas_patch()["strategy"]
    assert (strategy["type"], strategy["rollingUpdate"]["maxUnavailable"]) == ("RollingUpdate", 0)
    budget = one("PodDisruptionBudget")["spec"]
    labels = one("Deployment")["spec"]["selector"]["matchLabels"]
    assert (budget["maxUnavailable"], budget["selector"]["matchLabels"]) == (1, labels)
    spread = replicas_patch()["template"]["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(each["labelSelector"]["matchLabels"] == labels for each in spread)


def test_several_replicas_reach_their_database_and_nothing_else_is_opened() -> None:
    policy = one("NetworkPolicy", "remediator-database")["spec"]
    assert policy["policyTypes"] == ["Egress"]
    assert [each["ports"] for each in policy["egress"]] == [[{"protocol": "TCP", "port": 5432}]]
    assert policy["podSelector"] == one("NetworkPolicy", "remediator")["spec"]["podSelector"]


@pytest.mark.parametrize(
    ("folders", "mode"),
    [
        (("base", "silent"), Mode.SILENT),
        (("base", "components/webhook-token", "active"), Mode.ACTIVE),
        (("base", "components/credentials", "active"), Mode.ACTIVE),
    ],
)
def test_generated_environment_is_what_the_settings_know(
    folders: tuple[str, ...], mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown variables are ignored by the service, so a misspelt one has to be found here."""
    environment = literals(*folders)
    known = {f"REMEDIATOR_{name.upper()}" for name in Settings.model_fields}
    assert set(environment) <= known
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load(None, {})
    assert settings.mode is mode
    assert settings.storage_url.startswith("sqlite:////var/lib/remediator/")
    assert {mount["mountPath"] for mount in container()["volumeMounts"]} == {"/var/lib/remediator", "/tmp"}


@pytest.mark.parametrize(
    ("component", "setting"),
    [("webhook-token", "REMEDIATOR_WEB_TOKEN_FILES"), ("credentials", "REMEDIATOR_WEB_CREDENTIALS_FILE")],
)
def test_a_secret_is_mounted_where_the_setting_says(component: str, setting: str) -> None:
    """And readable by the pod's group only."""
    [patch] = kustomization(f"components/{component}")["patches"]
    spec = yaml.safe_load(patch["patch"])["spec"]["template"]["spec"]
    [volume] = spec["volumes"]
    [mount] = spec["containers"][0]["volumeMounts"]
    assert Path(literals(f"components/{component}")[setting]).parent == Path(mount["mountPath"])
    assert (mount["name"], mount["readOnly"], volume["secret"]["defaultMode"]) == (volume["name"], True, 0o440)


def test_the_credentials_file_that_the_component_describes_is_one(tmp_path: Path) -> None:
    """The command in its comment, under the first line that it names."""
    text = (KUSTOMIZE / "components" / "credentials" / "kustomization.yaml").read_text(encoding="utf-8")
    [words] = re.findall(r"remediator (generate token .*) >> credentials.yaml", text)
    made = CliRunner().invoke(app, words.split())
    file = tmp_path / "credentials.yaml"
    file.write_text("credentials:\n" + made.stdout, encoding="utf-8")
    known = load_credentials(file, ())
    assert list(known.by_name) == ["shop-alertmanager"]
    authority = known.authority_of("shop-alertmanager")
    assert authority is not None
    assert [authority.outside([name]) for name in ("shop", "pay")] == ["", "namespace 'pay'"]


def test_ports_agree_with_the_setting() -> None:
    """Container, Service and NetworkPolicy mean the port that is listened on unless told otherwise."""
    port = Settings().listen_port
    assert container()["ports"] == [{"name": "http", "containerPort": port}]
    assert [each["port"] for each in one("Service")["spec"]["ports"]] == [port]
    (ingress,) = one("NetworkPolicy", "remediator")["spec"]["ingress"]
    assert [each["port"] for each in ingress["ports"]] == [port]


def test_selectors_find_the_pod() -> None:
    """Service and NetworkPolicy select the labels that the pod has."""
    labels = one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert one("Service")["spec"]["selector"] == labels
    assert one("NetworkPolicy", "remediator")["spec"]["podSelector"]["matchLabels"] == labels
    assert one("Deployment")["spec"]["selector"]["matchLabels"] == labels


def test_alerts_reach_a_pod_that_is_not_ready() -> None:
    """Unready means "decides nothing good now"; storing an alert still works, and losing it would not be undone."""
    assert one("Service")["spec"]["publishNotReadyAddresses"] is True


@pytest.mark.parametrize(
    ("probe", "path"),
    [("startupProbe", "/-/healthy"), ("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")],
)
def test_probes_ask_paths_that_are_served(probe: str, path: str) -> None:
    """Liveness must not depend on the API server: a restart would not bring that back."""
    assert container()[probe]["httpGet"] == {"path": path, "port": "http"}
    assert path in document("0")["paths"]


def test_pod_has_time_to_drain() -> None:
    """The kubelet kills after this long; running work and then open requests each have the grace period."""
    assert pod_spec()["terminationGracePeriodSeconds"] > 2 * Settings().grace_seconds


def copied() -> list[str]:
    """What the Dockerfile takes from the build context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    return [source.removeprefix("./") for line in lines for source in line.split()[:-1]]


@pytest.mark.parametrize("source", copied())
def test_image_copies_only_what_exists_and_is_not_ignored(source: str) -> None:
    """Neither a missing file nor .dockerignore breaks the build."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = [line[1:] for line in lines if line.startswith("!")]
    assert (ROOT / source).exists()
    assert any(fnmatch(source, pattern) for pattern in let_through)


def test_image_runs_as_the_user_of_the_pod() -> None:
    """By number, since `runAsNonRoot` cannot judge a name."""
    (user,) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    whole = pod_spec()["securityContext"]
    assert tuple(map(int, user)) == (whole["runAsUser"], whole["runAsGroup"])


def test_every_pinned_distribution_has_a_hash_and_no_address() -> None:
    """Where to download from is the builder's choice; what, is not."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([a-z0-9-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"==", text))
    assert "://" not in text
    wanted = re.findall(r'^    "([A-Za-z0-9.-]+)', _dependencies(), re.MULTILINE)
    assert {re.sub(r"[._-]+", "-", name).lower() for name in wanted} <= {name for name, _, _ in pins}


def _dependencies() -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return text.partition("\ndependencies = [")[2].partition("\n]")[0]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by hatchling: here if it is installed, else fetched by pip as the image does."""
    folder = tmp_path_factory.mktemp("wheel")
    here = importlib.util.find_spec("hatchling") is not None
    build = ["hatchling", "build", "-t", "wheel", "-d"] if here else ["pip", "wheel", "--no-deps", ".", "--wheel-dir"]
    done = subprocess.run(
        [sys.executable, "-m", *build, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("remediator-*.whl")
    return built


def test_wheel_holds_code_rules_migrations_and_licence(wheel: Path) -> None:
    """What is read at run time but is no Python."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "remediator/shipped_rules/default.yaml" in names
    assert "remediator/store/migrations/env.py" in names
    assert "remediator/export/templates/incident.html" in names
    assert {"remediator/generate/groups/remediator.yaml", "remediator/generate/cases/errors.yaml"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "deploy/")) or "__pycache__" in name]


def test_unpacked_wheel_checks_its_own_rules(wheel: Path, tmp_path: Path) -> None:
    """Away from the checkout, the command finds the rules that it ships with."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "remediator", "check", "rules"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(tmp_path) in done.stdout + done.stderr
