"""What is free in a record stands in it as commitments, and can be taken back."""

from __future__ import annotations

import hashlib
import json
import os
import secrets

import pytest

from remediator.audit.commitments import (
    COMMITTED,
    FREE,
    SALT_BYTES,
    Chance,
    disclosures,
    hidden,
    put_together,
    sealed,
    without,
)

BODY = {"kind": "x", "rule": "crash-loop", "comment": "café \U0001f600", "evidence": ["exit code 1"], "severity": 1}


def test_the_leaf_holds_hashes_and_the_rest_puts_it_together_again() -> None:
    leaf, beside = sealed(BODY)
    shown = json.loads(leaf)
    assert set(shown) == {"kind", "rule", "severity", COMMITTED}
    assert "café" not in leaf.decode()
    assert put_together(shown, beside) == BODY


def test_anyone_with_salt_and_value_can_check_the_hash() -> None:
    leaf, beside = sealed(BODY)
    for name, (salt, value) in disclosures(beside).items():
        assert len(salt) == 16
        assert json.loads(leaf)[COMMITTED][name] == hashlib.sha256(salt + value).hexdigest()


def test_equal_values_have_different_hashes() -> None:
    assert sealed(BODY)[0] != sealed(BODY)[0]


def test_what_is_taken_back_is_gone_and_the_leaf_is_as_before() -> None:
    leaf, beside = sealed(BODY)
    kept = without(beside, ["comment"])
    assert "café" not in kept.decode()
    assert put_together(json.loads(leaf), kept) == {name: item for name, item in BODY.items() if name != "comment"}
    assert without(kept, ["comment", "evidence"]) == b"{}"


def test_a_body_without_free_fields_is_itself() -> None:
    assert sealed({"rule": "crash-loop"}) == (b'{"rule":"crash-loop"}', None)


@pytest.mark.parametrize("field", sorted(FREE))
def test_a_free_field_cannot_stand_in_the_clear(field: str) -> None:
    leaf, _ = sealed({field: "planted-9f2c"})
    assert b"planted" not in leaf


def test_no_salt_is_given_twice_though_the_system_is_asked_once_for_thousands(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(count: int) -> bytes:
        asked.append(count)
        return secrets.token_bytes(count)

    monkeypatch.setattr(os, "urandom", counted)
    chance = Chance()
    salts = [chance.take(SALT_BYTES) for _ in range(2 * chance.AT_ONCE // SALT_BYTES)]
    assert len(set(salts)) == len(salts)
    assert {len(salt) for salt in salts} == {SALT_BYTES}
    assert asked == [chance.AT_ONCE] * 2


def test_a_child_process_gives_no_salt_of_its_parent() -> None:
    hidden({"detail": b'"x"'})
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, hidden({"detail": b'"x"'})[0]["detail"].encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 64).decode() != hidden({"detail": b'"x"'})[0]["detail"]
    os.close(reader)
    os.close(writer)
