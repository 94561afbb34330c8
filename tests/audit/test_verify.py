"""What the verifier accepts, and that it accepts nothing else: every byte, every record, every order."""

from __future__ import annotations

import asyncio
import io
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from remediator.audit.bundle import BundleWriter, read_members
from remediator.audit.findings import Answer, Report, Unreadable
from remediator.audit.note import Checkpoint, VerifyingKey, new_key, opened, signed, signing_key
from remediator.audit.verify import anchors, trusted_keys, verify, verify_bytes
from remediator.store.opening import open_database
from tests.audit.sample import HELD, TOTAL, Sample, fill, lines_of, make, rebuilt
from tests.clocks import FakeClock
from tests.logkeys import KEYS

KEY = KEYS.present
assert KEY is not None
STRANGER = signing_key("remediator", new_key())


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return asyncio.run(make(tmp_path_factory.mktemp("audit")))


@pytest.fixture(scope="module")
def whole(sample: Sample) -> bytes:
    return sample.path.read_bytes()


def checked(data: bytes, sample: Sample) -> Report:
    """As a user with the right keys and the right anchor."""
    return verify_bytes(
        data, trusted=trusted_keys(sample.keys.read_text()), anchored=anchors(sample.anchor.read_text())
    )


def of_file(path: Path, sample: Sample, *, keys: bool = True, anchor: bool = True) -> Report:
    return verify(
        path,
        trusted=trusted_keys(sample.keys.read_text()) if keys else (),
        anchored=anchors(sample.anchor.read_text()) if anchor else (),
    )


def test_a_bundle_with_keys_and_anchor_is_verified(sample: Sample) -> None:
    report = of_file(sample.path, sample)
    assert (report.answer, report.records, report.size) == (Answer.VERIFIED, HELD, TOTAL + 1)
    assert report.signed_by == ["remediator"]


def test_without_an_anchor_it_says_what_it_cannot_prove(sample: Sample) -> None:
    report = of_file(sample.path, sample, anchor=False)
    assert (report.answer, report.reason) == (
        Answer.COMPLETENESS_NOT_PROVEN,
        "integrity proven; no anchor was given",
    )


def test_without_keys_nobody_is_known_to_have_written_it(sample: Sample) -> None:
    assert of_file(sample.path, sample, keys=False, anchor=False).answer is Answer.AUTHOR_NOT_PROVEN


def test_a_bundle_signed_by_a_stranger_is_not_accepted(sample: Sample, whole: bytes) -> None:
    forged = rebuilt(whole, lambda _, data: data, key=STRANGER)
    assert checked(forged, sample).answer is Answer.AUTHOR_NOT_PROVEN


def test_every_single_byte_counts(sample: Sample, whole: bytes) -> None:
    """Flipped in turn, low and high bit alternating. Whoever can only change bytes never gets through."""
    data = bytearray(whole)
    accepted = []
    for at in range(len(data)):
        data[at] ^= (flip := 0x01 if at % 2 else 0x80)
        if checked(bytes(data), sample).answer is not Answer.TAMPERED:
            accepted.append(at)
        data[at] ^= flip
    print(f"{len(data)} bytes, {len(accepted)} accepted")
    assert accepted == []


def test_every_truncation_and_extension_is_refused(sample: Sample, whole: bytes) -> None:
    cuts = [whole[:at] for at in range(0, len(whole), 97)] + [whole + b"\0", b"\0" + whole, whole + whole]
    assert {checked(cut, sample).answer for cut in cuts} == {Answer.TAMPERED}


