"""The credentials that are known: entries of the credentials file, and the plain token files beside it.

Loaded whole or not at all, at start and with every reload. A token is at least 128 bits of randomness that no person
chose or remembers: nobody can try the likely ones, so that one SHA-256 keeps it as well as a slow, salted hash would,
and costs a request nothing. (Passwords are another matter: `passwords.py`.)
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from remediator.access.base import EVERYTHING, Credential, May
from remediator.access.document import Written, read_document, refuse_if_wrong
from remediator.access.tls import ClientAuth
from remediator.authority import UNLIMITED, Authority, Names
from remediator.errors import ConfigError
from remediator.rules.automaton import compile_pattern
from remediator.rules.document import Source
from remediator.rules.schema import Name

MIN_TOKEN_LENGTH = 16
EVERY_NAME = ".*"
FILE, USER, CLIENT = "file:", "user:", "client:"
"""Before the names of credentials that no entry names. No entry can: a name has no colon."""


def _expression(text: str) -> str:
    try:
        compile_pattern(text)
    except ValueError as error:
        raise ValueError(f"bad regular expression: {error}") from error
    return text


def _together(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        _names(texts)
    except ValueError as error:
        raise ValueError(f"too many for one credential: {error}") from error
    return texts


def _digests(value: Any) -> Any:
    # Before anything else looks at it, and without the value: it may be the token itself, by mistake.
    texts = value if isinstance(value, list) else []
    if not 1 <= len(texts) <= 2 or not all(isinstance(t, str) and re.fullmatch("[0-9a-fA-F]{64}", t) for t in texts):
        raise ValueError("write a list of one or two SHA-256 as 64 hexadecimal digits in quotes, never the token")
    return tuple(bytes.fromhex(text) for text in texts)


Expression = Annotated[str, AfterValidator(_expression), Field(min_length=1, max_length=2000)]
Expressions = Annotated[tuple[Expression, ...], AfterValidator(_together), Field(min_length=1, max_length=500)]


class CredentialRow(Written):
    """One credential: how it is proved, what it may, and what it may speak of."""

    name: Name = Field(description="What records, metrics and answers call it.")
    token_sha256: Annotated[tuple[bytes, ...], BeforeValidator(_digests)] = Field(
        (), description="SHA-256 of the token in hexadecimal; two while it is changed, the present one and the next."
    )
    basic_auth_user: str | None = Field(
        None, min_length=1, max_length=200, description="A user of the web configuration file."
    )
    client_name: str | None = Field(
        None,
        min_length=1,
        max_length=2048,
        description="A DNS name or URI among the subject alternative names of a verified client certificate.",
    )
    may: tuple[May, ...] = Field((May.ALERT,), min_length=1, description="alert, operate (also reads), read.")
    receivers: Expressions | None = Field(
        None, description="Receivers of Alertmanager that it may deliver for, as anchored expressions. Default: any."
    )
    namespaces: Expressions | None = Field(
        None, description="Namespaces that it may speak of, as anchored expressions; ['.*'] for all of them."
    )
    rules: Expressions | None = Field(
        None, description="Rules that may answer its alerts, as anchored expressions. Default: any."
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        proofs = (bool(self.token_sha256), self.basic_auth_user is not None, self.client_name is not None)
        if sum(proofs) != 1:
            raise ValueError("give exactly one of token_sha256, basic_auth_user and client_name")
        if May.ALERT in self.may and self.namespaces is None:
            raise ValueError("who may alert needs namespaces: a list like [shop, 'shop-.*'], or ['.*'] for all")
        if self.receivers is not None and May.ALERT not in self.may:
            raise ValueError("receivers limit what may alert, and this may not")
        if (self.namespaces or self.rules) and not {May.ALERT, May.OPERATE} & set(self.may):
            raise ValueError("namespaces and rules do not limit reading; take them away")
        return self

    def value(self) -> Credential:
        authority = Authority(_names(self.receivers), _names(self.namespaces), _names(self.rules))
        return Credential(self.name, frozenset(self.may), authority)


class CredentialsDocument(Written):
    """The credentials file."""

    credentials: tuple[CredentialRow, ...] = Field(min_length=1, max_length=2000)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Everyone who is known. Frozen: a reload makes another.

    `tokens` are digests; `users` and `clients` are by what was proved. `any_client`: whoever has a verified certificate
    is known, with full authority. `names_readers`: it is said who may read, so that others may not.
    """

    by_name: Mapping[str, Credential] = field(default_factory=dict)
    tokens: Sequence[tuple[bytes, Credential]] = ()
    users: Mapping[str, Credential] = field(default_factory=dict)
    clients: Mapping[str, Credential] = field(default_factory=dict)
    any_client: bool = False
    names_readers: bool = False

    @property
    def is_open(self) -> bool:
        """Whether nobody is known, and so nobody is asked."""
        return not self.by_name and not self.any_client

    def of_token(self, token: bytes) -> Credential | None:
        offered, found = hashlib.sha256(token).digest(), None
        for known, credential in self.tokens:  # all of them, so that the time says nothing of which one it was
            if hmac.compare_digest(offered, known):
                found = credential
        return found

    def authority_of(self, name: str) -> Authority | None:
        """What the credential of that name may speak of now; None: it is gone, or may not alert any more.

        The empty name is of alerts that came without a credential: known only as long as none is asked for.
        """
        if not name:
            return UNLIMITED if self.is_open else None
        if self.any_client and name.startswith(CLIENT):
            return UNLIMITED
        credential = self.by_name.get(name)
        return credential.authority if credential is not None and credential.allows(May.ALERT) else None

    def only_sender(self, name: str | None) -> Credential | None:
        """The credential of that name if it may alert; without a name the one that may, if there is just one. None:
        there is none, or nobody knows which. Where nobody is asked, that is what everyone has."""
        if self.is_open:
            return Credential("") if name is None else None
        senders = [one for one in self.by_name.values() if one.allows(May.ALERT) and name in (None, one.name)]
        return senders[0] if len(senders) == 1 and not (self.any_client and name is None) else None


