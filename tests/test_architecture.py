"""One command is all of CI: lint, types and the import contracts are tests too, and so are the rules of the house."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "remediator").rglob("*.py"))


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def test_ruff_finds_nothing() -> None:
    run("ruff", "check", "--no-cache", "remediator", "tests")


def test_mypy_strict_finds_nothing() -> None:
    run("mypy")


def test_imports_go_down_only() -> None:
    """The layers of the style guide, as contracts of import-linter in pyproject.toml."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is(source: Path) -> None:
    assert ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))), f"{source} has no docstring"


def test_only_the_wrappers_import_the_clients() -> None:
    """Their traps are met in one place each."""
    found = {
        (name, path.relative_to(ROOT).parts[1])
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imported(node)
        if name in ("kubernetes_asyncio", "prometheus_api_client", "icalendar", "recurring_ical_events")
    }
    assert found == {
        ("kubernetes_asyncio", "kube"),
        ("prometheus_api_client", "prometheus"),
        ("icalendar", "rules"),
        ("recurring_ical_events", "rules"),
    }


def test_time_comes_from_the_clock_only() -> None:
    """Nothing else reads the hour, so that a fake clock sees all of it."""
    reading = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        if path.name != "clock.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in ("now", "utcnow", "today")
        and isinstance(node.value, ast.Name)
        and node.value.id in ("datetime", "date")
    ]
    assert reading == []


def test_every_task_belongs_to_a_group() -> None:
    """`gather` leaves the others running when one fails; a task on its own is ended by nobody. The one of the store's
    writer lives as long as the store, and is awaited when it closes."""
    loose = {
        path.relative_to(ROOT / "remediator").as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in ("gather", "create_task", "ensure_future")
        and isinstance(node.value, ast.Name)
        and node.value.id in ("asyncio", "loop")
    }
    assert loose == {"store/writer.py"}


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module.split(".")[0]]
    return []
