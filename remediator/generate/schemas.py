"""`generate schema`: JSON Schemas for editors, from the pydantic models that read the files.

`rules/schema.json` is the first of them, compared by a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from remediator.access.credentials import CredentialsDocument
from remediator.actions import ACTIONS
from remediator.model import Json
from remediator.rules.schema import Document
from remediator.settings import Settings

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def rules_schema() -> Json:
    """Of a rule file."""
    schema = Document.model_json_schema(by_alias=True)
    _named(schema, "remediator rules")
    row = schema["$defs"]["Row"]
    row["properties"]["with"] = {"type": "object", "description": row["properties"]["with"]["description"]}
    row["allOf"] = [_parameters_of(name, schema) for name in ACTIONS]
    return schema


def settings_schema() -> Json:
    """Of the settings file; a list may also be one text with commas, as in the environment."""
    schema = Settings.model_json_schema()
    properties = schema["properties"]
    for name, field in properties.items():
        if field.get("type") == "array":
            kept = {key: field.pop(key) for key in ("type", "items") if key in field}
            field["anyOf"] = [kept, {"type": "string"}]
        field.setdefault("title", name)
    return _named(schema, "remediator settings")


def credentials_schema() -> Json:
    """Of the credentials file."""
    schema = CredentialsDocument.model_json_schema(by_alias=True)
    row = schema["$defs"]["CredentialRow"]["properties"]
    row["token_sha256"] = {
        "type": "array",
        "items": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"},
        "minItems": 1,
        "maxItems": 2,
        "description": row["token_sha256"]["description"],
    }
    return _named(schema, "remediator credentials")


SCHEMAS: Mapping[str, Callable[[], Json]] = {
    "rules": rules_schema,
    "settings": settings_schema,
    "credentials": credentials_schema,
}


def _named(schema: Json, title: str) -> Json:
    schema["$schema"] = DRAFT
    schema["title"] = title
    return schema


def _parameters_of(action: str, schema: Json) -> Json:
    """`with` as the action's own model has it, when `do` names that action."""
    parameters = ACTIONS[action].parameters.model_json_schema(by_alias=True)
    schema["$defs"] |= parameters.pop("$defs", {})
    condition = {"properties": {"do": {"const": action}}, "required": ["do"]}
    return {"if": condition, "then": {"properties": {"with": parameters | {"title": f"Parameters of {action}"}}}}