def edits(lines: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """What somebody may do to the lines of a file: every deletion, swap, copy and insertion, one at a time."""
    for at in range(len(lines)):
        yield f"without {at}", lines[:at] + lines[at + 1 :]
        yield f"twice {at}", lines[: at + 1] + lines[at:]
        yield f"cut at {at}", lines[:at]
        other = (at + 1) % len(lines)
        swapped = list(lines)
        swapped[at], swapped[other] = swapped[other], swapped[at]
        if swapped != lines:
            yield f"swap {at}", swapped
        changed = list(lines)
        changed[at] = changed[at].replace(b"1", b"2", 1) if b"1" in changed[at] else changed[at][:-2] + b"\n"
        if changed != lines:
            yield f"edit {at}", changed


def replaced(name: str, content: bytes, one: str, old: bytes) -> bytes:
    return content if one == name else old


@pytest.mark.parametrize(
    ("name", "key"),
    [(name, None) for name in ("records.jsonl", "disclosures.jsonl", "proof", "growth")]
    + [(name, KEY) for name in ("records.jsonl", "disclosures.jsonl", "proof")],
)
def test_every_line_counts_also_when_the_archive_is_mended(
    sample: Sample, whole: bytes, name: str, key: Any
) -> None:
    """By somebody who mends sums and manifest; and by the one who has the key, who cannot fool the tree."""
    lines = list(lines_of(whole, name))
    accepted = []
    for what, changed in edits(lines):
        data = rebuilt(whole, partial(replaced, name, b"".join(changed)), key=key)
        answer = checked(data, sample).answer
        if key is not None and name == "disclosures.jsonl" and what.startswith(("without", "cut")):
            assert answer is Answer.VERIFIED, "that is what taking back is"
        elif answer is not Answer.TAMPERED:
            accepted.append(what)
    assert accepted == []


def test_ten_thousand_random_changes_are_refused(sample: Sample, whole: bytes) -> None:
    rng = random.Random(11)
    accepted = 0
    for _ in range(10_000):
        accepted += checked(scrambled(whole, rng), sample).answer is not Answer.TAMPERED
    assert accepted == 0


def scrambled(whole: bytes, rng: random.Random) -> bytes:
    """A run of bytes overwritten, cut out, repeated, moved or put in; never the same as before."""
    at, size = rng.randrange(len(whole)), rng.choice((1, 2, 5, 40, 400))
    run = whole[at : at + size]
    match rng.randrange(5):
        case 0:
            changed = whole[:at] + rng.randbytes(len(run)) + whole[at + size :]
        case 1:
            changed = whole[:at] + whole[at + size :]
        case 2:
            changed = whole[:at] + run + run + whole[at + size :]
        case 3:
            rest = whole[:at] + whole[at + size :]
            to = rng.randrange(len(rest) + 1)
            changed = rest[:to] + run + rest[to:]
        case _:
            changed = whole[:at] + rng.randbytes(size) + whole[at:]
    return changed if changed != whole else whole[:-1]


@pytest.mark.parametrize("name", ["MANIFEST", "checkpoint", "records.jsonl", "disclosures.jsonl", "proof", "growth"])
def test_a_bundle_without_one_of_its_files_is_refused(sample: Sample, whole: bytes, name: str) -> None:
    source = io.BytesIO(whole)
    out = io.BytesIO()
    writer = BundleWriter(out)
    for member in read_members(source).values():
        if member.name != name:
            writer.add(member.name, [whole[member.offset : member.offset + member.size]])
    writer.finish()
    assert checked(out.getvalue(), sample).answer is Answer.TAMPERED


def test_an_anchor_of_another_past_is_a_contradiction(sample: Sample, whole: bytes) -> None:
    """The log shows a beginning that differs from what was made known."""
    [note] = anchors(sample.anchor.read_text())
    text, _ = opened(note, KEYS.known)
    origin, size, _ = text.decode().splitlines()
    other = signed(Checkpoint(origin, int(size), bytes(32)).text(), [KEY])
    report = verify_bytes(whole, trusted=KEYS.known, anchored=[other])
    assert (report.answer, "growth" in report.reason) == (Answer.TAMPERED, True)


@pytest.mark.parametrize(("size", "word"), [(7, "no proof"), (TOTAL + 50, "newer")])
def test_an_anchor_that_cannot_be_compared_proves_nothing(whole: bytes, sample: Sample, size: int, word: str) -> None:
    [note] = anchors(sample.anchor.read_text())
    origin = opened(note, KEYS.known)[0].decode().splitlines()[0]
    other = signed(Checkpoint(origin, size, bytes(32)).text(), [KEY])
    report = verify_bytes(whole, trusted=KEYS.known, anchored=[other])
    assert (report.answer, word in report.reason) == (Answer.COMPLETENESS_NOT_PROVEN, True)


def test_an_anchor_of_another_log_says_nothing(whole: bytes) -> None:
    other = signed(Checkpoint("remediator.io/audit/v1/lab/other", 3, bytes(32)).text(), [KEY])
    report = verify_bytes(whole, trusted=KEYS.known, anchored=[other])
    assert (report.answer, "another log" in report.reason) == (Answer.COMPLETENESS_NOT_PROVEN, True)


def test_a_key_counts_only_in_its_time(whole: bytes, sample: Sample) -> None:
    line = str(KEYS.known[0])
    for period, answer in (
        ("2026-01-01T00:00:00Z 2027-01-01T00:00:00Z", Answer.VERIFIED),
        ("- 2026-11-23T12:00:00Z", Answer.TAMPERED),
        ("2026-11-23T12:00:01Z -", Answer.TAMPERED),
    ):
        keys = trusted_keys(f"{line} {period}\n")
        assert verify_bytes(whole, trusted=keys, anchored=anchors(sample.anchor.read_text())).answer is answer, period


@pytest.mark.parametrize(
    "text",
    ["nonsense", "a+b+c", f"{KEYS.known[0]} yesterday", f"{KEYS.known[0]} - - -"],
    ids=["a word", "no key", "no time", "too much"],
)
def test_a_list_of_keys_that_cannot_be_read_is_a_misuse_with_its_line(text: str) -> None:
    with pytest.raises(Unreadable, match="line 2"):
        trusted_keys(f"# a list\n{text}\n")


def test_an_anchor_that_no_trusted_key_signed_is_a_misuse(whole: bytes) -> None:
    other = signed(Checkpoint("x", 3, bytes(32)).text(), [STRANGER])
    with pytest.raises(Unreadable, match="no checkpoint of the anchor"):
        verify_bytes(whole, trusted=KEYS.known, anchored=[other])


def test_anchors_are_found_in_notes_and_in_log_lines(sample: Sample) -> None:
    note = sample.anchor.read_text()
    line = 'remediator-0 {"checkpoint": 151, "note": ' + json.dumps(note) + "}\n"
    assert anchors(note + "\n" + note) == [note.encode()] * 2
    assert anchors("noise\n" + line) == [note.encode()]


# --- a database


def change(sample: Sample, folder: Path, *statements: str) -> Path:
    path = folder / "changed.db"
    shutil.copy(sample.database, path)
    with closing(sqlite3.connect(path)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path


def test_a_database_is_verified_as_a_whole(sample: Sample) -> None:
    report = of_file(sample.database, sample)
    assert (report.answer, report.records) == (Answer.VERIFIED, TOTAL + 1)
    assert of_file(sample.database, sample, anchor=False).answer is Answer.COMPLETENESS_NOT_PROVEN
    assert of_file(sample.database, sample, keys=False, anchor=False).answer is Answer.AUTHOR_NOT_PROVEN


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("DELETE FROM records WHERE seq = 17", "records: 17 is missing"),
        ("DELETE FROM records WHERE seq = (SELECT max(seq) FROM records)", "the head knows 301, there are 300"),
        ("UPDATE records SET canonical = replace(canonical, '\"n\":40', '\"n\":41') WHERE seq = 42", "(record 42)"),
        ("UPDATE records SET canonical = replace(canonical, '\"n\":140', '\"n\":141') WHERE seq = 292", "another root"),
        ("UPDATE records SET beside = replace(beside, 'said 3', 'said 4') WHERE seq = 5", "records: 5: comment"),
        ("UPDATE records SET beside = 'x' WHERE seq = 5", "records: 5: what stands beside it"),
        ("UPDATE records SET canonical = 'x' WHERE seq = 5", "records: 5: not a record"),
        ("UPDATE log_tiles SET root = zeroblob(32)", "log_tiles"),
        ("UPDATE log_tiles SET hashes = zeroblob(8192)", "log_tiles"),
        ("UPDATE log_head SET size = 300", "log_head"),
        ("UPDATE log_head SET origin = 'x'", "log_head"),
        ("UPDATE log_head SET note = replace(note, '301', '300')", "log_head"),
        ("DELETE FROM log_head", "log_head"),
        ("UPDATE records SET seq = 1000 WHERE seq = 301", "records: 301 is missing"),
    ],
)
def test_what_was_changed_in_a_database_is_named(sample: Sample, tmp_path: Path, statement: str, place: str) -> None:
    report = of_file(change(sample, tmp_path, statement), sample)
    assert report.answer is Answer.TAMPERED
    assert place in report.reason


