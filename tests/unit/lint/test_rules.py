"""What `check rules` says of tables that load: each doubtful file has its report beside it; the shipped have none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from remediator.lint.rules import review
from remediator.rules.load import load_rules
from remediator.rules.report import Level, Problem
from remediator.rules.shipped import shipped_rules

DATA = Path(__file__).parents[2] / "data" / "rules"
DOUBTFUL = sorted((DATA / "doubtful").glob("*.yaml"))


@cache
def found_in(file: Path) -> Sequence[Problem]:
    return review(load_rules(file))


@pytest.mark.parametrize("file", DOUBTFUL, ids=lambda file: file.stem)
def test_report(file: Path) -> None:
    """The text beside each file is what its author reads; every finding is a warning that says what to write."""
    found = found_in(file)
    report = "".join(f"{problem}\n" for problem in found).replace(str(file), file.name)
    assert report == file.with_suffix(".txt").read_text(encoding="utf-8")
    assert {problem.level for problem in found} == {Level.WARNING}
    assert all(problem.hint and problem.code for problem in found)


def test_every_code_is_shown_by_a_file() -> None:
    codes = {problem.code for file in DOUBTFUL for problem in found_in(file)}
    source = (Path(review.__code__.co_filename)).read_text(encoding="utf-8")
    assert codes == {part.split('"')[0] for part in source.split('code="')[1:]}
    page = (DATA.parents[2] / "rules" / "README.md").read_text(encoding="utf-8")
    assert {code for code in codes if f"`{code}`" not in page} == set()


def test_nothing_is_said_of_the_shipped_rules() -> None:
    assert [str(problem) for problem in review(load_rules(shipped_rules()))] == []


def table(folder: Path, *rows: str) -> list[str]:
    """The codes found in a rule with these rows."""
    head = "name: one\n    match: ['alertname=\"A\"']\n    severity: 1\n    diagnose: [resources]\n    respond:\n"
    text = f"rules:\n  - {head}"
    file = folder / "rules.yaml"
    file.write_text(text + "".join(f"      - {row}\n" for row in (*rows, "{do: escalate}")), encoding="utf-8")
    return [problem.code for problem in review(load_rules(file))]


@pytest.mark.parametrize(
    ("first", "second", "is_within"),
    [
        ("cause: load", "cause: load", True),
        ("cause: load", "cause: leak", False),
        ("cause: [load, leak]", "cause: leak", True),
        ("cause: leak", "cause: [load, leak]", False),
        ("deployed_within: 2h", "deployed_within: 1h", True),
        ("deployed_within: 1h", "deployed_within: 2h", False),
        ("replicas: {max: 3}", "replicas: {max: 2}", True),
        ("replicas: {max: 3}", "replicas: {min: 2}", False),
        ("replicas: {min: 2, max: 3}", "replicas: {min: 2}", False),
        ("affected_ratio: {min: 0.5}", "affected_ratio: {min: 0.5, max: 0.9}", True),
        ("saturated: true", "saturated: false", False),
        ("kind: Deployment", "cause: load", False),
        ("cause: load, kind: Deployment", "cause: load", False),
        ("cause: load", "cause: load, kind: Deployment", True),
    ],
)
def test_a_row_is_never_taken_where_an_earlier_one_holds_wherever_it_does(
    tmp_path: Path, first: str, second: str, is_within: bool
) -> None:
    codes = table(tmp_path, f"{{when: {{{first}}}, do: recommend}}", f"{{when: {{{second}}}, do: escalate}}")
    assert codes == (["row-unreachable"] if is_within else [])
