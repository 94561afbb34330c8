"""Finds the programs of the rig, or builds them once from the pinned Go module in `tools/`.

Looked up in this order: the folder in REMEDIATOR_TEST_BIN; the folder in KUBEBUILDER_ASSETS for the programs
it has; the cache of the user, keyed by the hash of go.mod and go.sum; else built there, under a lock.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent / "tools"
VERSION = "v1.36.3"

# The name of a program as the rig uses it -> the package that it is built from.
PACKAGES: Mapping[str, str] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "alertmanager": "github.com/prometheus/alertmanager/cmd/alertmanager",
    "amtool": "github.com/prometheus/alertmanager/cmd/amtool",
    "prometheus": "github.com/prometheus/prometheus/cmd/prometheus",
    "promtool": "github.com/prometheus/prometheus/cmd/promtool",
}

# As Kubernetes' own build does; without it /version says v0.0.0, and clients take the server for ancient.
STAMPS = (
    f"-X k8s.io/component-base/version.gitVersion={VERSION}",
    "-X k8s.io/component-base/version.gitMajor=1",
    "-X k8s.io/component-base/version.gitMinor=36",
    f"-X k8s.io/client-go/pkg/version.gitVersion={VERSION}",
)


class BinariesUnavailable(Exception):
    """Some programs are neither there nor can they be built; the message names both ways out."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Name of a program -> path of its executable."""

    paths: Mapping[str, Path]

    def __getitem__(self, name: str) -> Path:
        return self.paths[name]


def find_or_build() -> Binaries:
    """Return all programs of the rig; the first call on a machine builds them (6 minutes on 2 cores).

    Raises BinariesUnavailable if there is no Go, or if the build fails.
    """
    found: dict[str, Path] = {}
    for folder in _folders_of_environment():
        for name in PACKAGES:
            candidate = _executable(folder, name)
            if candidate and name not in found:
                found[name] = candidate
    if len(found) == len(PACKAGES):
        return Binaries(found)
    cache = _cache_folder()
    if not _is_complete(cache):
        _build_once(cache)
    return Binaries({name: cache / name for name in PACKAGES} | found)


def binaries_or_skip() -> Binaries:
    """For fixtures: skip where the programs cannot be had; fail on CI, where a skip would go unnoticed."""
    try:
        return find_or_build()
    except BinariesUnavailable as unavailable:
        reason = str(unavailable)
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _folders_of_environment() -> Iterator[Path]:
    for variable in ("REMEDIATOR_TEST_BIN", "KUBEBUILDER_ASSETS"):
        if value := os.environ.get(variable):
            yield Path(value)


def _executable(folder: Path, name: str) -> Path | None:
    # `go build` names etcd after the last folder of its package.
    for file in (name, *(["server"] if name == "etcd" else [])):
        if os.access(folder / file, os.X_OK) and (folder / file).is_file():
            return folder / file
    return None


def _cache_folder() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256()
    for file in ("go.mod", "go.sum"):
        digest.update((TOOLS / file).read_bytes())
    return root / "remediator-test-bin" / digest.hexdigest()[:16]


def _is_complete(folder: Path) -> bool:
    return all(_executable(folder, name) for name in PACKAGES)


def _build_once(cache: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise BinariesUnavailable(
            "The cluster tests need kube-apiserver, etcd, kwok, alertmanager, prometheus and others, and"
            " there is no `go` on the PATH to build them. Either install Go 1.26 or newer (they are then"
            " built once, into the cache folder of the user), or set REMEDIATOR_TEST_BIN to a folder with:"
            f" {', '.join(PACKAGES)}."
        )
    cache.parent.mkdir(parents=True, exist_ok=True)
    with _locked(cache.parent / f"{cache.name}.lock"):
        if not _is_complete(cache):
            _build(go, cache)


def _build(go: str, cache: Path) -> None:
    """Build next to the cache and rename, so that the cache folder is either complete or absent."""
    temporary = Path(tempfile.mkdtemp(prefix=f"{cache.name}.", dir=cache.parent))
    try:
        _run_go(go, temporary)
        (temporary / "server").rename(temporary / "etcd")
        if cache.exists():
            shutil.rmtree(cache)
        temporary.chmod(0o755)
        temporary.rename(cache)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _run_go(go: str, output: Path) -> None:
    argv = [go, "build", "-trimpath", "-buildvcs=false", "-mod=readonly"]
    # The tag leaves out every service discovery of Prometheus but static and file, and halves its build.
    argv += ["-tags", "remove_all_sd", "-ldflags", " ".join(("-s", "-w", *STAMPS))]
    argv += ["-o", f"{output}{os.sep}", *PACKAGES.values()]
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    _say("building the programs of these tests, once per machine; this takes 6 to 8 minutes on 2 cores")
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        build = subprocess.Popen(argv, cwd=TOOLS, env=environment, stdout=log, stderr=subprocess.STDOUT)
        done = threading.Event()
        reporter = threading.Thread(target=_report_progress, args=(output, started, done), daemon=True)
        reporter.start()
        try:
            status = build.wait()
        except BaseException:
            build.terminate()
            build.wait()
            raise
        finally:
            done.set()
            reporter.join()
        if status != 0:
            log.seek(0)
            raise BinariesUnavailable(_failed_build(log.read()))
    _say(f"built in {time.monotonic() - started:.0f} s")


def _failed_build(log: str) -> str:
    lines = [line for line in log.splitlines() if not line.startswith("go: downloading")]
    return (
        "Building the programs of the cluster tests failed. Either mend the build (Go 1.26 or newer, and a"
        " module proxy or a filled module cache), or set REMEDIATOR_TEST_BIN to a folder that holds:"
        f" {', '.join(PACKAGES)}. The compiler said:\n" + "\n".join(lines[-30:])
    )


def _report_progress(output: Path, started: float, done: threading.Event) -> None:
    while not done.wait(20):
        built = sum(1 for _ in output.iterdir())
        _say(f"... {time.monotonic() - started:.0f} s, {built} of {len(PACKAGES)} programs linked")


def _say(text: str) -> None:
    # pytest captures sys.stderr; whoever waits six minutes should see why.
    stream = sys.__stderr__
    if stream is not None:
        print(f"[cluster tests] {text}", file=stream, flush=True)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another run is building them; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
