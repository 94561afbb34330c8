"""Which Git commit the rule files are of, where they lie in a checkout: read from `.git` itself, without Git.

`app.py` asks once for each load, so that a decision can name the reviewed change that allowed it.
"""

from __future__ import annotations

import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_DEEPEST = 20


def commit_of(path: Path) -> str:
    """The commit that is checked out around `path`, in hexadecimal; empty: none is known.

    Knows a plain checkout, a worktree (`.git` is a file, as git-sync leaves it) and packed references. Says nothing of
    changes that are not committed; the rule's own digest does.
    """
    try:
        for folder in [path.resolve(), *path.resolve().parents][:_DEEPEST]:
            if (found := folder / ".git").exists():
                return _head(_git_folder(found))
    except (OSError, UnicodeDecodeError):
        pass
    return ""


def _git_folder(found: Path) -> Path:
    if found.is_dir():
        return found
    text = found.read_text(encoding="utf-8").strip()
    return (found.parent / text.removeprefix("gitdir:").strip()).resolve()


def _head(folder: Path) -> str:
    text = (folder / "HEAD").read_text(encoding="utf-8").strip()
    if not text.startswith("ref:"):
        return text if _COMMIT.fullmatch(text) else ""
    reference = text.removeprefix("ref:").strip()
    common = folder / "commondir"
    places = [folder, (folder / common.read_text(encoding="utf-8").strip()) if common.is_file() else folder]
    for place in places:
        if (loose := place / reference).is_file():
            found = loose.read_text(encoding="utf-8").strip()
            return found if _COMMIT.fullmatch(found) else ""
    for place in places:
        if (packed := place / "packed-refs").is_file():
            for line in packed.read_text(encoding="utf-8").splitlines():
                commit, _, name = line.partition(" ")
                if name == reference and _COMMIT.fullmatch(commit):
                    return commit
    return ""