def test_two_records_that_changed_places_are_noticed(sample: Sample, tmp_path: Path) -> None:
    swap = [f"UPDATE records SET seq = {new} WHERE seq = {old}" for old, new in ((20, 9000), (21, 20), (9000, 21))]
    report = of_file(change(sample, tmp_path, *swap), sample)
    assert (report.answer, "20 says that it is 21" in report.reason) == (Answer.TAMPERED, True)


def test_what_was_taken_back_is_counted_and_no_fault(sample: Sample, tmp_path: Path) -> None:
    report = of_file(change(sample, tmp_path, "UPDATE records SET beside = NULL WHERE seq = 5"), sample)
    assert (report.answer, report.redacted) == (Answer.VERIFIED, 1)


async def test_an_older_state_of_the_database_contradicts_the_anchor(sample: Sample, tmp_path: Path) -> None:
    """Every earlier genuine state, with the newest anchor; without it the verifier says what it cannot prove."""
    older = await make(tmp_path, held=3, total=20)
    newest = await make_newer(older, tmp_path)
    report = of_file(older.database, newest)
    assert (report.answer, "cut back" in report.reason) == (Answer.TAMPERED, True)
    assert of_file(older.database, newest, anchor=False).answer is Answer.COMPLETENESS_NOT_PROVEN


