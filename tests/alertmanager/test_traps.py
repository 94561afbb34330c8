"""The table of traps is whole: each section has its traps, each trap its tests, and each of these is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.alertmanager.traps import HERE, SECTIONS, TRAPS, Trap

ROOT = Path(__file__).parents[2]


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: f"{trap.section}: {trap.trap}")
def test_the_tests_of_a_trap_are_there(trap: Trap) -> None:
    assert trap.tests
    for test in trap.tests:
        file, _, name = test.partition("::")
        assert name in functions(file), f"{test} is gone"


def test_each_section_has_its_traps() -> None:
    assert {trap.section for trap in TRAPS} == set(SECTIONS)


def test_what_is_in_this_folder_is_for_a_trap() -> None:
    """A test that stands for none would not be missed when the table says that none is missing."""
    named = {test for trap in TRAPS for test in trap.tests}
    files = [file for file in sorted(ROOT.glob(HERE + "test_*.py")) if file.name != Path(__file__).name]
    here = {f"{HERE}{file.name}::{name}" for file in files for name in functions(f"{HERE}{file.name}")}
    assert {one for one in here if one.partition("::")[2].startswith("test_")} - named == set()
