"""What every command keeps to, asked of all that there are: they are found by walking the command line itself.

`--help` with an example that works, `-o json`, an exit code that scripts can use, no stack trace on bad input, and
nothing in a pipe that belongs on a terminal. A new command is caught by being there.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from remediator.access.loading import Access
from remediator.cli.main import app
from remediator.cli.output import Output, Report, Rights
from remediator.errors import RemediatorError
from remediator.log_format import configure_logging
from tests.stories.written import crash
from tests.unit.api.service import running

NO_JSON: Mapping[str, str] = {
    "serve": "runs until it is ended; what it prints is its log",
    "export": "-o names a file; --format json is the form",
    "report handoff": "-o names a file; --format json is the form",
    "report monthly": "-o names a file; --format json is the form",
}
BAD_INPUT: Mapping[str, Sequence[str]] = {
    "serve": ["--config.file", "no/such.yaml"],  # with anything good it would run
    "demo": ["--mode", "loud"],
}
"""Where the words that are made up below would not be bad, or would take long."""

MEANT: Mapping[str, Sequence[str]] = {
    "deployments show": ["shop/web"],
    "explain": ["--incident", "inc-1"],
    "reset": ["--rule", "crash-loop", "--comment", "why"],
}
"""Where words without a meaning are refused before a service is asked."""

KNOWN_BAD: Sequence[str] = (
    "test rules good.yaml --junit no/such/folder/report.xml",
    "explain latin-1.txt",
    "explain alertname=",
    "explain .",
    "check rules .",
    "check rules latin-1.txt",
    "audit verify .",
    "audit verify latin-1.txt",
    "audit verify latin-1.txt --trusted-keys latin-1.txt",
    "audit keygen latin-1.txt",
    "audit keygen new.pem --name 'two words'",
    "generate token name --token-file latin-1.txt",
    "generate alertmanager-route --into .",
    "generate alertmanager-route --into latin-1.txt",
    "generate alertmanager-route --shape alertmanagerconfig --receiver 'Two Words'",
    "serve --mode loud",
    "serve --web.listen-address here",
    "serve --log.level shout",
    "serve --storage.url nonsense",
    "serve --storage.url sqlite:////no/such/folder/r.db",
    "serve --rules no/such.yaml",
    "serve --config.file latin-1.txt",
    "serve --audit.key-file no/such.pem",
    "serve --audit.key-file latin-1.txt",
    "serve --kubeconfig no/such",
    "serve --kubeconfig latin-1.txt",
    "serve --web.config.file latin-1.txt",
    "serve --web.credentials-file latin-1.txt",
    "serve --web.token-file no/such",
    "doctor --config.file latin-1.txt",
    "doctor --rules latin-1.txt",
    "doctor --kubeconfig latin-1.txt",
    "doctor --mode loud",
    "doctor --timeout -1s",
)
KNOWN_BAD_OF_A_SERVICE: Sequence[str] = (
    "export --format nonsense",
    "export inc-1 --tz Nowhere/City",
    "export --since never",
    "export inc-../../x",
    "report monthly --month 2026-13",
    "report handoff --since 8x",
    "report handoff -o no/such/folder/file",
    "incidents show ../../x",
    "incidents list --limit 0",
    "pause --comment x --for soon",
    "pause --comment x --rule a --target b",
    "pause --comment ''",
    "reset --comment x",
    "approve R-1000000000000000000000 --comment x",
    "audit proof 99999999999999999999",
    "audit redact 1 --comment x --field ../x",
    "ack E-x --comment y",
    "status --token-file no/such",
    "deployments show a/b/c",
)

GOOD, FAILED, MISUSED, NOT_PROVEN = 0, 1, 2, {3, 4}
NEVER_IN_A_PIPE = ("\x1b", "\r", "╭", "│", "━")
NOBODY = "http://127.0.0.1:1"


def walked(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its words."""
    for name, child in sorted(getattr(command, "commands", {}).items()):
        if getattr(child, "commands", None):
            yield from walked(child, (*path, name))
        else:
            yield " ".join((*path, name)), child


ROOT = typer.main.get_command(app)
COMMANDS = dict(walked(ROOT))
each_command = pytest.mark.parametrize("words", list(COMMANDS))


