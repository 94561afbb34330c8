"""How pytest-xdist shares the tests among its workers: by files, and all that need the control plane to one worker.

A run has one control plane, and half of the time of all tests is waiting for it; the other workers do the rest
meanwhile. (`--dist loadgroup` would say the same by marks; pytest-xdist 3.8 does not find them under pytest 9.2.)
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ON_THE_RIG = ("tests/cluster/", "tests/contract/test_kube_")


class ByFile(LoadScopeScheduling):
    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # what takes long has few tests, and comes early by name

    def _split_scope(self, nodeid: str) -> str:
        return "the rig" if nodeid.startswith(ON_THE_RIG) else nodeid.partition("::")[0]
