"""What a change was, as people read it: YAML, and a unified diff of before and after. Pure."""

from __future__ import annotations

import difflib

import yaml

from remediator.model import Json

CONTEXT = 3


def as_yaml(value: Json) -> str:
    """Block YAML in ASCII, keys in their order: what is not ASCII is written by its number. Ends with a line break."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=100)
    return text.removesuffix("...\n")


def diff(before: Json, after: Json, *, name: str) -> tuple[str, ...]:
    """The lines of a unified diff of both as YAML; none where nothing differs. Both have their keys in order."""
    old, new = (as_yaml(value).removesuffix("\n").split("\n") for value in (before, after))
    found = difflib.unified_diff(old, new, f"before/{name}", f"after/{name}", lineterm="", n=CONTEXT)
    return tuple(found)


class _Dumper(yaml.SafeDumper):
    """Lists stand further in than their key, as in every manifest of kubectl's; nothing is an alias."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True