class Done:
    """What a run of `main` would leave: a fault that has a name is one line and exit code 1."""

    def __init__(self, words: Sequence[str]) -> None:
        done = CliRunner().invoke(app, list(words), prog_name="remediator")
        error = done.exception
        self.code = FAILED if isinstance(error, RemediatorError) else done.exit_code
        self.trace = None if error is None or isinstance(error, SystemExit | RemediatorError) else error
        self.out = done.stdout
        self.err = f"remediator: {error}\n" if isinstance(error, RemediatorError) else done.stderr

    def check(self) -> None:
        """What holds for every run, good or bad."""
        assert self.trace is None, repr(self.trace)
        assert self.code in (GOOD, FAILED, MISUSED, *NOT_PROVEN)
        for text in (self.out, self.err):
            assert "Traceback" not in text
            assert not [mark for mark in NEVER_IN_A_PIPE if mark in text]
        if self.code == MISUSED:
            assert self.err.strip(), "misuse is said on standard error"


def option(command: Any, *names: str) -> Any:
    return next((param for param in command.params if set(names) & set(param.opts)), None)


def kind_of(command: Any, param: Any) -> Any:
    """The type of a parameter as its function has it: of a list that of its items, of an optional one the other."""
    kind = get_type_hints(inspect.unwrap(command.callback)).get(param.name, str)
    while get_origin(kind) is not None:
        kind = next(one for one in get_args(kind) if one is not type(None))
    return kind


def made_up(command: Any) -> list[str]:
    """Words for everything that the command requires, none of which means anything."""
    words: list[str] = []
    for param in command.params:
        if not param.required:
            continue
        kind = kind_of(command, param)
        value = "7" if kind is int else next(iter(kind)).value if issubclass(kind, Enum) else "nothing"
        words += [value] if param.param_type_name == "argument" else [param.opts[0], value]
    return words


