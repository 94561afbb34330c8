"""`remediator export` and `report`: files from a running service, over HTTP.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 good, 1 failed,
2 misuse. A file appears under its name only when it is whole. Only the standard library is imported, but for the
progress bar of a long export on a terminal.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import sys
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from remediator.cli.reading import FAILED, GOOD, MISUSED, answer_of, clean, pieces
from remediator.errors import ConfigError, RemediatorError, TransientError

STDOUT = "-"
PATIENCE_SECONDS = 120.0
"""A report over a very long month is not made in the ten seconds that other answers have."""

LARGE_BYTES = 1 << 20
"""From here on a bar is drawn."""

_CHUNK = 1 << 16
_NAME = re.compile(r'filename="([A-Za-z0-9][A-Za-z0-9._-]{0,120})"')


def export(
    url: str | None, *, query: Mapping[str, str | None], to: str | None = None, token_file: str | None = None
) -> int:
    """Fetch an export. `query` is name -> value, None: not asked."""
    return _download(url, "/api/v1/export", query, to=to, token_file=token_file)


def report(
    url: str | None, kind: str, *, query: Mapping[str, str | None], to: str | None, token_file: str | None = None
) -> int:
    """Fetch a report: `handoff` or `monthly`."""
    return _download(url, f"/api/v1/report/{kind}", query, to=to, token_file=token_file)


def _download(
    url: str | None, path: str, query: Mapping[str, str | None], *, to: str | None, token_file: str | None
) -> int:
    """`to` is a file, or `-` for stdout. None: stdout into a pipe, on a terminal a file of the name it is given."""
    asked = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
    try:
        with answer_of(
            url, f"{path}?{asked}", timeout_seconds=PATIENCE_SECONDS, token_file=token_file
        ) as answer:
            if to is None and sys.stdout.isatty():
                to = _free_name(answer)
            written = _to_stdout(answer) if to in (None, STDOUT) else _to_file(answer, Path(str(to)))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISUSED
    except BrokenPipeError:
        raise
    except (RemediatorError, OSError) as error:
        print(f"error: {clean(str(error))}", file=sys.stderr)
        return FAILED
    if to not in (None, STDOUT):
        print(f"{to}  {written:,} bytes")
    return GOOD


def _free_name(answer: Any) -> str:
    """The name that the service gives. Raises TransientError where there is such a file: people write into theirs."""
    found = _NAME.search(answer.headers.get("Content-Disposition") or "")
    name = found[1] if found else "export"
    if Path(name).exists():
        raise TransientError(f"{name} is there already; name another file with -o, or the same to replace it")
    return name


def _to_stdout(answer: Any) -> int:
    out = sys.stdout.buffer
    written = _copy(answer, out)
    out.flush()
    return written


def _to_file(answer: Any, path: Path) -> int:
    """All of it, or no file. Raises TransientError, OSError."""
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            written = _copy(answer, out)
        os.chmod(part, 0o666 & ~_umask())
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    return written


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _copy(answer: Any, out: BinaryIO) -> int:
    written = 0
    with _bar(answer) as told:
        try:
            for chunk in pieces(answer, _CHUNK):
                out.write(chunk)
                written += len(chunk)
                told(chunk, written)
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise TransientError(f"it broke off after {written:,} bytes; try again") from error
    return written


@contextlib.contextmanager
def _bar(answer: Any) -> Iterator[Callable[[bytes, int], None]]:
    """What is told of each piece: nothing, or a bar on the terminal once it is a long export."""
    if not sys.stderr.isatty():
        yield lambda chunk, written: None
        return
    total = answer.headers.get("X-Total-Count")
    with contextlib.ExitStack() as stack:
        lines, drawn = 0, None

        def told(chunk: bytes, written: int) -> None:
            nonlocal lines, drawn
            lines += chunk.count(b"\n")
            if drawn is None and written >= LARGE_BYTES:
                drawn = _drawn(stack, int(total) if total and total.isdigit() else None)
            if drawn is not None:
                drawn(lines, written)

        yield told


def _drawn(stack: contextlib.ExitStack, total: int | None) -> Callable[[int, int], None]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    units = TextColumn("{task.completed:,} of {task.total:,} records") if total else DownloadColumn()
    columns = (TextColumn("exporting"), BarColumn(), units, *((TimeRemainingColumn(),) if total else ()))
    progress = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = progress.add_task("", total=total)
    return lambda lines, written: progress.update(task, completed=min(lines, total) if total else written)