def load_credentials(
    file: Path | None,
    token_files: Sequence[Path],
    *,
    users: Collection[str] = (),
    client_auth: ClientAuth = ClientAuth.NONE,
) -> Credentials:
    """Who is known by these files. Raises ConfigError with every mistake and its place.

    `users` and `client_auth` are those of the web configuration file. Without a credentials file each user, and each
    client where all must have a certificate and nothing else is asked for, has full authority, as with Prometheus; with
    one, what it says.
    """
    plain = list(_plain_tokens(token_files))
    if file is None:
        everyone = {user: Credential(USER + user) for user in users}
        known = [*(one for _, one in plain), *everyone.values()]
        any_client = client_auth is ClientAuth.REQUIRED and not known
        return Credentials({one.name: one for one in known}, plain, everyone, any_client=any_client)
    source, document = read_document(file, CredentialsDocument)
    rows = document.credentials
    _refuse_twins(source, rows, plain)
    _refuse_strangers(source, rows, users, client_auth)
    refuse_if_wrong(source)
    known = [row.value() for row in rows]
    tokens = [(digest, one) for row, one in zip(rows, known, strict=True) for digest in row.token_sha256]
    # A user without an entry is somebody, but may nothing.
    named = {user: Credential(USER + user, frozenset()) for user in users}
    named |= {row.basic_auth_user: one for row, one in zip(rows, known, strict=True) if row.basic_auth_user}
    return Credentials(
        by_name={one.name: one for one in (*known, *(one for _, one in plain))},
        tokens=[*tokens, *plain],
        users=named,
        clients={row.client_name: one for row, one in zip(rows, known, strict=True) if row.client_name},
        names_readers=any(May.READ in row.may for row in rows),
    )


def _names(expressions: Sequence[str] | None) -> Names | None:
    if expressions is None or EVERY_NAME in expressions:
        return None
    return compile_pattern("|".join(f"(?:{expression})" for expression in expressions))


def _refuse_twins(source: Source, rows: Sequence[CredentialRow], plain: Sequence[tuple[bytes, Credential]]) -> None:
    """What two credentials have in common says nothing of which one it was."""
    first: dict[tuple[str, object], str] = {("token_sha256", digest): one.name for digest, one in plain}
    for number, row in enumerate(rows):
        said = [("name", row.name), ("basic_auth_user", row.basic_auth_user), ("client_name", row.client_name)]
        for what, value in (*said, *(("token_sha256", digest) for digest in row.token_sha256)):
            if value is None:
                continue
            spot = source.spot(("credentials", number, what))
            if (what, value) in first:
                text, hint = f"a second credential with this {what}", f"first in {first[what, value]}"
                source.complain(spot, text, hint, code="duplicate-credential")
            first.setdefault((what, value), f"{source.file}:{spot[0] + 1}")


def _refuse_strangers(
    source: Source, rows: Sequence[CredentialRow], users: Collection[str], client_auth: ClientAuth
) -> None:
    """What nobody could ever prove is a mistake."""
    for number, row in enumerate(rows):
        if row.basic_auth_user is not None and row.basic_auth_user not in users:
            spot = source.spot(("credentials", number, "basic_auth_user"))
            text = "no such user under basic_auth_users of the web configuration file"
            source.complain(spot, text, code="unknown-user")
        if row.client_name is not None and client_auth is ClientAuth.NONE:
            spot = source.spot(("credentials", number, "client_name"))
            text = "the web configuration file verifies no client certificates (client_auth_type)"
            source.complain(spot, text, code="unknown-client")


def _plain_tokens(files: Sequence[Path]) -> Iterator[tuple[bytes, Credential]]:
    """The simple form: one token in each file, full authority, named after the file."""
    names = [file.name for file in files]
    for file in files:
        try:
            token = file.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"{file}: cannot read the token: {error.strerror}") from error
        if len(token) < MIN_TOKEN_LENGTH or any(byte <= 0x20 or byte == 0x7F for byte in token):
            wanted = f"one token of at least {MIN_TOKEN_LENGTH} characters without white space"
            raise ConfigError(f"{file}: expected {wanted}")
        name = file.name if names.count(file.name) == 1 else str(file)
        yield hashlib.sha256(token).digest(), Credential(FILE + name, EVERYTHING)
