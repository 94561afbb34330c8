"""The forms of output that every command offers."""

from __future__ import annotations

from enum import StrEnum


class Output(StrEnum):
    SIMPLE = "simple"
    JSON = "json"


class Report(StrEnum):
    """Of what lints find: for people, for scripts, for code scanning (SARIF 2.1.0), for CI servers (JUnit)."""

    SIMPLE = "simple"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"


class Rights(StrEnum):
    """Of permissions: a table, JSON, or the roles themselves."""

    SIMPLE = "simple"
    JSON = "json"
    YAML = "yaml"
