"""Rule files are loaded whole or not at all, and every mistake is told at once with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.errors import ConfigError
from remediator.rules.document import MAX_BYTES, MAX_NODES, read_source
from remediator.rules.load import load_rules
from remediator.rules.report import RulesError
from remediator.rules.ruleset import RuleSet

BAD = Path(__file__).parents[2] / "data" / "rules" / "bad"
RULE = "  - {{name: {name}, match: ['alertname=\"{name}\"'], severity: 1, respond: [{{do: escalate}}]}}\n"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def a_file(*names: str) -> str:
    return "rules:\n" + "".join(RULE.format(name=name) for name in names)


def refused(*paths: Path) -> RulesError:
    with pytest.raises(RulesError) as caught:
        load_rules(*paths)
    return caught.value


@pytest.mark.parametrize("file", sorted(BAD.glob("*.yaml")), ids=lambda file: file.stem)
def test_report(file: Path) -> None:
    """The text beside each bad file is what its author reads."""
    report = str(refused(file)).replace(str(file), file.name) + "\n"
    assert report == file.with_suffix(".txt").read_text()


SAYS_HOW = re.compile(r"^(write|give|name|must be|must begin|expected) |must be |would never hold|there are ")
"""How a text says itself what may stand there."""


def test_every_mistake_has_place_cause_and_what_to_write_instead() -> None:
    """Most as a hint of their own; the codes are for scripts, and each is there."""
    problems = [(file.stem, one) for file in BAD.glob("*.yaml") for one in refused(file).problems]
    without = [(name, one.text) for name, one in problems if not one.suggestion and not SAYS_HOW.search(one.text)]
    assert without == []
    assert all(one.line >= 1 and one.column >= 1 and one.code for _, one in problems)
    assert len({name for name, one in problems if one.suggestion}) >= 30


def test_the_error_is_a_config_error_with_its_problems() -> None:
    error = refused(BAD / "many-at-once.yaml")
    assert isinstance(error, ConfigError)
    assert [(problem.line, problem.column) for problem in error.problems][:3] == [(2, 5), (3, 5), (4, 15)]


def test_a_folder_is_its_files_by_name(tmp_path: Path) -> None:
    write(tmp_path, b=a_file("three"), a=a_file("one", "two"))
    (tmp_path / "notes.txt").write_text("not rules")
    assert [rule.name for rule in load_rules(tmp_path).rules] == ["one", "two", "three"]


def test_severities_may_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, a=a_file("one"), s="severities: {4: {wait: 1h}}\n")
    table = load_rules(tmp_path)
    assert [table.severities.wait(level).total_seconds() for level in (3, 4)] == [300, 3600]


def test_severities_are_given_once(tmp_path: Path) -> None:
    write(tmp_path, a=a_file("one") + "severities: {4: {wait: 1h}}\n", b="severities: {3: {wait: 1h}}\n")
    assert "'severities' is given twice" in str(refused(tmp_path))


def test_names_are_unique_over_all_files(tmp_path: Path) -> None:
    write(tmp_path, a=a_file("one"), b=a_file("two", "one"))
    assert f"first in {tmp_path / 'a.yaml'}:2" in str(refused(tmp_path))


def test_errors_of_all_files_are_told_together(tmp_path: Path) -> None:
    write(tmp_path, a="rules: [\n", b="rules: [{nme: x}]\n", c=a_file("one"))
    error = refused(tmp_path)
    assert {Path(problem.file).name for problem in error.problems} == {"a.yaml", "b.yaml"}
    assert str(error).endswith("errors in 2 rules")


@pytest.mark.parametrize("made", [False, True])
def test_nothing_to_read_is_an_error(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "rules"
    if made:
        folder.mkdir()
    assert len(refused(folder).problems) == 1


def test_too_large_a_file_is_not_parsed(tmp_path: Path) -> None:
    write(tmp_path, a="#" * (MAX_BYTES + 1))
    assert "file too large" in str(refused(tmp_path))


def test_too_many_nodes_are_refused(tmp_path: Path) -> None:
    write(tmp_path, a="rules: [" + "1," * (MAX_NODES + 10) + "]\n")
    assert "nodes; split the file" in str(refused(tmp_path))


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + a_file("one").replace("\n", "\r\n").encode())
    assert load_rules(tmp_path).place("one") == f"{tmp_path / 'a.yaml'}:2:5"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), "2:5"),
        (("respond",), "6:7"),
        (("respond", 1, "do"), "8:13"),
        (("respond", 1, "with", "recent"), "8:9"),  # not written: the row
        (("verify",), "2:5"),  # not written: the rule
    ],
)
def test_place_is_of_the_part_or_the_nearest_around_it(tmp_path: Path, path: tuple[str | int, ...], place: str) -> None:
    text = """rules:
  - name: one
    match: ['alertname="A"']
    severity: 1
    respond:
      - when: {cause: load}
        do: recommend
      - do: escalate
"""
    file = write(tmp_path, a=text) / "a.yaml"
    table: RuleSet = load_rules(file)
    assert table.place("one", path) == f"{file}:{place}"


YAML_PARTS = st.sampled_from(
    [
        "a",
        "- ",
        ": ",
        "  ",
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        "&a",
        "*a",
        "!!int ",
        ">",
        "#",
        "%",
        "? ",
        "<<: ",
        "0x",
        ".inf",
        "1e999",
        "2026-01-01",
        "true",
        "~",
        "---",
        "1_0",
        "=",
        "@",
        "|",
    ]
)
ODD_CHARACTERS = st.sampled_from(["\n", "\t", "\x00", "\x85", "\u2028", "`"])


@settings(deadline=None)  # times of a shared machine are not what is tested
@given(st.lists(YAML_PARTS | ODD_CHARACTERS, max_size=12).map("".join) | st.binary(max_size=20))
def test_any_file_gives_data_or_problems(text: str | bytes) -> None:
    source = read_source("file", text.encode() if isinstance(text, str) else text)
    for problem in source.problems:
        assert problem.text
        assert problem.line >= 1
