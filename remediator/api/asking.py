"""What people ask for over HTTP: a signed JSON body that says who and why.

The handlers of this package that change something read it with `read_asked`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from aiohttp import hdrs, web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from remediator.api.answers import problem, unauthorized


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("the character NUL cannot be stored")
    return text


Comment = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S"), AfterValidator(_storable)]
By = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(_storable)]
Subject = Annotated[str, Field(min_length=1, max_length=600, pattern=r"\S"), AfterValidator(_storable)]


class Asked(BaseModel):
    """What every request holds."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    comment: Comment = Field(description="Why. Required.")
    by: By = Field(description="Who.")


T = TypeVar("T", bound=Asked)


async def read_asked(
    request: web.Request, model: type[T], *, is_allowed: Callable[[str | None], bool]
) -> T | web.Response:
    """What is asked, or the answer to a request that may not ask or does not say it clearly."""
    if not is_allowed(request.headers.get(hdrs.AUTHORIZATION)):
        return unauthorized()
    if request.content_type != "application/json":
        return problem(415, "Content-Type must be application/json")
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return problem(400, ": ".join([*(str(part) for part in first["loc"]), first["msg"]]))
