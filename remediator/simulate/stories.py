"""Story files -> tests, with every mistake at its `file:line:column`. Called by `cli/testing.py` and the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from remediator.errors import ConfigError
from remediator.model import Json
from remediator.rules.document import Source, read_source
from remediator.rules.report import Problem
from remediator.rules.wording import complain, shown
from remediator.simulate.story import Story, Suite, on_ground


class StoryError(ConfigError):
    """Story files that cannot be used; the text is every problem, `problems` are they."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Placed:
    """A test and where it stands."""

    story: Story
    file: Path
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    def rule_paths(self) -> tuple[Path, ...]:
        """Its rule files, against the folder of its own."""
        return tuple(self.file.parent / name for name in self.story.rules)


def story_files(paths: Sequence[Path]) -> list[Path]:
    """The files that are meant: a folder stands for its `*.yaml`, by name. Raises StoryError."""
    found: list[Path] = []
    for path in paths:
        files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not files:
            raise StoryError([Problem(str(path), 1, 1, "no *.yaml file in this folder", "", "")])
        found += files
    return list(dict.fromkeys(found))


def read_stories(file: Path) -> tuple[Placed, ...]:
    """The tests of one file. Raises StoryError with every problem of it."""
    try:
        source = read_source(str(file), file.read_bytes())
    except OSError as error:
        raise StoryError([Problem(str(file), 1, 1, f"cannot be read: {error.strerror or error}", "", "")]) from error
    if not source.problems and not isinstance(source.data, dict):
        text = f"expected fields (name: ..., events: ...), got {shown(source.data)}"
        source.complain(source.spot(()), text, code="wrong-type")
    found: list[Placed] = []
    if not source.problems:
        model = _model_of(source.data)
        try:
            story = model.model_validate(source.data)
        except ValidationError as error:
            complain(source, error, model, at=())
        else:
            found = list(_placed(story, source))
    if source.problems:
        raise StoryError(sorted(source.problems, key=lambda problem: (problem.line, problem.column)))
    return tuple(found)


def _model_of(data: Json) -> type[BaseModel]:
    return Suite if "tests" in data else Story


def _placed(story: BaseModel, source: Source) -> Iterator[Placed]:
    file = Path(source.file)
    if isinstance(story, Suite):
        for number, test in enumerate(story.tests):
            yield Placed(on_ground(story, test), file, source.spot(("tests", number))[0] + 1)
    else:
        assert isinstance(story, Story)
        yield Placed(story, file, source.spot(())[0] + 1)
