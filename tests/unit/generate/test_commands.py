"""`generate` and `completion` as commands: they print, they write nothing, and misuse is said."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from remediator.access.credentials import CredentialsDocument
from remediator.cli.main import app
from remediator.generate.schemas import SCHEMAS
from remediator.settings import Settings

ROOT = Path(__file__).parents[3]
RUN = CliRunner()


def printed(*words: str) -> str:
    done = RUN.invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_committed_schema_of_rules_is_what_is_printed() -> None:
    assert printed("generate", "schema", "rules") == (ROOT / "rules" / "schema.json").read_text(encoding="utf-8")


def test_the_schema_of_settings_knows_every_setting_with_its_description() -> None:
    properties = json.loads(printed("generate", "schema", "settings"))["properties"]
    assert set(properties) == set(Settings.model_fields)
    assert all(field.get("description") for field in properties.values())
    assert properties["alertmanager_urls"]["anyOf"] == [
        {"type": "array", "items": {"type": "string"}},
        {"type": "string"},
    ]


def test_the_schema_of_credentials_asks_for_hashes() -> None:
    schema = json.loads(printed("generate", "schema", "credentials"))
    row = schema["$defs"]["CredentialRow"]["properties"]
    assert row["token_sha256"]["items"]["pattern"] == "^[0-9a-fA-F]{64}$"
    with pytest.raises(ValidationError):
        CredentialsDocument.model_validate({"credentials": [{"name": "a", "token_sha256": ["short"]}]})


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_a_schema_refuses_what_is_unknown(kind: str) -> None:
    assert SCHEMAS[kind]()["additionalProperties"] is False


@pytest.mark.parametrize("words", [["prometheus-rules"], ["mixin"]])
def test_both_forms_hold_the_same_groups(words: list[str]) -> None:
    plain = yaml.safe_load(printed("generate", *words, "--form", "plain"))
    manifest = yaml.safe_load(printed("generate", *words))
    assert manifest["spec"] == plain
    assert json.loads(printed("generate", *words, "-o", "json")) == manifest


def test_the_labels_by_which_a_prometheus_selects_can_be_given() -> None:
    manifest = yaml.safe_load(printed("generate", "mixin", "--label", "release=kps", "-n", "observability"))
    assert manifest["metadata"]["namespace"] == "observability"
    assert manifest["metadata"]["labels"]["release"] == "kps"
    assert "prometheus" not in manifest["metadata"]["labels"]


def test_only_the_groups_that_the_rules_need_are_made_and_what_they_read(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    rule = {
        "name": "a",
        "match": ['alertname="RemediatorAllPodsPending"'],
        "severity": 1,
        "respond": [{"do": "escalate"}],
    }
    other = {**rule, "name": "b", "match": ['alertname="MyOwn"']}
    file.write_text(json.dumps({"rules": [rule, other]}), encoding="utf-8")

    text = printed("generate", "prometheus-rules", "--form", "plain", "--rules", str(file))

    assert [group["name"] for group in yaml.safe_load(text)["groups"]] == ["remediator-workloads", "remediator-pods"]
    assert "#   MyOwn" in text


def test_rules_that_wait_for_nothing_of_ours_are_said(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    rule = {"name": "a", "match": ['alertname="MyOwn"'], "severity": 1, "respond": [{"do": "escalate"}]}
    file.write_text(yaml.safe_dump({"rules": [rule]}), encoding="utf-8")
    done = RUN.invoke(app, ["generate", "prometheus-rules", "--rules", str(file)])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "come from others" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["alertmanager-route", "--shape", "alertmanagerconfig", "--token-file", "/x"],
        ["alertmanager-route", "--token-secret", "a/b"],
        ["alertmanager-route", "--shape", "alertmanagerconfig", "--into", "/x"],
        ["alertmanager-route", "--webhook-url", "remediator:9095"],
        ["alertmanager-route", "--shape", "round"],
        ["mixin", "--label", "release"],
        ["prometheus-rules", "--label", "a=1", "--label", "a=2"],
        ["schema", "world"],
        ["completion", "tcsh"],
    ],
)
def test_misuse_is_said(words: list[str]) -> None:
    done = RUN.invoke(app, ["generate", *words])
    assert done.exit_code == 2, done.output
    assert done.stdout == ""


def test_the_route_goes_into_a_file_and_the_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yml"
    text = "route: {receiver: pager}\nreceivers: [{name: pager}]\n"
    file.write_text(text, encoding="utf-8")

    made = yaml.safe_load(printed("generate", "alertmanager-route", "--into", str(file)))

    assert [route["receiver"] for route in made["route"]["routes"]] == ["remediator"] * 3 + ["pager"] * 3
    assert file.read_text(encoding="utf-8") == text


def test_kubectl_can_apply_the_json_of_the_operators_shape() -> None:
    made = json.loads(printed("generate", "alertmanager-route", "--shape", "alertmanagerconfig", "-o", "json"))
    assert (made["kind"], {one["kind"] for one in made["items"]}) == ("List", {"AlertmanagerConfig"})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_prints_a_script_and_touches_no_file(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    text = printed("completion", shell)
    assert "_REMEDIATOR_COMPLETE" in text
    assert text == printed("generate", "completion", shell)
    assert list(tmp_path.iterdir()) == []


def test_the_script_of_bash_is_one_and_the_words_come_from_us() -> None:
    """bash itself reads it; and asked as it asks, the program names its commands."""
    checked = subprocess.run(
        ["bash", "-n"], input=printed("completion", "bash"), capture_output=True, text=True, timeout=20
    )
    assert checked.returncode == 0, checked.stderr
    asked = {"_REMEDIATOR_COMPLETE": "complete_bash", "COMP_WORDS": "remediator gen", "COMP_CWORD": "1"}
    done = RUN.invoke(app, [], env=asked, prog_name="remediator")
    assert done.stdout.split() == ["generate"]
