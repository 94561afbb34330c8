"""Who may post: bearer tokens from files, kept as hashes.

Step 1. `app.py` loads them once, refreshes them with the rules, and gives `is_allowed` to the receiver and to the API.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from remediator.errors import ConfigError

MIN_LENGTH = 16


class BearerTokens:
    """The tokens that are valid now. Without files there is no authentication, and everyone is allowed.

    Owns the hashes: `refresh` replaces them all or none, so that a half-written file locks nobody out.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        """Raises ConfigError when a file cannot be used."""
        self._files = tuple(files)
        self._hashes = _load(self._files)

    @property
    def is_required(self) -> bool:
        return bool(self._files)

    def refresh(self) -> None:
        """Read the files again. Raises ConfigError; then the tokens from before stay valid."""
        self._hashes = _load(self._files)

    def is_allowed(self, authorization: str | None) -> bool:
        """Whether an `Authorization` header carries a valid token. Never raises, whatever the header holds."""
        if not self._files:
            return True
        scheme, _, token = (authorization or "").partition(" ")
        # Hashes have one length and are bytes: `compare_digest` refuses non-ASCII text. No early exit: all compared.
        offered = _hash(token.strip().encode("utf-8", "surrogateescape"))
        matches = [hmac.compare_digest(offered, known) for known in self._hashes]
        return scheme.lower() == "bearer" and any(matches)


def _load(files: Sequence[Path]) -> tuple[bytes, ...]:
    hashes = []
    for file in files:
        try:
            token = file.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"{file}: cannot read the token: {error.strerror}") from error
        if len(token) < MIN_LENGTH or any(byte <= 0x20 or byte == 0x7F for byte in token):
            raise ConfigError(f"{file}: expected one token of at least {MIN_LENGTH} characters without white space")
        hashes.append(_hash(token))
    return tuple(hashes)


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
