"""Two verifiers, one written from the format page alone in another language: they agree on every changed bundle."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from remediator.audit.findings import Answer
from remediator.audit.note import Checkpoint, new_key, opened, signed, signing_key, unproven_text
from remediator.audit.verify import anchors, trusted_keys, verify_bytes
from tests.audit.sample import Sample, lines_of, make, rebuilt
from tests.audit.test_verify import replaced, scrambled
from tests.logkeys import KEYS

SOURCE = Path(__file__).parent / "verifier"
KEY = KEYS.present
assert KEY is not None
CHANGES = 10_000

Edit = tuple[int, int, bytes]
"""Replace so many bytes at a place by others."""


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The other verifier, built. Under CI a machine without Go is a failure."""
    found = shutil.which("go")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("the second verifier needs Go")
        pytest.skip("the second verifier needs Go")
    binary = tmp_path_factory.mktemp("go") / "verifier"
    subprocess.run([found, "build", "-trimpath", "-o", binary, "."], cwd=SOURCE, check=True)
    return binary


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return asyncio.run(make(tmp_path_factory.mktemp("audit")))


@pytest.fixture(scope="module")
def whole(sample: Sample) -> bytes:
    return sample.path.read_bytes()


def ours(data: bytes, sample: Sample, *, keys: str | None = None, anchor: str | None = None) -> Answer:
    return verify_bytes(
        data,
        trusted=trusted_keys(keys or sample.keys.read_text()),
        anchored=anchors(anchor or sample.anchor.read_text()),
    ).answer


def theirs(go: Path, sample: Sample, edits: Sequence[Sequence[Edit]], folder: Path) -> list[Answer]:
    lines = [
        json.dumps({"ops": [{"at": at, "cut": cut, "put": put.hex()} for at, cut, put in one]}) for one in edits
    ]
    file = folder / "edits"
    file.write_text("".join(f"{line}\n" for line in lines))
    command = [go, "-trusted-keys", sample.keys, "-anchor", sample.anchor, "-edits", file, sample.path]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [Answer(line.partition("\t")[0]) for line in out.splitlines()]


def applied(whole: bytes, edit: Sequence[Edit]) -> bytes:
    for at, cut, put in reversed(edit):
        whole = whole[:at] + put + whole[at + cut :]
    return whole


def edit_from(before: bytes, after: bytes) -> list[Edit]:
    """The one edit that makes the second of the first."""
    most = min(len(before), len(after))
    start = _common(most, lambda n: before[:n] == after[:n])
    end = _common(most - start, lambda n: before[len(before) - n :] == after[len(after) - n :])
    return [(start, len(before) - start - end, after[start : len(after) - end])]


def _common(most: int, is_equal: Callable[[int], bool]) -> int:
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if is_equal(middle) else (low, middle - 1)
    return low


def every_byte(whole: bytes) -> Iterator[list[Edit]]:
    for at in range(len(whole)):
        yield [(at, 1, bytes([whole[at] ^ (0x01 if at % 2 else 0x80)]))]


def test_they_agree_on_every_changed_byte(go: Path, sample: Sample, whole: bytes, tmp_path: Path) -> None:
    edits = list(every_byte(whole))
    answers = theirs(go, sample, edits, tmp_path)
    assert len(answers) == len(whole)
    assert set(answers) == {Answer.TAMPERED}, "as ours says of each, in test_verify"


def test_they_agree_on_ten_thousand_random_changes(go: Path, sample: Sample, whole: bytes, tmp_path: Path) -> None:
    rng = random.Random(23)
    changed = [scrambled(whole, rng) for _ in range(CHANGES)]
    answers = theirs(go, sample, [edit_from(whole, one) for one in changed], tmp_path)
    assert [ours(one, sample) for one in changed] == answers
    assert Answer.VERIFIED not in answers


def mended(whole: bytes) -> Iterator[bytes]:
    """Changes of contents whose archive and manifest fit again, sealed by the log's own key: all that can refuse them
    is what the page says of the contents; some are as good as the original."""
    for name in ("records.jsonl", "disclosures.jsonl", "proof", "growth", "checkpoint"):
        text = b"".join(lines_of(whole, name))
        rng = random.Random(name)
        for _ in range(400):
            at, size = rng.randrange(len(text)), rng.choice((1, 1, 2, 7))
            twice = text[at : at + size] * 2
            new = rng.choice((b"", b" ", b"\r", b"\n", b'"', b"0", b"9", b"\\u0041", twice, b"\xff", b"}"))
            changed = text[:at] + new + text[at + size :]
            yield rebuilt(whole, partial(replaced, name, changed), key=KEY)
    for line in lines_of(whole, "records.jsonl")[:40]:
        for old, new in PROBES:
            changed = b"".join(lines_of(whole, "records.jsonl")).replace(line, line.replace(old, new, 1), 1)
            yield rebuilt(whole, partial(replaced, "records.jsonl", changed), key=KEY)


