"""Bearer tokens from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.errors import ConfigError
from remediator.receive.tokens import BearerTokens

OLD, NEW = "old-token-0123456789", "new-token-ü-0123456789"


def token_file(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_everyone_is_allowed_without_files() -> None:
    assert BearerTokens(()).is_allowed(None)


def test_two_tokens_are_valid_at_once(tmp_path: Path) -> None:
    tokens = BearerTokens([token_file(tmp_path, "a", OLD + "\n"), token_file(tmp_path, "b", NEW)])
    assert tokens.is_allowed(f"Bearer {OLD}")
    assert tokens.is_allowed(f"bearer {NEW}")


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", OLD, f"Basic {OLD}", f"Bearer {OLD}x", f"Bearer{OLD}", "Bearer \udcff", "Bearer ü"],
)
def test_anything_else_is_refused(tmp_path: Path, header: str | None) -> None:
    assert not BearerTokens([token_file(tmp_path, "a", OLD)]).is_allowed(header)


def test_refresh_takes_a_rotated_token(tmp_path: Path) -> None:
    tokens = BearerTokens([token_file(tmp_path, "a", OLD)])
    token_file(tmp_path, "a", NEW)
    tokens.refresh()
    assert tokens.is_allowed(f"Bearer {NEW}")
    assert not tokens.is_allowed(f"Bearer {OLD}")


@pytest.mark.parametrize("text", ["", "\n", "short", "two words 0123456789"])
def test_a_file_without_a_proper_token_is_refused_and_the_old_one_stays(tmp_path: Path, text: str) -> None:
    """An empty file must never mean that an empty token is right."""
    tokens = BearerTokens([token_file(tmp_path, "a", OLD)])
    token_file(tmp_path, "a", text)
    with pytest.raises(ConfigError, match="at least 16 characters") as caught:
        tokens.refresh()
    assert tokens.is_allowed(f"Bearer {OLD}")
    assert text.strip() == "" or text not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing: cannot read the token"):
        BearerTokens([tmp_path / "missing"])
