"""Who may come in and how, as all files together say it. Called by `app.py` at start and at each reload.

One value, so that no request ever sees the users of one file beside the credentials of an older other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from remediator.access.base import May
from remediator.access.credentials import Credentials, load_credentials
from remediator.access.tls import ClientAuth
from remediator.access.web_config import WebConfig, certificate_files, load_web_config
from remediator.errors import ConfigError
from remediator.loaded import Loaded


@dataclass(frozen=True, slots=True)
class Access:
    """Frozen: a reload makes another."""

    credentials: Credentials = field(default_factory=Credentials)
    web: WebConfig = field(default_factory=WebConfig)

    def is_open(self, need: May) -> bool:
        """Whether anyone may do that: where nobody is known, everything.

        Reading also where tokens are only for what changes something: not where there are passwords, as with
        Prometheus, nor where it is said who may.
        """
        if self.credentials.is_open:
            return True
        return need is May.READ and not self.web.users and not self.credentials.names_readers


@dataclass(frozen=True, slots=True)
class AccessFiles:
    """The files that settings name."""

    credentials: Path | None = None
    tokens: Sequence[Path] = ()
    web_config: Path | None = None

    def all(self) -> Iterator[Path]:
        """Those, and the certificates that they name in turn."""
        yield from (file for file in (self.credentials, *self.tokens, self.web_config) if file is not None)
        yield from certificate_files(self.web_config)


def load_access(files: AccessFiles, *, before: Access | None = None) -> Access:
    """Raises ConfigError with every mistake of the file that has some, and its place.

    `before` is what is in force. A listening socket cannot begin or cease to speak TLS; and what was closed is not
    opened to everyone by a file that says less than before, such as one whose last user was taken away.
    """
    web = load_web_config(files.web_config)
    if before is not None and (before.web.tls is None) is not (web.tls is None):
        raise ConfigError(f"{files.web_config}: tls_server_config was added or taken away: that needs a restart")
    client_auth = ClientAuth.NONE if web.tls is None else web.tls.client_auth
    known = load_credentials(files.credentials, files.tokens, users=web.users.keys(), client_auth=client_auth)
    if before is not None and known.is_open and not before.credentials.is_open:
        raise ConfigError(f"{files.web_config}: nobody is known any more, so that everyone could: that needs a restart")
    return Access(known, web)


def known_access(files: AccessFiles) -> Loaded[Access]:
    """The one in force, which `app.py` hands on and reloads. Raises ConfigError with every mistake."""
    return Loaded(lambda before: load_access(files, before=before), files=files.all)
