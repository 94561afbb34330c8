"""What a start brings in: the libraries are used in small parts, and the rest of them is neither loaded nor needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

START = """
import asyncio, sys
from remediator.app import open_service
from remediator.clock import SystemClock
from remediator.settings import Settings
given = {"web_listen_address": "127.0.0.1:0", "storage_url": sys.argv[1], "kube_server": "http://127.0.0.1:9"}

async def main():
    async with open_service(Settings.load(None, given), clock=SystemClock()):
        print(sum(name.startswith("kubernetes_asyncio.client.models.") for name in sys.modules))
        print("alembic" in sys.modules)
        print("sqlalchemy.dialects.postgresql" in sys.modules)
        print("cryptography" in sys.modules)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What a first and a second start over the same file say."""
    url = f"sqlite:///{tmp_path_factory.mktemp('start') / 'r.db'}"
    command = [sys.executable, "-c", START, url]
    said = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    return [text.split()[-4:] for text in said]  # before it stands the log


def test_no_start_brings_in_the_models_of_the_kubernetes_library(starts: list[list[str]]) -> None:
    assert [models for models, *_ in starts] == ["0", "0"]


def test_only_the_start_that_makes_the_schema_brings_in_alembic(starts: list[list[str]]) -> None:
    assert [alembic for _, alembic, *_ in starts] == ["True", "False"]


def test_nothing_for_postgresql_is_brought_in_where_a_file_is_the_store(starts: list[list[str]]) -> None:
    """The start that makes the schema does it, for the conditions of indexes."""
    assert starts[1][2] == "False"


def test_what_signs_the_log_is_brought_in_with_a_key_only(starts: list[list[str]]) -> None:
    assert [signing for *_, signing in starts] == ["False", "False"]


def test_who_had_the_kubernetes_library_whole_keeps_it() -> None:
    said = "import kubernetes_asyncio as k, remediator.kube.library as l; print(k.client.ApiClient is l.ApiClient)"
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout == "True\n"
