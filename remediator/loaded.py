"""What files say, in force until they say something else that can be used. Called by `app.py` for each kind of file.

Whole or not at all: `reload` loads first and swaps then, so that a fault leaves what was in force.
Source: prometheus/alertmanager `app/reloader.go`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from remediator.errors import ConfigError

T = TypeVar("T")


class Loaded(Generic[T]):
    """`current` is in force; `problem` is why what the files say now is not, empty: it is."""

    def __init__(self, load: Callable[[T | None], T], *, files: Callable[[], Iterable[Path]]) -> None:
        """`load` is given what is in force, None at first; `files` are those that it reads, also while they cannot be
        used. Raises what `load` raises."""
        self._load = load
        self._files = files
        self.problem = ""
        self._seen = self._fingerprint()
        self.current: T = load(None)

    def reload(self) -> None:
        """Raises ConfigError; then what was in force stays."""
        self._seen = self._fingerprint()
        try:
            self.current, self.problem = self._load(self.current), ""
        except ConfigError as error:
            self.problem = str(error)
            raise

    def is_changed(self) -> bool:
        """Whether the files differ from what was last loaded or tried. By content: ConfigMap mounts swap links."""
        return self._fingerprint() != self._seen

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for file in self._files():
            with contextlib.suppress(OSError):
                digest.update(str(file).encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()
