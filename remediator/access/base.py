"""What is known of who asks: a credential, and the principal that has proved one.

The values of this folder. Files of the operator make credentials (`credentials.py`, `web_config.py`), a request's
headers and certificate make a principal (`authenticate.py`); the receiver and the API ask it what it may.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web

from remediator.authority import UNLIMITED, Authority


class May(StrEnum):
    """What a credential is good for."""

    ALERT = "alert"
    """Post alerts."""
    OPERATE = "operate"
    """Pause, reset, approve, deny, reload; and read, since nobody should do these blindly."""
    READ = "read"
    """Ask for anything. Reading is not bound to namespaces."""


EVERYTHING = frozenset(May)


@dataclass(frozen=True, slots=True)
class Credential:
    """What one credential may, and what it may speak of. `name` is what records and metrics call it."""

    name: str
    may: frozenset[May] = EVERYTHING
    authority: Authority = UNLIMITED

    def allows(self, need: May) -> bool:
        return need in self.may or (need is May.READ and May.OPERATE in self.may)


class Proof(StrEnum):
    """How a principal was proved."""

    NONE = "none"
    TOKEN = "token"
    PASSWORD = "password"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `name` is what the proof says: the user, a name of the certificate, or the token's credential."""

    name: str
    proof: Proof
    credential: Credential

    @property
    def is_personal(self) -> bool:
        """Whether the proof is of somebody: many may hold a token, and it says nothing of who uses it."""
        return self.proof in (Proof.PASSWORD, Proof.CERTIFICATE)

    def signs(self, said: str) -> str:
        """Who it was, for records, when the request says `said`: what was proved, and what was only said beside it."""
        if self.is_personal:
            return self.name
        return f"{said} (credential {self.credential.name})" if self.credential.name else said


PRINCIPAL = web.RequestKey("principal", Principal)
"""Under this key a request carries who sent it, once it is let in."""

ANYONE = Principal("", Proof.NONE, Credential(""))
"""Where nothing is configured everyone may everything, as on a laptop."""
