"""The forms of output that every command offers."""

from __future__ import annotations

from enum import StrEnum


class Output(StrEnum):
    SIMPLE = "simple"
    JSON = "json"
