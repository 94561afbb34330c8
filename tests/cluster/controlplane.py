"""A real Kubernetes control plane on loopback, with KWOK as the kubelet of its nodes.

etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok: about 550 MB, up in 4 seconds. All
that it writes is in one folder; the programs' output and the audit log are in `logs_dir`.
"""

import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.cluster import audit, credentials, kwok
from tests.cluster.binaries import Binaries
from tests.cluster.credentials import ADMIN, CONTROLLER_MANAGER, KWOK, SCHEDULER
from tests.cluster.processes import Process, free_ports, plain_environment, stop_all, wait_until_up

NODES = ("rig-node-0", "rig-node-1", "rig-node-2")
NODE_RESOURCES = {"cpu": "8", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi"}

Object = dict[str, Any]


class RequestFailed(AssertionError):
    """The API server answered with an error status."""

    def __init__(self, method: str, path: str, code: int, body: Object):
        super().__init__(f"{method} {path}: {code} {body.get('message', body)}")
        self.code = code
        self.body = body


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports of one control plane."""

    etcd: int
    etcd_peer: int
    apiserver: int
    kubelet: int


class ControlPlane:
    """One running control plane; start it with `with`. Its methods act as `admin` unless told otherwise."""

    def __init__(self, binaries: Binaries, folder: Path):
        self._binaries = binaries
        self._folder = folder
        self._processes: list[Process] = []
        self._tokens = credentials.new_tokens()
        self._environment = plain_environment(folder)
        self._ports = Ports(*free_ports(4))
        self.url = f"https://127.0.0.1:{self._ports.apiserver}"
        self.logs_dir = folder / "logs"
        self.pod_logs_dir = folder / "pod-logs"
        self.ca_file = folder / "certificates" / "apiserver.crt"
        self._audit_log = audit.AuditLog(self.logs_dir / "audit.log")

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all programs and delete what etcd stored; the logs stay."""
        stop_all(reversed(self._processes))
        self._processes.clear()
        shutil.rmtree(self._folder / "etcd", ignore_errors=True)

    # Access

    def token(self, user: str = ADMIN) -> str:
        """The bearer token of one of credentials.USERS."""
        return self._tokens[user]

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """A kubeconfig file of that user; its one context is `rig`."""
        file = self._folder / f"{user.replace(':', '.')}.kubeconfig"
        if not file.exists():
            document = credentials.kubeconfig(self.url, self.ca_file, user, self.token(user))
            kwok.replace_file(file, yaml.safe_dump(document))
            file.chmod(0o600)
        return file

    def kubectl(
        self, *args: str, user: str = ADMIN, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as that user; with `check`, a failure raises with what it wrote."""
        argv = [str(self._binaries["kubectl"]), f"--kubeconfig={self.kubeconfig(user)}"]
        done = subprocess.run(
            [*argv, *args], input=stdin, capture_output=True, text=True, env=self._environment, timeout=60
        )
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args)}: status {done.returncode}\n{done.stderr}")
        return done

    def apply(self, manifests: str | Object | Sequence[Object], namespace: str | None = None) -> None:
        """kubectl apply of YAML text, an object or several; `namespace` is for those that name none."""
        if isinstance(manifests, str):
            text = manifests
        else:
            objects = [manifests] if isinstance(manifests, Mapping) else manifests
            text = yaml.safe_dump_all(objects)
        where = ["--namespace", namespace] if namespace else []
        self.kubectl("apply", *where, "-f", "-", stdin=text)

    def get(self, path: str, user: str = ADMIN) -> Object:
        """The object or list at a path of the API, as /apis/apps/v1/namespaces/NAMESPACE/deployments/NAME."""
        return self.request("GET", path, user=user)

    def request(
        self,
        method: str,
        path: str,
        body: Object | list[Object] | None = None,
        *,
        user: str = ADMIN,
        content_type: str = "application/json",
    ) -> Object:
        """One HTTP request to the API server and the JSON that it answers.

        Raises RequestFailed on an error status.
        """
        headers = {"Authorization": f"Bearer {self.token(user)}", "Content-Type": content_type}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        # No proxy handler: the environment of the person who runs the tests must not matter.
        context = ssl.create_default_context(cafile=str(self.ca_file))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(request, timeout=30) as response:
                return _parsed(response.read())
        except urllib.error.HTTPError as error:
            raise RequestFailed(method, path, error.code, _parsed(error.read())) from error

    # Pods

    def set_pod_logs(
        self,
        namespace: str,
        pod: str,
        current: str,
        *,
        previous: str | None = None,
        container: str | None = None,
    ) -> None:
        """Give one pod logs of its own, in lines as the program wrote them; `container` None means all.

        Without `previous` there is no previous container. A stage sets the logs of a failing pod when it
        first fails, so call this after that.
        """
        write = {"current": current} if previous is None else {"current": current, "previous": previous}
        entry: Object = {"containers": [container]} if container else {}
        for kind, text in write.items():
            file = self.pod_logs_dir / f"{namespace}.{pod}.{container or 'all'}.{kind}.log"
            kwok.replace_file(file, kwok.cri_format(text, datetime.now(UTC)))
            entry["logsFile" if kind == "current" else "previousLogsFile"] = str(file)
        logs = {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "Logs",
            "metadata": {"name": pod, "namespace": namespace},
            "spec": {"logs": [entry]},
        }
        path = f"/apis/kwok.x-k8s.io/v1alpha1/namespaces/{namespace}/logs/{pod}"
        self.request(
            "PATCH",
            f"{path}?fieldManager=rig&force=true",
            logs,
            content_type="application/apply-patch+yaml",
        )

    def refresh_pod_logs(self) -> None:
        """Move the times in the stock logs to now."""
        kwok.write_pod_logs(self.pod_logs_dir)

    # Witness

    def audit_events(
        self, namespace: str | None = None, user: str | None = None, since: datetime | None = None
    ) -> list[audit.Event]:
        """What the API server recorded, from `since` on (with time zone); None means any.

        The record may lag a little behind the answer: wait_for what should be there.
        """
        return audit.select(self._audit_log.events(), namespace=namespace, user=user, since=since)

    def writes(
        self, user: str, namespace: str | None = None, since: datetime | None = None
    ) -> list[audit.Event]:
        """Real writes of a user, refused ones too; no dry runs, and no reviews of access or tokens."""
        return [event for event in self.audit_events(namespace, user, since) if audit.is_write(event)]

    def dry_runs(
        self, user: str, namespace: str | None = None, since: datetime | None = None
    ) -> list[audit.Event]:
        """Writes of a user that asked for dryRun=All."""
        return [event for event in self.audit_events(namespace, user, since) if audit.is_dry_run(event)]

    def log_tails(self, lines: int = 15) -> str:
        """The end of each program's log, for the report of a failed test."""
        parts = [f"logs: {self.logs_dir}"]
        parts += [f"--- {process.name}\n{process.tail(lines)}" for process in self._processes]
        return "\n".join(parts)

    # Start

    def _start(self) -> None:
        self.logs_dir.mkdir(parents=True)
        kwok.write_pod_logs(self.pod_logs_dir)
        self._write_credentials()
        self._start_etcd()
        self._start_apiserver()
        self._launch("kube-controller-manager", *self._controller_manager_flags())
        self._launch(
            "kube-scheduler",
            f"--kubeconfig={self.kubeconfig(SCHEDULER)}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        )
        self._start_kwok()
        for name in NODES:
            self.request("POST", "/api/v1/nodes", _node(name))
        self._wait_for_nodes()

    def _launch(self, name: str, *flags: str) -> Process:
        process = Process(
            name, [self._binaries[name], *flags], self.logs_dir / f"{name}.log", self._environment
        )
        self._processes.append(process)
        return process

    def _write_credentials(self) -> None:
        (self._folder / "tokens.csv").write_text(credentials.token_file(self._tokens))
        (self._folder / "service-account.key").write_text(credentials.new_signing_key())
        (self._folder / "audit-policy.yaml").write_text(yaml.safe_dump(audit.policy()))

    def _start_etcd(self) -> None:
        client = f"http://127.0.0.1:{self._ports.etcd}"
        peer = f"http://127.0.0.1:{self._ports.etcd_peer}"
        process = self._launch(
            "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
        )
        wait_until_up(process, lambda: _answers(f"{client}/health"))

    def _start_apiserver(self) -> None:
        key = self._folder / "service-account.key"
        process = self._launch(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._ports.etcd}",
            f"--cert-dir={self.ca_file.parent}",
            f"--secure-port={self._ports.apiserver}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            f"--audit-policy-file={self._folder / 'audit-policy.yaml'}",
            f"--audit-log-path={self._audit_log.file}",
            # Not the 100 MB of the default: a rotated log would lose its witness.
            "--audit-log-maxsize=4000",
            "--profiling=false",
        )
        wait_until_up(process, lambda: self.ca_file.exists() and self._is_ready())

    def _is_ready(self) -> bool:
        try:
            return self.get("/readyz?verbose") is not None
        except (OSError, RequestFailed):
            return False

    def _controller_manager_flags(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig(CONTROLLER_MANAGER)}",
            f"--service-account-private-key-file={self._folder / 'service-account.key'}",
            f"--root-ca-file={self.ca_file}",
            "--leader-elect=false",
            "--secure-port=0",
            "--controllers=*,-node-ipam-controller",
            "--horizontal-pod-autoscaler-sync-period=2s",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def _start_kwok(self) -> None:
        self.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", kwok.LOGS_RESOURCE)
        served = "/apis/kwok.x-k8s.io/v1alpha1/logs"
        wait_until_up(self._processes[1], lambda: self._exists(served))
        config = self._folder / "kwok.yaml"
        config.write_text(kwok.kwok_config(self.pod_logs_dir))
        process = self._launch(
            "kwok",
            f"--kubeconfig={self.kubeconfig(KWOK)}",
            f"--config={config}",
            "--enable-crds=Logs",
            "--manage-all-nodes",
            # The heartbeat stage alone keeps a node alive, so that a test can take one down.
            "--node-lease-duration-seconds=0",
            "--cidr=10.244.0.1/16",
            "--node-ip=127.0.0.1",
            f"--node-port={self._ports.kubelet}",
            f"--server-address=127.0.0.1:{self._ports.kubelet}",
            f"--tls-cert-file={self.ca_file}",
            f"--tls-private-key-file={self.ca_file.with_suffix('.key')}",
        )
        wait_until_up(process, lambda: _answers(f"http://127.0.0.1:{self._ports.kubelet}/healthz"))

    def _exists(self, path: str) -> bool:
        try:
            self.get(path)
        except RequestFailed:
            return False
        return True

    def _wait_for_nodes(self) -> None:
        def usable() -> bool:
            nodes = self.get("/api/v1/nodes")["items"]
            return all(_is_ready_node(node) for node in nodes)

        wait_until_up(self._processes[-1], usable)


def _parsed(body: bytes) -> Object:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {"message": body.decode(errors="replace")}
    return parsed if isinstance(parsed, dict) else {"message": parsed}


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _node(name: str) -> Object:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": f"zone-{name[-1]}",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"allocatable": NODE_RESOURCES, "capacity": NODE_RESOURCES},
    }


def _is_ready_node(node: Object) -> bool:
    """Ready, and rid of the not-ready taint: before that nothing is scheduled there."""
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")
