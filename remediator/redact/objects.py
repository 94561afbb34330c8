"""Kubernetes objects without the secrets that people write into them. Called where an object goes into a record.

Kept: names, references (`valueFrom`), images, everything that says what runs. Masked: literal values of environment
variables and probe headers (but for what cannot be a secret), arguments after the flag of a secret, whatever `redact()`
finds in a text. Left out: the fields that hold the whole object once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from remediator.redact.forms import MASK
from remediator.redact.settings import is_secret_name
from remediator.redact.text import only_secrets, redact, with_secrets_only

MAX_REMEMBERED = 512
"""Characters of the longest text that is remembered."""

CHANGED = f"{MASK} (changed)"
"""A masked value that is another one afterwards: what people need of a difference."""

_COPIES = ("kubectl.kubernetes.io/last-applied-configuration", "managedFields")
_LITERALS = ("env", "httpHeaders")
_WORDS = ("args", "command")

_NO_SECRET = re.compile(
    r"(?i)|\d{1,5}(?:\.\d{1,3})?(?:ms|s|m|h|d|[kmg]i?b?|%)?|true|false|yes|no|on|off|none|debug|info|warn(?:ing)?|error|trace"
    r"|fatal|json|text|logfmt|dev(?:elopment)?|stag(?:e|ing)|prod(?:uction)?|test(?:ing)?|local"
)
"""Literal values that may be shown: empty, a small number with its unit, a switch, a log level, a stage."""


_OBJECT_NAME = re.compile(r"(?!xox)[a-z][a-z0-9]{0,30}(?:-[a-z0-9]{1,12}){0,8}")
"""Names of workloads, pods and namespaces. Slack's tokens (`xoxb-...`) are the one form of secret that looks so."""


class Redactor:
    """Looks through each text once, however often it comes: the plan of one remediation stands in some ten records.

    It remembers all texts that it saw, secrets among them: to be let go with what they are about.
    """

    def __init__(self) -> None:
        self._text = cache(_text)

    def object(self, value: Any) -> Any:
        """A JSON value as it may be recorded."""
        return _walk(value, "", self._text)

    def pair(self, before: Any, after: Any) -> tuple[Any, Any]:
        """Both, and in the second a mark at each masked value that differs."""
        masked_before, masked_after = self.object(before), self.object(after)
        return masked_before, _marked(before, after, masked_before, masked_after)


def redact_object(value: Any) -> Any:
    """As `Redactor.object`, once."""
    return _walk(value, "", _text)


def redact_pair(before: Any, after: Any) -> tuple[Any, Any]:
    """As `Redactor.pair`, once."""
    return Redactor().pair(before, after)


class Remembering:
    """`redact_values` and `redact` of single texts for the hot path, where the same ones come again and again.

    Remembers up to 4096 texts and 1024 sets of names, some 10 MB at most: long ones are not remembered, since who sends
    them may send others for ever. A text that was seen costs a look-up instead of some 20 us; one that looks like the
    name of an object (no mark of any form fits into it) costs a match.
    """

    def __init__(self) -> None:
        self._known_text = lru_cache(maxsize=4096)(_only_secrets)
        self._known_names = lru_cache(maxsize=1024)(_secret_names)

    def text(self, text: str) -> str:
        return self._known_text(text) if len(text) <= MAX_REMEMBERED else _only_secrets(text)

    def values(self, values: Mapping[str, str]) -> dict[str, str]:
        """As `redact_values`."""
        text = self.text
        told = {name: text(value) for name, value in values.items()}
        secret_names = self._known_names if sum(map(len, values)) <= 2 * MAX_REMEMBERED else _secret_names
        for name in secret_names(tuple(values)):
            if _is_unmasked(values[name]):
                told[name] = MASK
        return told


def _only_secrets(text: str) -> str:
    return text if _OBJECT_NAME.fullmatch(text) else only_secrets(text)


def _secret_names(names: tuple[str, ...]) -> Sequence[str]:
    return [name for name in names if name != "secret" and is_secret_name(name)]


def redact_values(values: Mapping[str, str]) -> dict[str, str]:
    """Labels or annotations. The name `secret` alone is an object's, as kube-state-metrics labels it."""
    return _values(values, redact)


def _values(values: Mapping[str, str], text: Callable[[str], str]) -> dict[str, str]:
    return {
        name: MASK
        if _is_unmasked(value) and name != "secret" and is_secret_name(name)
        else with_secrets_only(value, text(value))
        for name, value in values.items()
    }


def _is_unmasked(value: str) -> bool:
    return bool(value) and not value.startswith(MASK)


def _text(text: str) -> str:
    """Half of all texts of an object are names."""
    return text if _OBJECT_NAME.fullmatch(text) else redact(text)


def _walk(value: Any, name: str, text: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict | Mapping):
        if name == "annotations":
            return _values({key: item for key, item in value.items() if key not in _COPIES}, text)
        return {key: _walk(item, key, text) for key, item in value.items() if key not in _COPIES}
    if isinstance(value, list | Sequence):
        if name in _WORDS and all(isinstance(word, str) for word in value):
            return _arguments(value, text)
        items = [_walk(item, "", text) for item in value]
        return [_literal(item) for item in items] if name in _LITERALS else items
    return value


def _literal(item: Any) -> Any:
    """`{"name": ..., "value": ...}` with the value masked."""
    if not isinstance(item, Mapping) or not isinstance(value := item.get("value"), str):
        return item
    is_shown = _NO_SECRET.fullmatch(value) is not None and not is_secret_name(str(item.get("name", "")))
    return {**item, "value": MASK if _is_unmasked(value) and not is_shown else value}


def _arguments(words: Sequence[str], text: Callable[[str], str]) -> list[str]:
    """A command line in words: what follows the flag of a secret is masked whole, the others as texts."""
    shown: list[str] = []
    for number, word in enumerate(words):
        flag = words[number - 1] if number else ""
        is_value = flag.startswith("-") and "=" not in flag and is_secret_name(flag) and not word.startswith("-")
        shown.append(MASK if is_value and _is_unmasked(word) else text(word))
    return shown


def _marked(before: Any, after: Any, masked_before: Any, masked: Any) -> Any:
    if isinstance(masked, str):
        return CHANGED if MASK in masked and masked == masked_before and before != after else masked
    if isinstance(masked, dict) and all(isinstance(one, Mapping) for one in (before, after, masked_before)):
        return {
            key: _marked(before.get(key), after.get(key), masked_before.get(key), item) for key, item in masked.items()
        }
    if isinstance(masked, list) and all(isinstance(one, Sequence) for one in (before, after, masked_before)):
        places = {_name(item, number): number for number, item in enumerate(masked_before)}
        return [
            _marked(before[place], after[number], masked_before[place], item)
            if (place := places.get(_name(item, number))) is not None
            else item
            for number, item in enumerate(masked)
        ]
    return masked


def _name(item: Any, number: int) -> Any:
    """What an element of a list is known by: its name, else its place."""
    return item["name"] if isinstance(item, Mapping) and "name" in item else number
