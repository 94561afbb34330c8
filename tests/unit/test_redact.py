"""Redaction: what is taken out, what stays whole, and that time grows with the length of the text only."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shlex
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.redact import MASK, Redactor, Remembering, redact, redact_object, redact_pair, redact_values

CORPUS = Path(__file__).parents[1] / "data" / "redaction"
PIECE = 8
"""No piece of a secret of this many characters may remain."""


@dataclass(frozen=True)
class Case:
    form: str
    text: str
    secrets: tuple[str, ...] = ()


def cases(name: str) -> Iterator[Case]:
    """The cases of a file; what its marks mean stands in its head."""
    form = ""
    for line in (CORPUS / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            form = line.removeprefix("## ")
        elif line and not line.startswith("#"):
            line = line.replace("⏎", "\n").replace("␛", "\x1b")
            yield Case(form, re.sub("[⟦⟧]", "", line), tuple(re.findall("⟦(.*?)⟧", line, re.DOTALL)))


PLANTED = list(cases("planted.txt"))
HARMLESS = list(cases("harmless.txt"))


def name_of(case: Case) -> str:
    return f"{case.form}: {case.text[:40]}"


def pieces(secret: str) -> set[str]:
    return {secret[at : at + PIECE] for at in range(max(1, len(secret) - PIECE + 1))}


@pytest.mark.parametrize("case", PLANTED, ids=name_of)
def test_no_piece_of_a_secret_stays(case: Case) -> None:
    told = redact(case.text)

    assert case.secrets
    assert MASK in told
    assert [piece for secret in case.secrets for piece in pieces(secret) if piece in told] == []


@pytest.mark.parametrize("case", HARMLESS, ids=name_of)
def test_a_harmless_line_stays_whole(case: Case) -> None:
    assert redact(case.text) == case.text


@pytest.mark.parametrize("case", PLANTED, ids=name_of)
def test_redacting_twice_changes_nothing_more(case: Case) -> None:
    once = redact(case.text)

    assert redact(once) == once


def test_the_corpus_is_as_broad_as_it_claims() -> None:
    assert len(PLANTED) >= 250
    assert len({case.form for case in PLANTED}) >= 25
    assert len(HARMLESS) >= 80


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(PLANTED + HARMLESS), min_size=2, max_size=5))
def test_lines_of_one_log_are_redacted_as_alone(drawn: list[Case]) -> None:
    """Neither hides what stands below it, and the whole is as stable as the parts."""
    told = redact("\n\n".join(case.text for case in drawn))

    assert [piece for case in drawn for one in case.secrets for piece in pieces(one) if piece in told] == []
    assert redact(told) == told


def in_csv(value: str) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(["x", json.dumps(around(value))])
    return out.getvalue()


def around(value: str) -> dict[str, Any]:
    return {"host": "db", "password": value, "user": "bob", "ports": [1, 2]}


WRITERS: dict[str, Callable[[str], str]] = {
    "JSON": lambda value: json.dumps(around(value)),
    "JSON, indented": lambda value: json.dumps(around(value), indent=2),
    "JSON in JSON": lambda value: json.dumps({"log": json.dumps(around(value)) + "\n"}),
    "JSON, four deep": lambda value: json.dumps({"a": json.dumps({"b": json.dumps({"c": json.dumps(around(value))})})}),
    "variable in JSON": lambda value: json.dumps([{"name": "DB_PASSWORD", "value": value}, {"name": "X"}]),
    "arguments in JSON": lambda value: json.dumps(["app", "--db-password", value, "--port"]),
    "header in JSON": lambda value: json.dumps({"h": {"Authorization": f"Bearer {value}", "x": 1}}),
    "repr": lambda value: repr(around(value)),
    "repr of keywords": lambda value: f"Settings(host=1, password={value!r}, port=2)",
    "repr of pairs": lambda value: repr([("DB_PASSWORD", value), ("x", "y")]),
    "repr in JSON": lambda value: json.dumps({"m": repr(around(value))}),
    "shell export": lambda value: f"export DB_PASSWORD={shlex.quote(value)}; echo x",
    "shell argument": lambda value: f"app --db-password {shlex.quote(value)} --port 80",
    "curl header": lambda value: f"curl -H {shlex.quote(f'Authorization: Bearer {value}')} https://x/",
    "form": lambda value: urllib.parse.urlencode(around(value)),
    "form, encoded twice": lambda value: urllib.parse.quote(urllib.parse.urlencode(around(value))),
    "JSON, percent-encoded": lambda value: urllib.parse.quote(json.dumps(around(value))),
    "URL": lambda value: f"dial postgres://app:{urllib.parse.quote(value, safe='')}@db:5432/x failed",
    "CSV": in_csv,
    "XML": lambda value: f"<a><password>{escape(value)}</password><b>1</b></a>",
    "XML attribute": lambda value: f'<add key="ApiKey" value={quoteattr(value)}/>',
    "HTML": lambda value: html.escape(json.dumps(around(value))),
    "SQL": lambda value: "ALTER USER a WITH PASSWORD '{}';".format(value.replace("'", "''")),
    "libpq": lambda value: "host=db password='{}' dbname=x".format(value.replace("\\", "\\\\").replace("'", "\\'")),
    "ODBC": lambda value: "Driver=x;PWD={{{}}};UID=a;".format(value.replace("}", "}}")),
    "logfmt": lambda value: f"level=info password={json.dumps(value)} host=db",
    "header": lambda value: f"X: 1\nAuthorization: Bearer {value}\nY: 2",
}
"""What real writers make of a value."""

CHARACTERS = "abcdefghkmnpqrstuvwxyzABCDEFGHKMNPQRSTUVWXYZ23456789" * 3 + "!#$%&()*+,-./:;<=>?@[]^_{|}~' "


@pytest.mark.parametrize("writer", WRITERS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(value=st.text(CHARACTERS, min_size=14, max_size=24).map(lambda text: f"Zq{text.strip()}8k"))
def test_a_secret_with_any_characters_in_what_real_writers_write(writer: str, value: str) -> None:
    told = redact(WRITERS[writer](value))

    assert [piece for piece in pieces(value) if piece in told] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("with DB_PASSWORD=hunter2, retry", f"with DB_PASSWORD={MASK}, retry"),
        ('{"password":"a \\" b","user":"x"}', f'{{"password":"{MASK}","user":"x"}}'),
        ("dial postgres://app:hunter2@db:5432/orders", f"dial postgres://app:{MASK}@db:5432/orders"),
        ("app --token hunter2 --port 80", f"app --token {MASK} --port 80"),
        ("{Password:hunter2 Host:db}", f"{{Password:{MASK} Host:db}}"),
        ("/?password=hunter2&page=2", f"/?password={MASK}&page=2"),
        ("Password=hunter2;Server=db;", f"Password={MASK};Server=db;"),
        ("<password>hunter2</password><user>x</user>", f"<password>{MASK}</password><user>x</user>"),
        ("password: |\n  a\n  b\nuser: x", f"password: |\n  {MASK}\nuser: x"),
        ('curl -H "Authorization: Bearer hunter22" http://x', f'curl -H "Authorization: {MASK}" http://x'),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nnext line of the log", f"{MASK}next line of the log"),
        (f"<token>{'x1' * 5000}</token><user>x</user>", f"<token>{MASK}</token><user>x</user>"),
        (f'{{"token":"{"x1" * 5000}","user":"x"}}', f'{{"token":"{MASK}","user":"x"}}'),
        (f"token={'x1' * 5000} user=x", f"token={MASK} user=x"),
    ],
)
def test_what_stands_around_it_stays(text: str, told: str) -> None:
    assert redact(text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\x1b[1;31mred\x1b[0m a\tb\nc", "red a\tb\nc"),
        ("\x1b]0;title\x07ready", "ready"),
        ("a\x07b\x00c\u200bd\ufeff", "abcd"),
        ("50%\r100%", "50% 100%"),
        ("a\u2028b\xa0c", "a b c"),
    ],
)
def test_terminal_escapes_and_control_characters_go(text: str, told: str) -> None:
    assert redact(text) == told


ENV: list[tuple[dict[str, Any], Any]] = [
    ({"name": "GREETING", "value": "hunter2"}, MASK),
    ({"name": "DB_PASSWORD", "value": "8080"}, MASK),
    ({"name": "PORT", "value": "8080"}, "8080"),
    ({"name": "DEBUG", "value": "true"}, "true"),
    ({"name": "EMPTY", "value": ""}, ""),
    ({"name": "LOG_LEVEL", "value": "debug"}, "debug"),
    ({"name": "TIMEOUT", "value": "30s"}, "30s"),
    ({"name": "PIN", "value": "123456"}, MASK),
]


@pytest.mark.parametrize(("variable", "shown"), ENV, ids=[entry["name"] for entry, _ in ENV])
def test_a_literal_of_the_environment_is_masked_unless_it_cannot_be_secret(variable: Any, shown: str) -> None:
    assert redact_object({"env": [variable]}) == {"env": [{**variable, "value": shown}]}


def test_references_of_the_environment_stay() -> None:
    env = [
        {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ]
    assert redact_object({"env": env, "envFrom": [{"secretRef": {"name": "all"}}]}) == {
        "env": env,
        "envFrom": [{"secretRef": {"name": "all"}}],
    }


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["app", "--password", "hunter2", "--port", "80"], ["app", "--password", MASK, "--port", "80"]),
        (["app", "--token=hunter2"], ["app", f"--token={MASK}"]),
        (["--password", "--verbose"], ["--password", "--verbose"]),
        (["--token-file", "/run/token"], ["--token-file", "/run/token"]),
        (["sh", "-c", "curl -u a:hunter2hunter2 http://x"], ["sh", "-c", f"curl -u a:{MASK} http://x"]),
    ],
)
def test_arguments_after_the_flag_of_a_secret_are_masked(words: list[str], shown: list[str]) -> None:
    assert redact_object({"args": words, "command": words}) == {"args": shown, "command": shown}


def test_annotations_lose_the_copy_of_the_object() -> None:
    annotations = {
        "kubectl.kubernetes.io/last-applied-configuration": '{"env":[{"name":"A","value":"hunter2"}]}',
        "example.com/api-token": "hunter2",
        "example.com/note": "see https://a:hunter2@x/",
        "team": "shop",
    }
    assert redact_object({"metadata": {"annotations": annotations, "managedFields": [{"a": 1}]}}) == {
        "metadata": {
            "annotations": {
                "example.com/api-token": MASK,
                "example.com/note": f"see https://a:{MASK}@x/",
                "team": "shop",
            }
        }
    }


def test_headers_of_probes_are_masked_and_numbers_stay() -> None:
    probe = {"httpGet": {"port": 80, "httpHeaders": [{"name": "Authorization", "value": "Bearer x"}]}}
    shown = {"httpGet": {"port": 80, "httpHeaders": [{"name": "Authorization", "value": MASK}]}}
    assert redact_object(probe) == shown


def test_a_patch_is_redacted_wherever_it_carries_a_template() -> None:
    template = {"spec": {"containers": [{"name": "app", "env": [{"name": "A", "value": "hunter2"}]}]}}
    told = redact_object([{"op": "replace", "path": "/spec/template", "value": template}])

    assert "hunter2" not in json.dumps(told)
    assert told[0]["path"] == "/spec/template"


def test_of_two_pictures_the_later_says_which_masked_values_changed() -> None:
    before = {"env": [{"name": "A", "value": "one-x"}, {"name": "B", "value": "same-x"}], "image": "1.4"}
    after = {"env": [{"name": "B", "value": "same-x"}, {"name": "A", "value": "two-x"}], "image": "1.5"}

    assert redact_pair(before, after) == (
        {"env": [{"name": "A", "value": MASK}, {"name": "B", "value": MASK}], "image": "1.4"},
        {"env": [{"name": "B", "value": MASK}, {"name": "A", "value": f"{MASK} (changed)"}], "image": "1.5"},
    )


def test_labels_keep_the_names_of_objects() -> None:
    labels = {"secret": "db-credentials", "namespace": "shop", "password": "hunter2", "runbook": "http://a:hunter2@x"}
    assert redact_values(labels) == {
        "secret": "db-credentials",
        "namespace": "shop",
        "password": MASK,
        "runbook": f"http://a:{MASK}@x",
    }


SIZE = 100 * 1024
ADVERSARIAL = [
    "a",
    "a.",
    "a-",
    "-",
    "--a",
    "password",
    "password ",
    "password=",
    'password="',
    "password'",
    'password\\"',
    'token="\\',
    "token for ",
    "token is ",
    "x://",
    "://a",
    "a+",
    "eyJ",
    "eyJabcdef.",
    "-eyJ",
    "AKIA",
    "ghp_",
    "xoxb-",
    "sk-",
    "SG.aaaaaaaaaaaaaaaaaa",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "PRIVATE KEY",
    "authorization",
    "authorization: ",
    "bearer ",
    "basic a",
    "\x1b[",
    "\x1b[0;",
    " ",
    "=",
    'password="x\n',
    "password: |\n",
    "password,",
    "(password, ",
    "{password: a b",
    "<password>",
    "<password ",
    "'password'\"'\"'",
    "password value",
    'name="password"\n\n',
    "cookie: [",
    'authorization "',
    "mysql ",
    "mysql -p",
    "-u a:",
    "://:",
    "%3a%2f%2f",
    "a:b@",
    "AAAAAAAAAAAAAAAAAAAA\n",
    "Private-Lines: 1\n",
    "password for ",
    "with password ",
    "identified by '",
    "&quot;password&quot;:&quot;",
]


@pytest.mark.parametrize("unit", ADVERSARIAL)
def test_time_grows_with_the_length_only(unit: str) -> None:
    """100 KiB of it: milliseconds where time is linear, a minute and more where it is quadratic."""
    long = unit * (SIZE // len(unit))
    for text in (long, f"-----BEGIN {long}", f"'{long}"):
        started = time.process_time()
        redact(text)
        assert time.process_time() - started < 1.5


def test_a_memory_changes_nothing_but_the_time() -> None:
    """The hot path's shortcut for names of objects lets nothing through that `redact_values` would mask."""
    remembering = Remembering()
    for line in (*PLANTED, *HARMLESS):
        for name in ("pod", "summary", "secret", "password"):
            values = {name: line.text}
            assert remembering.values(values) == redact_values(values), line


@pytest.mark.parametrize("text", ["xoxb-1234567890-abcdef", "ghp-x", "checkout-7c9f", "shop"])
def test_only_a_token_that_looks_like_a_name_is_masked(text: str) -> None:
    assert (Remembering().values({"pod": text})["pod"] == text) is not text.startswith("xoxb")


def test_a_redactor_tells_of_a_text_that_comes_again_what_it_told_first() -> None:
    redactor = Redactor()
    value = {"env": [{"name": "URL", "value": "x"}], "args": ["--dsn", "postgres://a:hunter22@h/d"], "name": "shop"}
    annotations = {"annotations": {"dsn": "postgres://a:hunter22@h/d", "odd": "a\x07b"}}
    for one in (value, annotations, value, annotations):
        assert redactor.object(one) == redact_object(one)
    assert redactor.pair({"env": "token=abc12345"}, {"env": "token=xyz98765"}) == redact_pair(
        {"env": "token=abc12345"}, {"env": "token=xyz98765"}
    )
