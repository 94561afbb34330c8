"""Findings as SARIF 2.1.0, as code scanning reads it (OASIS; GitHub's "SARIF support for code scanning")."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from remediator.rules.report import Problem

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def log(problems: Sequence[Problem], *, command: str, version: str) -> dict[str, Any]:
    """One run with a rule for each code that occurs."""
    codes = list(dict.fromkeys(one.code for one in problems))
    first = {code: next(one for one in problems if one.code == code) for code in codes}
    driver = {
        "name": f"remediator {command}",
        "version": version,
        "rules": [
            {
                "id": code,
                "shortDescription": {"text": code.replace("-", " ")},
                "defaultConfiguration": {"level": first[code].level.value},
            }
            for code in codes
        ],
    }
    results = [_result(one, codes.index(one.code)) for one in problems]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(one: Problem, index: int) -> dict[str, Any]:
    message = one.text + (f" ({one.hint})" if one.hint else "")
    region = {"startLine": one.line, "startColumn": one.column}
    place = {"artifactLocation": {"uri": _uri(one.file)}, "region": region}
    return {
        "ruleId": one.code,
        "ruleIndex": index,
        "level": one.level.value,
        "message": {"text": message},
        "locations": [{"physicalLocation": place}],
    }


def _uri(file: str) -> str:
    """Relative to here where it is below, since that is how a repository's own files are found."""
    if file.startswith(("http://", "https://")):
        return file
    path = Path(file)
    if not path.is_absolute():
        return quote(path.as_posix())
    here = Path.cwd()
    return quote(path.relative_to(here).as_posix()) if path.is_relative_to(here) else path.as_uri()
