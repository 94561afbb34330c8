"""Names in a rule that must be in a table: refused with the nearest known name. Used by the schema's fields."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

UNKNOWN_NAME = "unknown_name"
"""Error type whose context holds `known`, the names that would have been right, separated by spaces."""


class known:
    """Annotation of a `str` field: one of `names`, which are `what` ("action", "guard", "kind", ...)."""

    def __init__(self, what: str, names: Iterable[str]) -> None:
        self._what = what
        self._names = tuple(names)

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "enum": list(self._names)}

    def _check(self, name: str) -> str:
        return require_known(self._what, name, self._names)


def require_known(what: str, name: str, names: Iterable[str]) -> str:
    """`name` if it is one of `names`. Raises PydanticCustomError of type `UNKNOWN_NAME`."""
    allowed = tuple(names)
    if name not in allowed:
        context = {"what": what, "name": name, "known": " ".join(allowed)}
        raise PydanticCustomError(UNKNOWN_NAME, "unknown {what} '{name}'", context)
    return name