async def make_newer(older: Sample, folder: Path) -> Sample:
    newer = folder / "newer.db"
    shutil.copy(older.database, newer)
    store = await open_database(f"sqlite:///{newer}", clock=FakeClock(), keys=KEYS)
    await fill(store, 5)
    anchor = folder / "newer-anchor"
    anchor.write_bytes((await store.log_standing()).note)
    await store.close()
    return Sample(older.path, older.keys, anchor, newer)


def test_a_file_that_is_nothing_of_ours_is_tampered_or_unreadable(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello")
    assert of_file(tmp_path / "x", sample).answer is Answer.TAMPERED
    with pytest.raises(Unreadable, match="No such file"):
        of_file(tmp_path / "y", sample)
    (tmp_path / "z").write_bytes(b"SQLite format 3\0" + bytes(4096))
    assert of_file(tmp_path / "z", sample).answer is Answer.TAMPERED


def test_the_verifier_needs_nothing_of_the_service() -> None:
    """In a process of its own: what it imports of this package is `audit` alone."""
    code = (
        "import sys, remediator.audit.verify;"
        "print(sorted(m for m in sys.modules if m.startswith('remediator.') and not m.startswith('remediator.audit')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_trusted_key_is_a_value(sample: Sample) -> None:
    assert trusted_keys(sample.keys.read_text()) == [VerifyingKey("remediator", KEYS.known[0].public)]
