"""Fixtures of the cluster tests: monitoring on demand, permissions. The control plane is in `tests/conftest.py`."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from remediator.kube.client import KubernetesCluster, connect
from tests.cluster.binaries import Binaries
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import ACTIVE, SILENT
from tests.cluster.monitoring import Alertmanager, Exporter, Prometheus, Receiver
from tests.cluster.service import RunningService
from tests.cluster.steps import App

HERE = Path(__file__).parent
WITNESS = "test_zz_audit.py"
NAMESPACE_LABELS = {"app.kubernetes.io/part-of": "remediator-tests"}

StartAlertmanager = Callable[[str | dict[str, Any]], Alertmanager]
StartPrometheus = Callable[[str | dict[str, Any]], Prometheus]


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker here too, so that this folder also runs without the project's settings."""
    config.addinivalue_line("markers", "cluster: needs a real control plane, Alertmanager or Prometheus")
    RunningService.silently = config.getoption("--silent", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder `cluster`; first, for -m deselects in the same hook."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            if RunningService.silently and item.path.name != WITNESS:
                item.add_marker(pytest.mark.xfail(reason="it may wait for an action", strict=False))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Add to the report of a failed test where the logs are, and how they end."""
    report = yield
    if report.failed:
        values = getattr(item, "funcargs", {}).values()
        for program in values:
            if isinstance(program, (ControlPlane, StartedPrograms)):
                report.sections.append(("programs of the rig", program.log_tails()))
    return report


@pytest.fixture(scope="session")
def permissions(control_plane: ControlPlane) -> None:
    """Both accounts may read what they need, do what the actions do, and write Events.

    The silent one may patch too, here: what it does not do then is its own restraint and not its lack of rights.
    """
    rules = [
        {"apiGroups": groups, "resources": resources, "verbs": verbs}
        for groups, resources, verbs in (
            (["", "apps", "batch", "autoscaling", "policy", "discovery.k8s.io"], ["*"], ["get", "list", "watch"]),
            (["networking.k8s.io"], ["*"], ["get", "list"]),
            (["keda.sh", "autoscaling.k8s.io"], ["*"], ["get", "list", "watch"]),
            (["apps"], ["deployments", "statefulsets", "daemonsets"], ["patch"]),
            (["apps"], ["deployments/scale", "statefulsets/scale"], ["patch"]),
            (["autoscaling"], ["horizontalpodautoscalers"], ["patch"]),
            ([""], ["pods/eviction"], ["create"]),
            ([""], ["pods"], ["delete"]),
            ([""], ["pods/resize"], ["patch"]),
            (["events.k8s.io"], ["events"], ["create", "patch"]),
        )
    ]
    name = "remediator-tests"
    accounts = [
        {"kind": "ServiceAccount", "namespace": "remediator", "name": user.rpartition(":")[2]}
        for user in (ACTIVE, SILENT)
    ]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    api = "rbac.authorization.k8s.io/v1"
    control_plane.apply(
        [
            {"apiVersion": api, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
            {
                "apiVersion": api,
                "kind": "ClusterRoleBinding",
                "metadata": {"name": name},
                "subjects": accounts,
                "roleRef": reference,
            },
        ]
    )


class StartedPrograms:
    """Starts programs for one test, each in a folder of its own, and ends them after it."""

    def __init__(self, kind: type[Alertmanager] | type[Prometheus], binaries: Binaries, folder: Path):
        self._kind = kind
        self._binaries = binaries
        self._folder = folder
        self._stack = ExitStack()
        self._started: list[Alertmanager | Prometheus] = []

    def __call__(self, config: str | dict[str, Any]) -> Any:
        folder = self._folder / f"{self._kind.name}-{len(self._started)}"
        program = self._kind(self._binaries, folder, config)
        self._started.append(program)
        return self._stack.enter_context(program)

    def log_tails(self) -> str:
        """The end of the log of each."""
        return "\n".join(program.log_tails() for program in self._started)

    def stop(self) -> None:
        """End all."""
        self._stack.close()


@pytest.fixture
def start_alertmanager(binaries: Binaries, tmp_path: Path) -> Iterator[StartAlertmanager]:
    """Call it with a configuration (see alertmanager_config); may be called again for a second one."""
    programs = StartedPrograms(Alertmanager, binaries, tmp_path)
    yield programs
    programs.stop()


@pytest.fixture
def start_prometheus(binaries: Binaries, tmp_path: Path) -> Iterator[StartPrometheus]:
    """Call it with a configuration (see prometheus_config); may be called again for a second one."""
    programs = StartedPrograms(Prometheus, binaries, tmp_path)
    yield programs
    programs.stop()


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    """A scrape target that the test fills."""
    with Exporter() as serving:
        yield serving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook that keeps what it is sent."""
    with Receiver() as serving:
        yield serving


@pytest.fixture
async def cluster(control_plane: ControlPlane, permissions: None) -> AsyncIterator[KubernetesCluster]:
    """The service's own client, with the rights of its account."""
    connected = await connect(name="rig", kubeconfig=control_plane.kubeconfig(ACTIVE))
    yield connected
    await connected.close()


@pytest.fixture
def app(control_plane: ControlPlane, namespace: str) -> App:
    return App(control_plane, namespace)
