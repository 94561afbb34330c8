"""Signed notes and checkpoints: what a log says of itself, with Ed25519. Source: C2SP signed-note, tlog-checkpoint.

A note is text, an empty line, and lines `— NAME BASE64(key id || signature)`. Signatures by unknown keys are passed
over; a known key whose signature is wrong spoils the note. Nothing here reads the clock or the service. What signs
(cryptography, 7 MiB) is loaded with the first key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519 = b"\x01"
MAX_SIGNATURES = 16
_SIGNATURE = re.compile(r"— (?P<name>[^\s+]+) (?P<value>[A-Za-z0-9+/]+={0,2})")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_NAME = re.compile(r"[^\s+]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")


class BadNote(ValueError):
    """Not a note, not signed by a key that is trusted, or a key's line that cannot be read."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """The public half, with the time in which it was the log's key: records from `since` until before `until`; None:
    no bound."""

    name: str
    public: bytes
    since: datetime | None = None
    until: datetime | None = None

    @property
    def id(self) -> bytes:
        """Four bytes that name the key; no secret and no proof."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def is_right(self, text: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True

    def is_valid_at(self, at: datetime) -> bool:
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)

    def __str__(self) -> str:
        """The one line by which it is handed on."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private half. Made from a file, never from the database."""

    verifying: VerifyingKey
    _private: Ed25519PrivateKey

    def sign(self, text: bytes) -> bytes:
        """The signature line for this note text."""
        value = base64.b64encode(self.verifying.id + self._private.sign(text)).decode()
        return f"— {self.verifying.name} {value}\n".encode()


def signing_key(name: str, pem: bytes) -> SigningKey:
    """From a private key as `openssl genpkey -algorithm ed25519` writes it. Raises BadNote."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    _checked_name(name)
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadNote("not a private key in PEM without a passphrase") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise BadNote("not an Ed25519 key; make one with `openssl genpkey -algorithm ed25519`")
    return SigningKey(VerifyingKey(name, private.public_key().public_bytes_raw()), private)


def new_key() -> bytes:
    """A new private key in PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def verifying_key(line: str) -> VerifyingKey:
    """From one line as `str` writes it. Raises BadNote."""
    parts = line.split("+", 2)
    if len(parts) != 3:
        raise BadNote("not a verifier key; expected NAME+ID+KEY")
    name, key_id, encoded = parts
    _checked_name(name)
    value = _decoded(encoded)
    if value is None or len(value) != 33 or value[:1] != ED25519:
        raise BadNote("not an Ed25519 verifier key")
    key = VerifyingKey(name, value[1:])
    if key.id.hex() != key_id:
        raise BadNote("the key does not have the id that stands beside it")
    return key


def signed(text: bytes, keys: Iterable[SigningKey]) -> bytes:
    """The whole note. `text` ends with a newline."""
    return text + b"\n" + b"".join(key.sign(text) for key in keys)


def opened(note: bytes, trusted: Sequence[VerifyingKey]) -> tuple[bytes, Sequence[VerifyingKey]]:
    """The text of a note, and the trusted keys that signed it: at least one.

    Raises BadNote when it is no note, when no trusted key signed it, or when one of their signatures is wrong.
    """
    text, lines = _divided(note)
    signers: list[VerifyingKey] = []
    for name, value in lines:
        key = next((key for key in trusted if (key.name, key.id) == (name, value[:4])), None)
        if key is None:
            continue
        if not key.is_right(text, value[4:]):
            raise BadNote(f"the signature of {name} is wrong")
        signers.append(key)
    if not signers:
        raise BadNote(f"not signed by a trusted key, but by {', '.join(sorted({name for name, _ in lines}))}")
    return text, signers


def unproven_text(note: bytes) -> bytes:
    """The text of a note, whoever signed it, or nobody. For what is shown, never for what is believed."""
    return _divided(note, is_signed=False)[0]


def _divided(note: bytes, *, is_signed: bool = True) -> tuple[bytes, Sequence[tuple[str, bytes]]]:
    try:
        note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadNote("a note is UTF-8") from error
    if _CONTROL.search(note.decode("utf-8")):
        raise BadNote("a note has no control characters")
    text, gap, rest = note.rpartition(b"\n\n")
    if not gap or not text or (rest and not rest.endswith(b"\n")):
        raise BadNote("not a note: text, an empty line, signatures")
    lines = rest.decode().split("\n")[:-1]
    if len(lines) > MAX_SIGNATURES or (is_signed and not lines):
        raise BadNote(f"a note has 1 to {MAX_SIGNATURES} signatures")
    return text + b"\n", [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes]:
    found = _SIGNATURE.fullmatch(line)
    value = _decoded(found["value"]) if found else None
    if found is None or value is None or len(value) <= 4:
        raise BadNote("not a signature line")
    return found["name"], value


def _decoded(text: str) -> bytes | None:
    """Standard base64, and only the one way to write those bytes."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if base64.b64encode(value).decode() == text else None


def _checked_name(name: str) -> None:
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise BadNote("a key's name has no spaces and no plus sign")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: whose it is, how many records it has, and the root of the tree over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> bytes:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


def checkpoint(text: bytes) -> Checkpoint:
    """From the text of a note: exactly three lines. Raises BadNote."""
    lines = text.decode("utf-8").split("\n")
    if len(lines) != 4 or lines[3]:
        raise BadNote("a checkpoint has three lines: origin, size, root")
    origin, size, encoded, _ = lines
    root = _decoded(encoded)
    if not origin or not _SIZE.fullmatch(size) or root is None or len(root) != 32:
        raise BadNote("a checkpoint has three lines: origin, size, root")
    return Checkpoint(origin, int(size), root)
