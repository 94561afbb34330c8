"""Which commit the rule files are of: as Git itself says, in every shape a checkout comes in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from remediator.rules.commit import commit_of


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "a.yaml").write_text("rules: []\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    return folder


def test_of_a_checkout_from_a_folder_or_a_file_in_it(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    assert commit_of(checkout / "rules") == commit_of(checkout / "rules" / "a.yaml") == head


def test_of_packed_references(checkout: Path) -> None:
    git(checkout, "pack-refs", "--all")
    assert commit_of(checkout / "rules") == git(checkout, "rev-parse", "HEAD")


def test_of_a_detached_head_and_of_a_worktree(checkout: Path, tmp_path: Path) -> None:
    """As git-sync leaves it: `.git` is a file."""
    git(checkout, "worktree", "add", "-q", "--detach", str(tmp_path / "synced"))
    assert commit_of(tmp_path / "synced" / "rules") == git(checkout, "rev-parse", "HEAD")
    git(checkout, "worktree", "add", "-q", "-b", "other", str(tmp_path / "branch"))
    assert commit_of(tmp_path / "branch" / "rules") == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize("head", ["", "ref: refs/heads/gone", "nonsense", "\xff"])
def test_what_cannot_be_told_is_empty(tmp_path: Path, head: str) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_bytes(head.encode("latin-1"))
    assert commit_of(tmp_path) == ""


def test_outside_of_a_checkout_none_is_known(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == ""
