"""The API server as the examinations reach it: as the settings say, and without waiting long for one that is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from remediator.doctor.base import Asked
from remediator.kube.client import KubernetesCluster, connect


@asynccontextmanager
async def cluster_of(asked: Asked) -> AsyncIterator[KubernetesCluster]:
    """Raises ConfigError that says what was tried."""
    settings = asked.settings
    cluster = await connect(
        name=settings.cluster_name,
        kubeconfig=settings.kubeconfig,
        context=settings.kube_context,
        server=settings.kube_server,
        request_timeout_seconds=asked.limit_seconds / 2,
        total_timeout_seconds=asked.limit_seconds / 2,
        user_agent="remediator-doctor",
        clock=asked.clock,
    )
    try:
        yield cluster
    finally:
        await cluster.close()
