"""Who sends a request: its `Authorization` header and client certificate against what is known.

Asked by `api/entrance.py` for each request that is not for anyone. Never raises for what a client sends.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from remediator.access.base import Credential, Principal, Proof
from remediator.access.credentials import CLIENT
from remediator.access.loading import Access
from remediator.access.passwords import Passwords
from remediator.access.tls import PeerNames
from remediator.errors import cut

MAX_NAME_LENGTH = 200
"""Of a certificate that no entry names; it ends in records."""


class Authenticator:
    """Asks what is in force now; owns nothing."""

    def __init__(self, access: Callable[[], Access], passwords: Passwords) -> None:
        self._access = access
        self._passwords = passwords

    @property
    def access(self) -> Access:
        return self._access()

    async def principal(self, authorization: str | None, peer: PeerNames | None) -> Principal | None:
        """Who it is; None: nobody that we know. Raises TooManyPasswords.

        A header is what is meant where there is one: a wrong token is refused, whatever certificate comes with it.
        """
        access = self._access()
        if authorization is not None:
            if (token := bearer(authorization)) is not None:
                found = access.credentials.of_token(token)
                return None if found is None else Principal(found.name, Proof.TOKEN, found)
            return await self._user(access, authorization)
        return None if peer is None else _client(access, peer)

    async def _user(self, access: Access, authorization: str) -> Principal | None:
        given = basic(authorization)
        if given is None or not access.web.users:
            return None
        user, password = given
        if not await self._passwords.is_right(user, password, users=access.web.users):
            return None
        credential = access.credentials.users.get(user)
        return None if credential is None else Principal(user, Proof.PASSWORD, credential)


def _client(access: Access, peer: PeerNames) -> Principal | None:
    known = access.credentials
    if known.any_client:
        name = cut(next(iter(peer.services or peer.all), "unnamed"), max_length=MAX_NAME_LENGTH)
        return Principal(name, Proof.CERTIFICATE, Credential(CLIENT + name))
    found = {name: known.clients[name] for name in peer.services if name in known.clients}
    if len({one.name for one in found.values()}) != 1:
        return None  # with two of them, nobody could say whose limits hold
    name, credential = next(iter(found.items()))
    return Principal(name, Proof.CERTIFICATE, credential)


def bearer(authorization: str) -> bytes | None:
    """The token of an `Authorization` header, as bytes; None: it holds none."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        return token.strip().encode("utf-8", "surrogateescape")  # aiohttp's way to keep what is not UTF-8
    except UnicodeEncodeError:
        return None


def basic(authorization: str) -> tuple[str, bytes] | None:
    """User and password of an `Authorization` header (RFC 7617); None: it holds none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode("utf-8"), password) if colon else None
    except (binascii.Error, ValueError):
        return None
