"""Signed notes and checkpoints, against the published example and against forgeries."""

from __future__ import annotations

import base64
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remediator.audit.note import (
    BadNote,
    Checkpoint,
    SigningKey,
    VerifyingKey,
    checkpoint,
    new_key,
    opened,
    signed,
    signing_key,
    unproven_text,
    verifying_key,
)

TEXT = b"remediator.io/audit/v1/lab/0011\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
PEM = new_key()
KEY = signing_key("lab", PEM)
OTHER = signing_key("lab", new_key())


def test_what_is_signed_is_opened_by_who_trusts_the_key() -> None:
    text, signers = opened(signed(TEXT, [KEY]), [KEY.verifying])
    assert (text, list(signers)) == (TEXT, [KEY.verifying])


def test_the_published_example_of_go_sumdb_is_right() -> None:
    """golang.org/x/mod/sumdb/note, the package's own example: a key and a note of another implementation."""
    key = verifying_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    note = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    ).encode()
    text, _ = opened(note, [key])
    assert text.startswith(b"If you think cryptography")
    with pytest.raises(BadNote, match="wrong"):
        opened(note.replace(b"problem is", b"problem was"), [key])


def test_openssl_makes_the_key_and_checks_the_signature(tmp_path: Path) -> None:
    """The other half of "offline": nothing of ours is needed to check a signature."""
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "key.pem"], check=True)
    key = signing_key("lab", (tmp_path / "key.pem").read_bytes())
    line = key.sign(TEXT).decode().split(" ")[2]
    (tmp_path / "text").write_bytes(TEXT)
    (tmp_path / "signature").write_bytes(base64.b64decode(line)[4:])
    subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / "key.pem", "-pubout", "-out", tmp_path / "public.pem"], check=True
    )
    check = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin", "-in", "text"]
    assert subprocess.run([*check, "-sigfile", "signature"], cwd=tmp_path, capture_output=True).returncode == 0


def test_every_changed_byte_of_a_note_is_refused() -> None:
    note = signed(TEXT, [KEY])
    for at in range(len(note)):
        for flip in (0x01, 0x20, 0x80):
            changed = note[:at] + bytes([note[at] ^ flip]) + note[at + 1 :]
            with pytest.raises(BadNote):
                opened(changed, [KEY.verifying])
    for at in range(len(note)):
        with pytest.raises(BadNote):
            opened(note[:at], [KEY.verifying])


def test_a_stranger_of_the_same_name_is_passed_over() -> None:
    with pytest.raises(BadNote, match="not signed by a trusted key"):
        opened(signed(TEXT, [OTHER]), [KEY.verifying])
    assert list(opened(signed(TEXT, [OTHER, KEY]), [KEY.verifying])[1]) == [KEY.verifying]


def test_a_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    good, bad = KEY.sign(TEXT), KEY.sign(TEXT + b"x\n")
    with pytest.raises(BadNote, match="wrong"):
        opened(TEXT + b"\n" + good + bad, [KEY.verifying])


def test_an_unsigned_note_is_shown_and_not_believed() -> None:
    note = signed(TEXT, [])
    assert unproven_text(note) == TEXT
    with pytest.raises(BadNote):
        opened(note, [KEY.verifying])


def test_a_key_is_handed_on_as_one_line() -> None:
    assert verifying_key(str(KEY.verifying)) == KEY.verifying
    assert str(KEY.verifying).startswith(f"lab+{KEY.verifying.id.hex()}+")


@pytest.mark.parametrize(
    "line",
    ["", "lab", "lab+00000000", "lab+00000000+AAAA", str(KEY.verifying)[:-4], "a b" + str(KEY.verifying)[3:]],
    ids=["empty", "a name", "no key", "short", "cut", "a name with a space"],
)
def test_a_line_that_is_no_key_is_refused(line: str) -> None:
    with pytest.raises(BadNote):
        verifying_key(line)


def test_a_line_with_another_id_is_refused() -> None:
    name, _, key = str(KEY.verifying).split("+", 2)
    with pytest.raises(BadNote, match="id"):
        verifying_key(f"{name}+00000000+{key}")


@pytest.mark.parametrize("pem", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(pem: bytes) -> None:
    with pytest.raises(BadNote):
        signing_key("lab", pem)


def test_a_key_counts_in_its_time_only() -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    hour = timedelta(hours=1)
    key = VerifyingKey("lab", KEY.verifying.public, since=noon, until=noon + hour)
    assert [key.is_valid_at(at) for at in (noon - hour, noon, noon + hour / 2, noon + hour)] == [
        False,
        True,
        True,
        False,
    ]


def test_a_checkpoint_is_three_lines() -> None:
    one = Checkpoint("remediator.io/audit/v1/lab/0011", 7, bytes(32))
    assert checkpoint(one.text()) == one


@pytest.mark.parametrize(
    "text",
    [b"", b"a\n7\n", TEXT + b"x\n", TEXT.replace(b"7", b"07"), TEXT.replace(b"7", b"-7"), TEXT.replace(b"CsUY", b"")],
)
def test_what_is_no_checkpoint_is_refused(text: bytes) -> None:
    with pytest.raises(BadNote):
        checkpoint(text)


def test_the_private_half_is_not_shown() -> None:
    assert "PRIVATE" not in repr(KEY)
    assert isinstance(KEY, SigningKey)
