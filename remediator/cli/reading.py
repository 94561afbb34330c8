"""What the commands share that read from a running service over HTTP: ask, and print as columns or JSON.

Called by the other files of this folder that ask the service. Only the standard library is imported, so that the
commands start fast.
"""

from __future__ import annotations

import getpass
import http.client
import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from remediator.errors import ConfigError, RemediatorError, TransientError, cut

DEFAULT_URL = "http://127.0.0.1:9095"
TIMEOUT_SECONDS = 10.0
CHUNK_BYTES = 64 * 1024
MAX_BYTES = 64 * 1024 * 1024
"""Of an answer that is kept in memory. An export goes to its file or to stdout piece by piece, and may be larger."""

GOOD, FAILED, MISUSED = 0, 1, 2
HTML = "text/html"
NO_ROUTE = "Not Found"
"""All that a server of aiohttp says of a path that it does not know, a remediator too; what it knows it names."""


def print_answer(
    url: str | None,
    path: str,
    output: str,
    lines: Callable[[Any], Iterable[str]],
    *,
    post: Mapping[str, Any] | None = None,
    token_file: str | None = None,
    code: Callable[[Any], int] = lambda _: GOOD,
) -> int:
    """Get `path`, or post to it, and print the answer as JSON, or as `lines` makes of it. Returns the exit code, which
    after an answer is what `code` makes of it.

    `url` None: `REMEDIATOR_URL`, else this machine. `token_file` None: `REMEDIATOR_TOKEN_FILE`, else no token.
    TLS, passwords and client certificates are in the file that `REMEDIATOR_HTTP_CONFIG_FILE` names, if any.
    """
    if output not in ("simple", "json"):
        print(f"error: output {output!r}: expected simple or json", file=sys.stderr)
        return MISUSED
    try:
        with _opened(url, path, post, token_file=token_file) as answered:
            found = json.loads(whole_answer(answered))
            with understood(answered):
                shown, ends = [json.dumps(found, indent=2)] if output == "json" else list(lines(found)), code(found)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISUSED
    except RemediatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    for line in shown:
        print(line)
    return ends


def ask_text(url: str | None, path: str) -> tuple[str, int]:
    """The text that is served at `path`, and the exit code; what went wrong is on stderr."""
    try:
        with _opened(url, path) as answer:
            return whole_answer(answer).decode("utf-8"), GOOD
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return "", MISUSED
    except RemediatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return "", FAILED


@contextmanager
def answer_of(
    url: str | None, path: str, *, timeout_seconds: float = TIMEOUT_SECONDS, token_file: str | None = None
) -> Iterator[Any]:
    """The answer to a GET, open, with its headers; `url` and `token_file` as in `print_answer`.

    `timeout_seconds` is for the first byte and between any two.
    Raises ConfigError for misuse, TransientError when there is no usable answer.
    """
    with _opened(url, path, token_file=token_file, timeout_seconds=timeout_seconds) as answer:
        yield answer


def whole_answer(answer: Any) -> bytes:
    """What an open answer holds, of at most `MAX_BYTES`. Raises TransientError for more, and for one that broke off."""
    from remediator.bodies import TooLarge, whole_of  # is not needed to say what a command does

    try:
        return whole_of(pieces(answer, CHUNK_BYTES), max_bytes=MAX_BYTES)
    except TooLarge as error:
        raise TransientError(f"{_place(answer.url, '')} answers with {error}: {_ELSEWHERE}") from error
    except http.client.IncompleteRead as error:
        raise TransientError(f"{_place(answer.url, '')}: the answer broke off; try again") from error


@contextmanager
def understood(answer: Any) -> Iterator[None]:
    """Around what reads an answer that is JSON: another service answers in JSON too. Raises TransientError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        unlike = f"{_place(answer.url, '')} does not answer as a remediator does"
        raise TransientError(f"{unlike} ({type(error).__name__}): {_ELSEWHERE}") from error


def pieces(answer: Any, size_bytes: int) -> Iterator[bytes]:
    """An open answer until its end. Raises HTTPException, OSError: also for one that ends before what its header says,
    of which the library tells nobody who reads it by pieces."""
    while piece := answer.read(size_bytes):
        yield piece
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)


def who() -> str:
    """Whose command this is, where nobody says: the user of this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _client(token_file: str | None) -> tuple[str | None, ssl.SSLContext | None]:
    """The `Authorization` header and the TLS context. A token file is meant before what a configuration says."""
    authorization, context = None, None
    if config_file := os.environ.get("REMEDIATOR_HTTP_CONFIG_FILE"):
        from remediator.cli.http_config import read_http_config

        client = read_http_config(Path(config_file))
        authorization, context = client.authorization, client.context
    return (authorization if token_file is None else f"Bearer {_token(token_file)}"), context


