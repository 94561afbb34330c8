"""Label and field selectors of a LIST, with the API server's syntax.

Source: kubernetes/apimachinery `pkg/labels/selector.go`, `pkg/fields/selector.go`. Called by `apiserver.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from remediator.model import Json
from remediator.simulate.answers import bad_request

LabelTest = Callable[[Mapping[str, str]], bool]

_TOKEN = re.compile(r"\s*(==|!=|=|!|\(|\)|,|[^\s=!(),]+)")

# Path inside the object, for the fields that the real server can select by. What an object lacks is "".
FIELDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "": {"metadata.name": ("metadata", "name"), "metadata.namespace": ("metadata", "namespace")},
    "pods": {
        "spec.nodeName": ("spec", "nodeName"),
        "spec.restartPolicy": ("spec", "restartPolicy"),
        "spec.serviceAccountName": ("spec", "serviceAccountName"),
        "status.phase": ("status", "phase"),
        "status.podIP": ("status", "podIP"),
    },
    "events": {
        **{
            f"involvedObject.{key}": ("involvedObject", key)
            for key in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        },
        "reason": ("reason",),
        "type": ("type",),
        "source": ("source", "component"),
        "reportingComponent": ("reportingComponent",),
    },
}


def label_tests(text: str) -> list[LabelTest]:
    """One test for each requirement; all must hold. Raises Refused (400) on a syntax error."""
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != re.sub(r"\s+", "", text):
        _unparsable(text)
    tests: list[LabelTest] = []
    position = 0
    while position < len(tokens):
        test, position = _requirement(tokens, position, text)
        tests.append(test)
        if position < len(tokens):
            if tokens[position] != "," or position + 1 == len(tokens):
                _unparsable(text)
            position += 1
    return tests


def _requirement(tokens: list[str], position: int, text: str) -> tuple[LabelTest, int]:
    if tokens[position] == "!":
        if position + 1 >= len(tokens) or not _is_word(tokens[position + 1]):
            _unparsable(text)
        return _absent(tokens[position + 1]), position + 2
    key = tokens[position]
    if not _is_word(key):
        _unparsable(text)
    operator = tokens[position + 1] if position + 1 < len(tokens) else ","
    match operator:
        case ",":
            return _present(key), position + 1
        case "=" | "==" | "!=":
            value = tokens[position + 2] if position + 2 < len(tokens) and _is_word(tokens[position + 2]) else ""
            end = position + (3 if value else 2)
            return (_outside if operator == "!=" else _within)(key, frozenset({value})), end
        case "in" | "notin":
            values, end = _values(tokens, position + 2, text)
            return (_outside if operator == "notin" else _within)(key, values), end
        case _:
            _unparsable(text)


def _values(tokens: list[str], position: int, text: str) -> tuple[frozenset[str], int]:
    try:
        end = tokens.index(")", position)
    except ValueError:
        _unparsable(text)
    inner = tokens[position + 1 : end]
    if tokens[position] != "(" or any(not _is_word(token) and token != "," for token in inner):
        _unparsable(text)
    return frozenset("".join(inner).split(",")), end + 1


def _is_word(token: str) -> bool:
    return token not in ("=", "==", "!=", "!", "(", ")", ",")


def _unparsable(text: str) -> NoReturn:
    raise bad_request(f'unable to parse requirement: found an unexpected token in "{text}"')


def _present(key: str) -> LabelTest:
    return lambda labels: key in labels


def _absent(key: str) -> LabelTest:
    return lambda labels: key not in labels


def _within(key: str, values: frozenset[str]) -> LabelTest:
    return lambda labels: key in labels and labels[key] in values


def _outside(key: str, values: frozenset[str]) -> LabelTest:
    # An object without the label passes != and notin.
    return lambda labels: labels.get(key) not in values


def matches_labels(selector: Json, labels: Mapping[str, str]) -> bool:
    """Whether a `metav1.LabelSelector` of a spec selects these labels. An empty selector selects all."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], frozenset(expression.get("values") or ())
        held = {
            "In": key in labels and labels[key] in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not held[expression["operator"]]:
            return False
    return True


def field_test(text: str, plural: str) -> Callable[[Json], bool]:
    """A test of the whole object. Raises Refused (400) for a field that this resource does not offer."""
    known = {**FIELDS[""], **FIELDS.get(plural, {})}
    terms = list(_field_terms(text))
    for name, _, _ in terms:
        if name not in known:
            raise bad_request(f"field label not supported: {name}")

    def test(item: Json) -> bool:
        return all((_at(item, known[name]) == value) == wanted for name, value, wanted in terms)

    return test


def _field_terms(text: str) -> Iterator[tuple[str, str, bool]]:
    for term in filter(None, text.split(",")):
        for operator, wanted in (("!=", False), ("==", True), ("=", True)):
            name, found, value = term.partition(operator)
            if found:
                yield name.strip(), value.strip(), wanted
                break
        else:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")


def _at(item: Json, path: tuple[str, ...]) -> str:
    for key in path:
        item = (item or {}).get(key)
    return "" if item is None else str(item)
