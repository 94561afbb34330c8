"""Parts of files that others wrote, whatever their shape: a list or fields where they are, else empty ones. Pure.

Whether such a file is right is for the programs that it is written for; what is not there cannot mislead us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remediator.model import Json


def fields(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def listed(value: Json) -> Sequence[Json]:
    return value if isinstance(value, list) else []


def rows(value: Json) -> list[tuple[int, Mapping[str, Json]]]:
    """The entries of a list that have fields, each with its number."""
    return [(number, one) for number, one in enumerate(listed(value)) if isinstance(one, dict)]


def texts(value: Json) -> list[str]:
    """The entries of a list as texts; one text is a list of it."""
    return (
        [value] if isinstance(value, str) else [str(one) for one in listed(value) if not isinstance(one, dict | list)]
    )