def has_json(command: Any) -> bool:
    output = option(command, "-o")
    return output is not None and kind_of(command, output) in (Output, Report, Rights)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, no cluster, and a CI server that says that it has colours."""
    configure_logging("critical", log_format="console")  # the service of these tests runs in their process
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name in ("KUBECONFIG", "REMEDIATOR_URL", "NO_COLOR", "REMEDIATOR_HTTP_CONFIG_FILE", "REMEDIATOR_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_there_are_commands() -> None:
    """The walk itself works, also into groups and into those that are added without a name."""
    assert {"serve", "approve", "generate mixin", "audit verify", "doctor", "report monthly"} <= set(COMMANDS)
    assert set(NO_JSON) | set(BAD_INPUT) <= set(COMMANDS)


@each_command
def test_help_is_plain_and_has_an_example(words: str) -> None:
    done = Done([*words.split(), "--help"])
    done.check()
    assert done.code == GOOD
    assert "Example: remediator " in done.out
    assert all(param.help for param in COMMANDS[words].params if hasattr(param, "help") and not _is_help(param))


def _is_help(param: Any) -> bool:
    return "--help" in param.opts


@each_command
def test_its_example_is_a_command_that_can_be_typed(words: str) -> None:
    """The words of the example are read as the shell and we would read them; nothing is run."""
    [example] = [line.partition("Example: ")[2] for line in COMMANDS[words].help.splitlines() if "Example: " in line]
    for sign in (" >> ", " > ", " | "):
        example = example.partition(sign)[0]
    program, *rest = shlex.split(example)
    found = next(path for path in sorted(COMMANDS, key=len, reverse=True) if " ".join(rest).startswith(path))
    assert program == "remediator"
    callbacks = [inspect.unwrap(COMMANDS[path].callback) for path in (found, words)]
    assert callbacks[0] is callbacks[1]
    COMMANDS[found].make_context(found, rest[len(found.split()) :])


@each_command
def test_it_speaks_json_or_there_is_a_reason(words: str) -> None:
    assert has_json(COMMANDS[words]) is (words not in NO_JSON)


@each_command
def test_an_unknown_option_is_misuse(words: str) -> None:
    done = Done([*words.split(), "--no-such-option"])
    done.check()
    assert done.code == MISUSED


@each_command
def test_an_argument_too_many_is_misuse(words: str) -> None:
    if any(param.nargs == -1 for param in COMMANDS[words].params):
        pytest.skip("takes as many as there are")
    done = Done([*words.split(), *made_up(COMMANDS[words]), *["too", "many"] * 2])
    done.check()
    assert done.code == MISUSED


@each_command
async def test_made_up_input_is_answered_in_words_and_in_json(words: str) -> None:
    """Against a running service, where the command asks one."""
    command = COMMANDS[words]
    given = [*words.split(), *(BAD_INPUT.get(words) or made_up(command))]
    async with running(access=Access()) as service:
        if option(command, "--url") is not None:
            given += ["--url", f"http://127.0.0.1:{service.port}"]
        for form in ([], ["-o", "json"]) if has_json(command) else ([],):
            done = await asyncio.to_thread(Done, [*given, *form])
            done.check()
            if form and done.code == GOOD:
                json.loads(done.out)
            if done.code != GOOD:
                assert done.out.strip() or done.err.strip(), "it says why"


@each_command
def test_a_service_that_is_not_there_is_said_in_one_line(words: str) -> None:
    command = COMMANDS[words]
    if option(command, "--url") is None:
        pytest.skip("asks no service")
    given = [*words.split(), *(MEANT.get(words) or made_up(command))]
    done = Done([*given, "--url", NOBODY])
    done.check()
    assert done.code == FAILED
    assert NOBODY in done.err + done.out
    assert len(done.err.splitlines()) <= 1
    said = Done([*given, "--url", "nonsense"])
    said.check()
    assert said.code == MISUSED


@each_command
def test_files_that_are_not_there_are_said(words: str) -> None:
    """Each option that names a file, one after the other, in a folder that does not exist."""
    command = COMMANDS[words]
    if words == "serve":
        pytest.skip(
            "every file of it is a setting, and one that is wrong keeps it from starting: the tests of settings"
        )
    for param in command.params:
        name = param.opts[0]
        if param.param_type_name != "option" or kind_of(command, param) is not Path:
            continue
        rest = BAD_INPUT.get(words) or made_up(command)
        done = Done([*words.split(), *rest, name, "no/such/folder/file"])
        done.check()
        assert done.code != GOOD, name


@pytest.mark.parametrize("words", KNOWN_BAD)
def test_bad_input_that_people_give_is_said(words: str, tmp_path: Path) -> None:
    crash(tmp_path, "good")
    (tmp_path / "latin-1.txt").write_bytes(b"caf\xe9: [\n")
    done = Done(shlex.split(words))
    done.check()
    assert done.code != GOOD
    assert done.err.strip() or done.out.strip()


@pytest.mark.parametrize("words", KNOWN_BAD_OF_A_SERVICE)
async def test_bad_input_that_a_service_is_given_is_said(words: str) -> None:
    async with running(access=Access()) as service:
        given = [*shlex.split(words), "--url", f"http://127.0.0.1:{service.port}"]
        done = await asyncio.to_thread(Done, given)
    done.check()
    assert done.code != GOOD
    assert done.err.strip()


async def test_a_broken_way_to_the_service_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("authorization: 3\n", "tls_config: {ca_file: none}\n", "{"):
        (tmp_path / "http.yaml").write_text(text, encoding="utf-8")
        monkeypatch.setenv("REMEDIATOR_HTTP_CONFIG_FILE", "http.yaml")
        done = await asyncio.to_thread(Done, ["status"])
        done.check()
        assert done.code == MISUSED


def test_the_root_is_plain_too_and_misuse_of_it_is_said() -> None:
    for given, code in ((["--help"], GOOD), (["no-such-command"], MISUSED), ([], MISUSED)):
        done = Done(given)
        done.check()
        assert done.code == code


def test_help_starts_fast() -> None:
    """Nothing heavy is imported until a command needs it: `remediator --help` stays under 300 ms of CPU."""
    heavy = ["pydantic", "aiohttp", "sqlalchemy", "kubernetes_asyncio", "requests", "ruamel", "yaml", "opentelemetry"]
    code = f"import sys, remediator.cli.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_in_a_real_pipe_a_fault_is_one_line() -> None:
    """The real `main`, as a process whose output is read by another."""
    asked = [sys.executable, "-m", "remediator", "serve", "--config.file", "no/such.yaml"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert done.stderr.startswith("remediator: no/such.yaml: cannot read the settings")
    assert len(done.stderr.splitlines()) == 1