def _token(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the token file {path}: {error}") from error


@contextmanager
def _opened(
    url: str | None,
    path: str,
    post: Mapping[str, Any] | None = None,
    *,
    token_file: str | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Iterator[Any]:
    """The answer, open. Raises ConfigError for misuse, TransientError when there is no usable answer."""
    authorization, context = _client(token_file or os.environ.get("REMEDIATOR_TOKEN_FILE"))
    url = url or os.environ.get("REMEDIATOR_URL") or DEFAULT_URL
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url!r} is not the address of a remediator: expected http://host:port")
    try:
        headers = {"Content-Type": "application/json"} if post is not None else {}
        if authorization is not None:
            headers["Authorization"] = authorization
        body = None if post is None else json.dumps(post).encode()
        request = urllib.request.Request(url.rstrip("/") + path, data=body, headers=headers)
        with opener(context).open(request, timeout=timeout_seconds) as answer:
            # A page for people, which none of our answers is but an export, and that is a file.
            if answer.headers.get_content_type() == HTML and "Content-Disposition" not in answer.headers:
                raise TransientError(f"{_place(url, path)} answered {answer.status} with a page in HTML: {_ELSEWHERE}")
            yield answer
    except urllib.error.HTTPError as error:
        if (elsewhere := redirection(error)) is not None:
            raise TransientError(f"{url} {elsewhere} --url") from error
        place = _place(url, path)
        text = _error_of(error, fallback=f"{place} answered {error.code}")
        if error.code == 404 and text in (NO_ROUTE, f"{place} answered 404"):
            text = f"{place} answered 404: {_ELSEWHERE}"
        raise (ConfigError if error.code == 400 else TransientError)(text) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        why = (getattr(reason, "strerror", None) or str(reason) or type(reason).__name__).lower()
        hint = "is it running? (--url, REMEDIATOR_URL)"
        raise TransientError(f"no remediator answers at {url}: {why}; {hint}") from error
    except (ValueError, RecursionError, http.client.HTTPException) as error:
        raise TransientError(f"{_place(url, path)} does not answer as a remediator does: {_ELSEWHERE}") from error


_ELSEWHERE = "a login, or another service? name a remediator, with its path prefix if any (--url, REMEDIATOR_URL)"


def _place(url: str, path: str) -> str:
    return (url.rstrip("/") + path).partition("?")[0]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The library sends the credential wherever an answer points to, and makes a GET of a POST: a pause that would be
    answered, and not done."""

    def redirect_request(self, *_: Any) -> None:
        return None


def opener(context: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    """Asks the address that was named and nobody else. No proxy: the environment's is for the way out, and its answer
    would be taken for the service's. No redirects."""
    secured = urllib.request.HTTPSHandler(context=context)
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), secured, _NoRedirects())


def redirection(error: urllib.error.HTTPError) -> str | None:
    """What to say of an answer that points elsewhere, up to the flag that names the address; None: it does not."""
    if not 300 <= error.code < 400:
        return None
    place = clean(error.headers.get("Location")) or "elsewhere"
    return f"answered {error.code} and points to {place}, which is not followed: name the right address with"


def _error_of(answer: urllib.error.HTTPError, *, fallback: str) -> str:
    try:
        return cut(str(json.loads(answer.read(65536))["error"]))
    except (ValueError, KeyError, TypeError, RecursionError, http.client.HTTPException, OSError):
        return fallback


def columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows of as many cells as the first has, aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def to_seconds(text: str) -> str:
    """An RFC 3339 time in UTC to the second: `2026-11-23T12:00:07Z`."""
    return text[:19] + "Z"


def clean(value: Any) -> str:
    """Foreign text that cannot move the terminal's cursor."""
    if value is None:
        return ""
    return cut(value if isinstance(value, str) else json.dumps(value), max_length=200)
