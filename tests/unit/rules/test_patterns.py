"""Log patterns in rule files: tried on their examples, refused with their place, and never fewer than are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.rules.document import read_source
from remediator.rules.load import LOG_PATTERNS, load_rules
from remediator.rules.patterns import Anywhere, LogPatternRow, problems_of
from remediator.rules.report import RulesError
from remediator.rules.shipped import shipped_rules

SHIPPED = shipped_rules() / LOG_PATTERNS
ROWS = [
    LogPatternRow.model_validate(row) for row in read_source(str(SHIPPED), SHIPPED.read_bytes()).data["log_patterns"]
]
RULE = """\
rules:
  - {name: one, match: ['alertname="A"'], severity: 1, respond: [{do: escalate}]}
"""
OWN = """\
log_patterns:
  - name: vault-sealed
    cause: dependency-down
    pattern: '(?i)vault is sealed'
    why: our secrets store
    matches: ['Error: Vault is sealed']
    passes: ['sealed the deal']
"""


def loaded(folder: Path, text: str) -> dict[str, str]:
    """Name -> expression of the patterns in force."""
    (folder / "rules.yaml").write_text(RULE + text)
    found = load_rules(folder).log_patterns
    return {one.name: one.expression.text for one in found if isinstance(one.expression, Anywhere)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.name))
def test_a_shipped_pattern_does_what_its_examples_say(row: LogPatternRow) -> None:
    assert list(problems_of(row)) == []


def test_the_shipped_patterns_are_in_force_whatever_the_files_hold(tmp_path: Path) -> None:
    """A rule set of one's own must not blame releases for what the shipped patterns excuse."""
    assert set(loaded(tmp_path, "")) == {row.name for row in ROWS}


def test_a_file_adds_patterns_of_its_own(tmp_path: Path) -> None:
    assert set(loaded(tmp_path, OWN)) == {row.name for row in ROWS} | {"vault-sealed"}


def test_one_with_the_name_of_a_shipped_pattern_takes_its_place(tmp_path: Path) -> None:
    found = loaded(tmp_path, OWN.replace("vault-sealed", "disk-full"))

    assert len(found) == len(ROWS)
    assert found["disk-full"] == "(?i)vault is sealed"


def test_the_digest_of_the_table_changes_with_a_pattern(tmp_path: Path) -> None:
    """So that a record says by which patterns it was decided."""
    digests = set()
    for text in ("", OWN, OWN.replace("is sealed", "sealed")):
        (tmp_path / "rules.yaml").write_text(RULE + text.replace("Vault is sealed", "Vault sealed, vault is sealed"))
        digests.add(load_rules(tmp_path).digest)

    assert len(digests) == 3


WRONG: list[tuple[str, str, str, str]] = [
    ("an example it misses", "'Error: Vault is sealed'", "'Error: sealed'", "8:15: error: the pattern of"),
    ("an example to pass over", "'sealed the deal'", "'x', 'vault is sealed'", "9:19: error: the pattern of"),
    ("a bad expression", "(?i)vault is sealed", "vault (is", "6:14: error: bad regular expression \"vault (is\""),
    ("a parenthesis too many", "(?i)vault is sealed", "vault) (is", "6:14: error: bad regular expression"),
    ("look-ahead", "(?i)vault is sealed", "vault(?= is)", "6:14: error: bad regular expression"),
    ("one that is too large", "(?i)vault is sealed", "a.{900}b", "6:14: error: bad regular expression"),
    ("one that matches every line", "(?i)vault is sealed", "(?i)x*", "6:14: error: bad regular expression"),
    ("a cause that a log may not name", "dependency-down", "code-error", "5:12: error: unknown cause 'code-error'"),
    ("no example", "matches: ['Error: Vault is sealed']", "matches: []", "8:14: error: must not be empty"),
    ("an unknown field", "why: our", "because: x\n    why: our", "7:5: error: unknown field 'because'"),
    ("no reason", "    why: our secrets store\n", "", "4:5: error: missing field 'why'"),
    ("one name twice", "log_patterns:", OWN.rstrip(), "10:11: error: a second log pattern"),
]


@pytest.mark.parametrize(("old", "new", "expected"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_said_with_its_place(old: str, new: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(RulesError) as raised:
        loaded(tmp_path, OWN.replace(old, new))

    assert expected in str(raised.value)
