"""`check rules` and `explain` print what a person or a script can use, and exit accordingly."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from remediator.cli.check import rules as check_rules
from remediator.cli.explain import explain

DATA = Path(__file__).parents[2] / "data" / "rules"
TABLE = """rules:
  - {name: one, match: ['alertname="A"', 'namespace!="kube-system"'], severity: 1, respond: [{do: escalate}]}
  - {name: two, match: ['alertname=~"A|B"'], severity: 1, respond: [{do: escalate}]}
  - {name: three, match: ['alertname="B"', 'team="x"'], severity: 1, respond: [{do: escalate}]}
"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rules.yaml").write_text(TABLE)
    return Path("rules.yaml")


def test_check_counts_the_rules_of_good_files(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_text(TABLE.replace("A|B", "A|C"))
    assert check_rules([table], "simple") == 0
    assert capsys.readouterr().out == "rules.yaml: 3 rules, ok\n"


def test_check_warns_of_what_can_be_used_and_was_not_meant(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Good all the same, unless a lint is fatal."""
    assert check_rules([table], "simple") == 0
    assert check_rules([table], "json", is_fatal=True) == 3
    out = capsys.readouterr().out
    assert "rules.yaml:4:5: warning: rule 'three' is never reached: 'two' takes all its alerts" in out
    assert "0 errors, 1 warning\n" in out
    told = json.loads(out.partition("0 errors, 1 warning\n")[2])
    assert (told["ok"], [one["code"] for one in told["warnings"]]) == (True, ["rule-unreachable"])


def test_check_without_files_is_of_the_shipped_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_rules([], "simple") == 0
    assert "default.yaml: " in capsys.readouterr().out


def test_check_prints_the_report_of_bad_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_rules([DATA / "bad" / "many-at-once.yaml"], "simple") == 1
    out = capsys.readouterr().out
    assert out.endswith("7 errors in 2 rules\n")
    assert "\x1b" not in out


def test_check_gives_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_rules([DATA / "bad" / "rule-mode-unknown.yaml"], "json") == 1
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert (error["line"], error["column"], error["hint"]) == (6, 11, "did you mean 'active'?")


def test_check_gives_the_digest_of_good_files_as_json(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_rules([table], "json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"] == {"rules.yaml": 3}
    assert len(answer["digest"]) == 64


def test_explain_shows_every_rule_in_order(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain('alertname="A",namespace="shop"', table, "simple") == 0
    assert capsys.readouterr().out.splitlines() == [
        'alert  alertname="A",namespace="shop"',
        "  1  one    yes  all matchers hold  rules.yaml:2:5",
        '       yes      alertname="A" (is "A")',
        '       yes      namespace!="kube-system" (is "shop")',
        "       yes      row 1 escalate <- taken  rules.yaml:2:94",
        "                  always",
        "  2  two    yes  its matchers hold too, but an earlier rule takes it  rules.yaml:3:5",
        '       yes      alertname=~"A|B" (is "A")',
        "       yes      row 1 escalate  rules.yaml:3:69",
        "                  always",
        '  3  three  no   alertname="B" (is "A") and team="x" (not set)  rules.yaml:4:5',
        "  -> one",
    ]


def test_explain_shows_each_condition_of_each_row_as_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was diagnosed: what a condition asks is neither yes nor no."""
    assert explain('alertname="KubePodCrashLooping",namespace="shop"', None, "simple") == 0
    out = capsys.readouterr().out
    assert "unknown  row 1 rollback  " in out
    assert "unknown  cause: code-error or image-error or cannot-start (not known)" in out
    assert "unknown  deployed_within: 2h (not known)" in out
    assert "<- taken" not in out


def test_explain_has_all_rows_of_all_rules_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    from remediator.rules.load import load_rules
    from remediator.rules.shipped import shipped_rules
    from remediator.rules.when import shown_conditions

    assert explain('alertname="KubePodCrashLooping",namespace="shop"', None, "json") == 0
    [answer] = json.loads(capsys.readouterr().out)
    asked = {
        (rule["rule"], row["row"], one["name"])
        for rule in answer["rules"]
        for row in rule["rows"]
        for one in row["conditions"]
    }
    table = load_rules(shipped_rules())
    assert asked == {
        (rule.name, number, name)
        for rule in table.rules
        for number, row in enumerate(rule.respond, start=1)
        for name, _ in shown_conditions(row)
    }


def test_explain_shows_rows_of_other_alerts_where_asked(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain('alertname="A"', table, "simple", shows_all=True) == 0
    assert '       no       team="x" (not set)' in capsys.readouterr().out


def test_explain_without_an_alert_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(None, None, "simple") == 2
    assert "--incident" in capsys.readouterr().err


def test_explain_names_the_nearest_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(TABLE.replace("A|B", "C"))
    assert explain('alertname="B",team="y"', file, "simple") == 1
    assert capsys.readouterr().out.endswith('  -> no rule; nearest three: team="x" does not hold: team is "y"\n')


def test_explain_reads_a_payload(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps({"alerts": [{"labels": {"alertname": "A"}}, {"labels": {"alertname": "Z"}}]}))
    assert explain(str(payload), table, "json") == 1
    answers = json.loads(capsys.readouterr().out)
    assert [(answer["rule"], answer["why"]) for answer in answers] == [
        ("one", None),
        (None, 'no rule for alertname "Z"'),
    ]


def test_explain_reads_standard_input(
    table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for body, code, said in ((b'{"alerts": [{"labels": {"alertname": "A"}}]}', 0, "-> one"), (b"\xff", 2, "standard")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
        assert explain("-", table, "simple") == code
        assert said in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ('alertname=~"A"', "one value for each label"),
        ('a="1",a="2"', "two values for label a"),
        ("{}", "No such file"),
        ("a==", None),
        ('a="', "missing closing quote"),
        ("missing.json", "No such file"),
    ],
)
def test_explain_says_what_it_cannot_read(
    table: Path, labels: str, complaint: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    code = explain(labels, table, "simple")
    if complaint is None:
        assert code == 1  # the classic syntax reads it as the value "="
    else:
        assert (code, complaint in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"alerts": []}', '{"alerts": [{}]}', "nonsense", '{"alerts": [{"labels": 1}]}']
)
def test_explain_refuses_what_is_no_payload(table: Path, tmp_path: Path, text: str) -> None:
    payload = tmp_path / "payload.json"
    payload.write_text(text)
    assert explain(str(payload), table, "simple") == 2


def test_explain_with_bad_rules_prints_their_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain('alertname="A"', DATA / "bad" / "match-empty.yaml", "simple") == 2
    assert "empty match" in capsys.readouterr().err


def test_the_commands_load_nothing_heavy() -> None:
    """`check rules` and `explain` start fast: no cluster client, no database, no HTTP library."""
    program = """
import sys
from remediator.cli.check import rules
from remediator.cli.explain import explain
assert rules([], "simple") == 0 and explain('alertname="KubePodNotReady"', None, "simple") == 0
heavy = {"aiohttp", "sqlalchemy", "kubernetes_asyncio", "prometheus_api_client", "opentelemetry", "structlog"}
sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("latin-1", "ä".encode("latin-1"), "not UTF-8: byte 0xe4 at 0"),
        ("empty", b"", "not a webhook payload"),
        ("none", b'{"alerts": []}', "the payload has no alerts"),
        ("away", None, "cannot be read: No such file or directory; an alert is named by its labels"),
        ("", None, "cannot be read: Is a directory"),
    ],
)
def test_explain_names_the_file_that_it_cannot_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, said: str
) -> None:
    """A typing mistake in a name of labels is one as well: it is taken for a file."""
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    assert explain(str(file), None, "simple") == 2
    assert capsys.readouterr().err.startswith(f"error: {file}: {said}")
