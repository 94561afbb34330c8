"""`remediator generate token`: a token for Alertmanager or a person, and what the credentials file says of it.

Only the standard library is imported, so that the command starts fast.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from remediator.cli.output import Output
from remediator.cli.reading import FAILED, GOOD, MISUSED

TOKEN_BYTES = 32
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def token(
    name: str, output: Output, *, may: Sequence[str], namespaces: Sequence[str], token_file: Path | None
) -> int:
    """Print the entry of a new token, and the token on standard error, once; with `token_file` it goes there instead.

    Returns the exit code: 0 good, 1 the file cannot be written, 2 misuse.
    """
    if len(name) > 63 or not NAME.fullmatch(name):
        print(f"error: {name!r}: expected lower-case letters, digits and hyphens, at most 63", file=sys.stderr)
        return MISUSED
    made = secrets.token_urlsafe(TOKEN_BYTES)
    if token_file is not None:
        try:
            # Never over another token, and readable by nobody else from the first byte on.
            handle = os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            print(f"error: {token_file}: {error.strerror}", file=sys.stderr)
            return FAILED
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(made + "\n")
    shown = made if token_file is None else None
    digest = hashlib.sha256(made.encode()).hexdigest()
    if output is Output.JSON:
        entry = {"name": name, "token_sha256": [digest], "may": list(may), "namespaces": list(namespaces)}
        print(json.dumps(({"token": shown} if shown else {}) | {"entry": entry}, indent=2))
    else:
        if shown:
            # Not on standard output, which is for the file that must not hold it.
            print(f"token, shown this once: {shown}", file=sys.stderr)
        print("\n".join(_entry(name, digest, may, namespaces)))
    return GOOD


def _entry(name: str, digest: str, may: Sequence[str], namespaces: Sequence[str]) -> Iterator[str]:
    """As the credentials file has it."""
    yield f"  - name: {name}"
    yield f"    token_sha256: ['{digest}']"
    yield f"    may: [{', '.join(may)}]"
    if namespaces:
        yield f"    namespaces: {json.dumps(list(namespaces))}"
    elif "alert" in may:
        yield "    namespaces: []    # name them, like [shop, 'shop-.*']; ['.*'] is all of them"
