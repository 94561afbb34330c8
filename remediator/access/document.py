"""A YAML file of the operator as a model, whole or not at all, with `file:line:column` for each mistake.

As the rule files are read, but for one thing: no line of the file and no value of a secret field is repeated in a
message, which ends in logs and in the answer to a reload. Called by `credentials.py` and `web_config.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from remediator.rules.document import Source, read_source
from remediator.rules.report import FileError, Problem
from remediator.rules.wording import complain

T = TypeVar("T", bound="Written")


class Written(BaseModel):
    """What is written in such a file: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def read_document(file: Path, model: type[T]) -> tuple[Source, T]:
    """The file's content, and where its parts stand. An empty file is one without fields. Raises ConfigError."""
    try:
        source = read_source(str(file), file.read_bytes())
    except OSError as error:
        text = f"cannot be read: {error.strerror or error}"
        problem = Problem(str(file), 1, 1, text, "look at the path and at who may read it", "", "unreadable")
        raise FileError(f"{file}: {text}", problems=[problem]) from error
    source.lines = []
    written = None
    if source.data is None and source.problems:
        refuse_if_wrong(source)
    data = {} if source.data is None else source.data
    if isinstance(data, dict):
        try:
            written = model.model_validate(data)
        except ValidationError as error:
            complain(source, error, model, at=())
    else:
        # It may be a token, or a file of them.
        source.complain(source.spot(()), f"expected fields ({', '.join(model.model_fields)})", code="wrong-type")
    refuse_if_wrong(source)
    assert written is not None
    return source, written


def refuse_if_wrong(source: Source) -> None:
    """Raises FileError (a ConfigError) with every problem found so far, in the order of the file."""
    if source.problems:
        found = sorted(source.problems, key=lambda problem: (problem.line, problem.column))
        shown = [replace(problem, source="") for problem in found]
        raise FileError("\n".join(map(str, shown)), problems=shown)
