"""`queries`: the rule's own PromQL, with the alert's and the target's names filled in. One number each, or unknown.

The names come from outside, so that a placeholder is never pasted: inside a string of the expression it becomes part
of that string, escaped for the quotes that it stands in and, behind `=~` and `!~`, for the regular expression too;
outside of strings it becomes a string of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from remediator.diagnose.base import Scene, attempt, words
from remediator.kube.permissions import Permission
from remediator.model import Finding
from remediator.prometheus.base import Sample, label_value, regex_literal
from remediator.together import together

MAX_QUERIES = 10

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?P<match>=~|!~)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |\$(?P<name>namespace|workload|kind|pod|container)\b""",
    re.VERBOSE | re.DOTALL,
)
_PLACEHOLDER = re.compile(r"\$(namespace|workload|kind|pod|container)\b")
_ANY_PLACEHOLDER = re.compile(r"\$([A-Za-z_]\w*)")


class Queries:
    name = "queries"
    permissions: tuple[Permission, ...] = ()

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        asked = list(scene.queries.items())[:MAX_QUERIES]
        return await together(*(self._ask(scene, name, expression) for name, expression in asked))

    async def _ask(self, scene: Scene, name: str, expression: str) -> Finding:
        if scene.metrics is None:
            return _finding(name, None, "no Prometheus is configured")
        try:
            filled = fill_in(expression, values_of(scene))
        except LookupError as error:
            return _finding(name, None, str(error.args[0]))
        samples = await attempt(self.name, f"query {name}", scene.metrics.query(filled))
        if isinstance(samples, Finding):
            return _finding(name, None, samples.summary)
        return _of_samples(name, samples)


def unknown_placeholder(expression: str) -> str | None:
    """The first `$name` that nothing fills in, for whoever loads the expression; None: there is none."""
    found = (match for match in _ANY_PLACEHOLDER.finditer(expression) if not _PLACEHOLDER.match(match[0]))
    return next((match[0] for match in found), None)


def values_of(scene: Scene) -> Mapping[str, str]:
    """Placeholder -> value; only those that there is a value for."""
    values = {
        "namespace": scene.target.namespace,
        "workload": scene.target.name,
        "kind": scene.target.kind,
        "pod": scene.alert.labels.get("pod", ""),
        "container": scene.alert.labels.get("container", ""),
    }
    return {name: value for name, value in values.items() if value}


def fill_in(expression: str, values: Mapping[str, str]) -> str:
    """The expression with its placeholders filled in. Raises LookupError, with words, where a value is missing."""
    out, position, is_regex = [], 0, False
    for token in _TOKEN.finditer(expression):
        between = expression[position : token.start()]
        is_regex = is_regex and not between.strip()
        out.append(between)
        position = token.end()
        text = token[0]
        if token["string"]:
            text = _in_string(text, values, is_regex=is_regex)
        elif token["name"]:
            text = label_value(_value(token["name"], values, is_regex=is_regex))
        is_regex = token["match"] is not None or (is_regex and token["comment"] is not None)
        out.append(text)
    return "".join([*out, expression[position:]])


def _in_string(string: str, values: Mapping[str, str], *, is_regex: bool) -> str:
    quote = string[0]

    def filled(found: re.Match[str]) -> str:
        value = _value(found[1], values, is_regex=is_regex)
        if quote == "`":
            if "`" in value:
                raise LookupError(f"the value of ${found[1]} cannot stand between backquotes")
            return value
        escaped = label_value(value)[1:-1]
        # Of the two quotes only the one that ends the string may be escaped (prometheus `util/strutil/quote.go`).
        return escaped if quote == '"' else escaped.replace('\\"', '"').replace("'", "\\'")

    return _PLACEHOLDER.sub(filled, string)


def _value(name: str, values: Mapping[str, str], *, is_regex: bool) -> str:
    if name not in values:
        raise LookupError(f"the alert and its target give no ${name}")
    return regex_literal(values[name]) if is_regex else values[name]


def _of_samples(name: str, samples: Sequence[Sample]) -> Finding:
    if len(samples) != 1:
        return _finding(name, None, f"{len(samples)} series instead of one" if samples else "no series")
    value = samples[0].value
    if not math.isfinite(value):  # a division by zero; JSON has no word for it
        return _finding(name, None, f"the result is {value}")
    return _finding(name, value, f"{value:g}")


def _finding(name: str, value: float | None, text: str) -> Finding:
    return Finding("query", f"query {name}: {words(text)}", {"name": name, "value": value})
