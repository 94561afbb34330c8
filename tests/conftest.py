"""Fixtures of the whole tree: the one control plane of a run, and a namespace in it for each test that asks."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tests.cluster.binaries import Binaries, binaries_or_skip
from tests.cluster.controlplane import ControlPlane
from tests.cluster.waiting import wait_for
from tests.postgres import database_url, own_postgres, postgres, postgres_url

__all__ = ["database_url", "own_postgres", "postgres", "postgres_url"]

NAMESPACE_LABELS = {"app.kubernetes.io/part-of": "remediator-tests"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="Run the long profiles: the state machine 2,000 times.")
    parser.addoption(
        "--silent",
        action="store_true",
        help="Every service of the cluster tests runs in silent mode, whatever its test asks for. What waits for an "
        "action waits in vain and counts as expected; the API server's audit log is what is asked at the end.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """pytest-asyncio asks for the current loop before its first test and never closes the one made for the answer."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    config.add_cleanup(loop.close)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several workers (-n) one of them has the rig."""
    from tests.workers import ByFile  # not where pytest-xdist is not

    return ByFile(config, log)


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command that runs in the process of the tests may set up its log: what comes after it is heard again."""
    root, kubernetes = logging.getLogger(), logging.getLogger("kubernetes_asyncio")
    handlers, levels = root.handlers[:], (root.level, kubernetes.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    kubernetes.setLevel(levels[1])
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """The programs of the rig, built if need be; skips where that is impossible, fails on CI."""
    return binaries_or_skip()


@pytest.fixture(scope="session")
def control_plane(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The one control plane of this run."""
    with ControlPlane(binaries, tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of its own for this test; its deletion is asked for, not waited for."""
    slug = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    name = f"{slug}-{secrets.token_hex(3)}"
    control_plane.refresh_pod_logs()
    control_plane.request(
        "POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": NAMESPACE_LABELS}}
    )
    accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
    wait_for(
        # Without it the admission of a bare pod fails.
        lambda: control_plane.get(accounts)["items"],
        timeout_seconds=20,
        what=f"the default ServiceAccount of namespace {name}",
    )
    yield name
    control_plane.request("DELETE", f"/api/v1/namespaces/{name}")