PROBES = (
    (b'"seq":', b'"seq" : '),
    (b'"seq":', b'"seq":1,"seq":'),
    (b'"seq":', b'"s\\u0065q":'),
    (b'"seq":', b'"seq":0'),
    (b'"incident":null', b'"incident":-1'),
    (b'"incident":null', b'"incident":1e3'),
    (b'"incident":null', b'"incident":true'),
    (b'"kind":"test.noted"', b'"kind":""'),
    (b'"kind":"test.noted"', b'"kind":null'),
    (b'"n":', b'"n":NaN,"m":'),
    (b'"n":', b'"n":"\\ud800","m":'),
    (b'"n":', b'"n":' + b"[" * 120 + b"]" * 120 + b',"m":'),
    (b'"n":', b'"n":' + b"[" * 90 + b"]" * 90 + b',"m":'),
    (b"Z", b"+00:00"),
    (b"Z", b"z"),
    (b"T12", b"t12"),
    (b"T12", b" 12"),
    (b"T12", b"T25"),
)


def test_they_agree_on_what_the_exporter_himself_could_do(
    go: Path, sample: Sample, whole: bytes, tmp_path: Path
) -> None:
    changed = list(mended(whole))
    answers = theirs(go, sample, [edit_from(whole, one) for one in changed], tmp_path)
    differ = [
        (number, mine, other)
        for number, (mine, other) in enumerate(zip([ours(one, sample) for one in changed], answers, strict=True))
        if mine is not other
    ]
    assert differ == []
    print({answer.value: answers.count(answer) for answer in Answer})


def cases(sample: Sample, whole: bytes) -> Iterator[tuple[str, str, str]]:
    """Keys and anchors that change the answer: what it is, a list of keys, an anchor file."""
    keys, anchor = sample.keys.read_text(), sample.anchor.read_text()
    stranger = signing_key("remediator", new_key())
    origin = unproven_text(anchor.encode()).decode().split("\n")[0]

    def at(size: int, root: bytes = bytes(32), log: str = origin) -> str:
        return signed(Checkpoint(log, size, root).text(), [KEY]).decode()

    yield "as it is", keys, anchor
    yield "another key", f"{stranger.verifying}\n{keys}", anchor
    yield "in time", keys.strip() + " 2026-01-01T00:00:00Z 2027-01-01T00:00:00.5+01:00\n", anchor
    yield "since", keys.strip() + " 2026-01-01T00:00:00Z\n", anchor
    yield "too late", keys.strip() + " - 2026-11-23T12:00:00Z\n", anchor
    yield "another root", keys, at(151)
    yield "no block", keys, at(9)
    yield "newer", keys, at(100_000)
    yield "another log", keys, at(3, log="remediator.io/audit/v1/lab/other")
    yield "two histories", keys, at(9) + at(9, bytes([1] * 32))
    yield "with an older one", keys, at(9) + "\n" + anchor
    yield "in a line of a log", keys, 'pod-0 {"note": ' + json.dumps(anchor) + "}\n"


def test_they_agree_on_keys_and_anchors(go: Path, sample: Sample, whole: bytes, tmp_path: Path) -> None:
    for what, keys, anchor in cases(sample, whole):
        (tmp_path / "keys").write_text(keys)
        (tmp_path / "anchor").write_text(anchor)
        command = [go, "-trusted-keys", tmp_path / "keys", "-anchor", tmp_path / "anchor", sample.path]
        out = subprocess.run(command, capture_output=True, text=True)
        assert Answer(out.stdout.partition("\t")[0]) is ours(whole, sample, keys=keys, anchor=anchor), what


def test_the_other_one_passes_its_own_tests(go: Path) -> None:
    done = subprocess.run(["go", "test", "./..."], cwd=SOURCE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_key_of_the_sample_signed_it(sample: Sample) -> None:
    assert opened(sample.anchor.read_bytes(), KEYS.known)
