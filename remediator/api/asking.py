"""What people ask for over HTTP: a JSON body that says who and why, signed with who was proved to send it.

The handlers of this package that change something read it with `read_asked`. What it is about must lie inside of what
the sender's credential may speak of; a request that does not say is about everything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from remediator.api.answers import problem
from remediator.api.entrance import principal_of
from remediator.redact import redact

Concerns = tuple[Collection[str], str]
"""Namespaces and rule that something is about; none and empty: all of them."""

EVERYTHING: Concerns = ((), "")


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("the character NUL cannot be stored")
    return text


def _said(text: str) -> str:
    """What people paste holds secrets, too."""
    return redact(_storable(text))


Comment = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S"), AfterValidator(_said)]
By = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(_said)]
Subject = Annotated[str, Field(min_length=1, max_length=600, pattern=r"\S"), AfterValidator(_storable)]


class Asked(BaseModel):
    """What every request holds."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    comment: Comment = Field(description="Why. Required.")
    by: By = Field(default="", description="Who. Not heeded where the credential is a person's own; else required.")

    @property
    def concerns(self) -> Concerns:
        """What it is about, as far as it says so itself."""
        return EVERYTHING


T = TypeVar("T", bound=Asked)


async def read_asked(
    request: web.Request, model: type[T], *, concerns: Callable[[], Awaitable[Concerns | None]] | None = None
) -> T | web.Response:
    """What is asked, signed with who asks it; or the answer to who may not ask that, or does not say it clearly.

    `concerns` looks up what it is about where only the store knows; it gives None for what is not there, of which the
    handler says so.
    """
    if request.content_type != "application/json":
        return problem(415, "Content-Type must be application/json")
    try:
        wanted = model.model_validate_json(await request.read())
    except TimeoutError as error:  # the server's watchdog set it
        return problem(503, str(error))
    except (web.RequestPayloadError, ConnectionError):
        return problem(400, "the body broke off")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return problem(400, ": ".join([*map(str, first["loc"]), first["msg"].removeprefix("Value error, ")]))
    principal = principal_of(request)
    if not wanted.by and not principal.is_personal:
        return problem(400, "by: Field required")
    credential = principal.credential
    if credential.authority.is_limited:
        about = wanted.concerns if concerns is None else await concerns()
        if about is not None and (outside := credential.authority.outside(*about)):
            return problem(403, f"credential {credential.name} may not speak of {outside}")
    return wanted.model_copy(update={"by": principal.signs(wanted.by)})
