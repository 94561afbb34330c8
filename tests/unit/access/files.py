"""Files of who may come in, for the tests of this folder and of the API."""

from __future__ import annotations

import hashlib
from pathlib import Path

SHOP, PAY, OPS = "shop-token-0123456789abcdef", "pay-token-0123456789abcdef", "ops-token-0123456789abcdef"


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def entry(name: str, token: str | None = None, **fields: str) -> str:
    """One entry of the credentials file; the fields are YAML."""
    proof = {} if token is None else {"token_sha256": f"['{digest(token)}']"}
    return f"  - {{{', '.join(f'{key}: {value}' for key, value in {'name': name, **proof, **fields}.items())}}}\n"


def written(folder: Path, *entries: str, name: str = "credentials.yaml") -> Path:
    """A credentials file of these entries."""
    file = folder / name
    file.write_text("credentials:\n" + "".join(entries), encoding="utf-8")
    return file


def token_file(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file
