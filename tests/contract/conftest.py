"""Lends the control plane of `tests/cluster` to the `kube` contract."""

from tests.cluster.conftest import binaries, control_plane

__all__ = ["binaries", "control_plane"]
