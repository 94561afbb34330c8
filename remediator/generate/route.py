"""`generate alertmanager-route`: the route by which the alerts of a rule table, and the watchdog, reach us, in three
shapes.

Source: prometheus/alertmanager `docs/configuration.md`, `dispatch/route.go`; prometheus-operator
`Documentation/api-reference/v1alpha1.md` (AlertmanagerConfig).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import SingleQuotedScalarString

from remediator.errors import ConfigError, cut
from remediator.generate.routing import covered
from remediator.model import Json
from remediator.rules.matcher import Matcher, Op
from remediator.rules.ruleset import RuleSet
from remediator.units import format_duration
from remediator.watchdog import Awaited

ONE_ALERT_A_BODY = ["..."]
TIMES = {"group_wait": "10s", "group_interval": "30s", "repeat_interval": "1h"}
"""An alert is told at once, and a firing one again each hour. The interval is also the deadline of a delivery."""

_DNS_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class Shape(StrEnum):
    BESIDE = "beside"
    CHILD = "child"
    OPERATOR = "alertmanagerconfig"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the route is to look like. `people` is the receiver that goes on hearing everything.

    `token_file` is a path where Alertmanager runs; `token_secret` a NAME/KEY beside the AlertmanagerConfig. `watchdog`
    None: none is awaited.
    """

    url: str
    receiver: str = "remediator"
    people: str = "people"
    namespace: str = "monitoring"
    token_file: str | None = None
    token_secret: str | None = None
    watchdog: Awaited | None = None


@dataclass(frozen=True, slots=True)
class _Way:
    """One route to us. `suffix` is of the operator's object that holds it."""

    matchers: tuple[Matcher, ...]
    times: Mapping[str, str]
    suffix: str = ""


def beside(table: RuleSet, wanted: Wanted) -> Json:
    """A whole configuration: our routes, then people, who hear everything as before."""
    return {
        "route": {
            "receiver": wanted.people,
            "group_by": ["namespace", "alertname"],
            # `continue` passes an alert on to the next sibling and never to the root's receiver.
            "routes": [*_routes(table, wanted), {"receiver": wanted.people}],
        },
        "receivers": [{"name": wanted.people}, _receiver(wanted)],
    }


def child(table: RuleSet, wanted: Wanted) -> Json:
    """The parts to paste into a tree that exists: `first` and `last` of its routes, and the receiver."""
    return {
        "first": _routes(table, wanted),
        "last": [{"receiver": wanted.people, "matchers": _texts(one)} for one in _ways(table, wanted)],
        "receivers": [_receiver(wanted)],
    }


def operator(table: RuleSet, wanted: Wanted) -> Sequence[Json]:
    """AlertmanagerConfig objects, one for each route: the operator makes of each a first-level route of its own."""
    if not _DNS_NAME.fullmatch(wanted.receiver):
        raise ConfigError(
            f"receiver {wanted.receiver!r} names the object too: expected lower-case letters, digits, - ."
        )
    return [
        {
            "apiVersion": "monitoring.coreos.com/v1alpha1",
            "kind": "AlertmanagerConfig",
            "metadata": {
                "name": f"{wanted.receiver}{one.suffix}",
                "namespace": wanted.namespace,
                "labels": {"app.kubernetes.io/name": "remediator", "app.kubernetes.io/part-of": "remediator"},
            },
            "spec": {
                "route": {
                    "receiver": wanted.receiver,
                    "matchers": [
                        {"name": each.name, "value": each.value, "matchType": each.op.value} for each in one.matchers
                    ],
                    "continue": True,
                    "groupBy": ONE_ALERT_A_BODY,
                    **{_camel(name): value for name, value in one.times.items()},
                },
                "receivers": [{"name": wanted.receiver, "webhookConfigs": [_operator_webhook(wanted)]}],
            },
        }
        for one in _ways(table, wanted)
    ]


def into(text: str, table: RuleSet, wanted: Wanted, *, file: str) -> str:
    """An existing alertmanager.yml with our routes in it, its comments kept. Raises ConfigError."""
    yaml = _yaml()
    try:
        document = yaml.load(text)
    except YAMLError as error:
        raise ConfigError(f"{file}: {cut(str(error))}") from error
    root = document.get("route") if isinstance(document, CommentedMap) else None
    if not isinstance(root, CommentedMap) or not isinstance(root.get("receiver"), str):
        raise ConfigError(f"{file}: no `route` with a receiver in it; expected an Alertmanager configuration")
    receivers, routes = document.get("receivers"), root.get("routes")
    if not isinstance(receivers, CommentedSeq) or not isinstance(routes, CommentedSeq | None):
        raise ConfigError(f"{file}: `receivers` and `routes` must be lists")
    if any(isinstance(one, CommentedMap) and one.get("name") == wanted.receiver for one in receivers):
        raise ConfigError(f"{file}: there is a receiver {wanted.receiver!r} already; take it out, or name another")
    parts = child(table, Wanted(**{**_fields(wanted), "people": root["receiver"]}))
    if routes is None:
        root["routes"] = routes = CommentedSeq()
    for number, one in enumerate(parts["first"]):
        routes.insert(number, _styled(one))
    routes.extend(_styled(one) for one in parts["last"])
    receivers.append(_styled(parts["receivers"][0]))
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def read(file: Path) -> str:
    """Raises ConfigError."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {cut(getattr(error, 'strerror', None) or str(error))}") from error


def as_text(shape: Shape, table: RuleSet, wanted: Wanted) -> str:
    """The shape as YAML, with what people get wrong told in comments."""
    if shape is Shape.OPERATOR:
        documents = [_dumped(one) for one in operator(table, wanted)]
        return "\n".join([*_lines(_ABOUT_OPERATOR), *_about(table, wanted), "---\n".join(documents)])
    if shape is Shape.BESIDE:
        return "\n".join([*_lines(_ABOUT_BESIDE), *_about(table, wanted), _dumped(beside(table, wanted))])
    parts = child(table, wanted)
    return "\n".join(
        [
            *_lines(_ABOUT_CHILD),
            *_about(table, wanted),
            "# 1. first in the list `routes` of your `route`:",
            _dumped({"routes": parts["first"]}),
            f"# 2. last in the same list; {wanted.people} stands for the receiver of your root:",
            _commented(_dumped({"routes": parts["last"]})),
            "# 3. in your list of receivers:",
            _dumped({"receivers": parts["receivers"]}),
        ]
    )


_ABOUT_BESIDE = """
A configuration of Alertmanager in which remediator hears its alerts and people hear everything.
Give the receiver of people what they are told by. To give remediator a head start, set a longer `group_wait` at the
root: what is mended within it never pages. Check with: amtool check-config FILE
"""
_ABOUT_CHILD = """
The parts for a configuration of Alertmanager that exists; `--into alertmanager.yml` puts them in place and prints the
whole. Check with: amtool check-config FILE
`continue: true` passes an alert on to the next siblings, and never to the root's receiver: so the last routes name that
once more, for what nothing between them takes. An alert that a route of yours with `continue` takes reaches it too.
"""
_ABOUT_OPERATOR = """
For the Prometheus Operator: kubectl apply -f FILE
THE TRAP: by default the operator adds `namespace="<namespace of this object>"` to every route that comes from an
AlertmanagerConfig. Then only alerts of that one namespace arrive, and alerts without a namespace (nodes, the watchdog)
never do, and nothing says so. On the Alertmanager object set
  alertmanagerConfigMatcherStrategy: {type: None}
or, where each team is to route its own alerts only, keep it and apply one such object in each namespace, with a token
of its own (`remediator generate token TEAM --namespace TEAM`).
The Alertmanager also has to select the object: `alertmanagerConfigSelector`, `alertmanagerConfigNamespaceSelector`.
The operator sets `continue: true` and puts these routes first. An alert that a first-level route takes does not reach
the root's receiver any more: people need a first-level route of their own. `remediator doctor` looks at the outcome.
"""


def _about(table: RuleSet, wanted: Wanted) -> Iterator[str]:
    routes = covered(table)
    open_ended = [rule for one in routes if one.names is None for rule in one.rules]
    yield "#"
    count = len(table.rules)
    yield f"# Made from {count} rules (digest {table.digest[:12]}) by `remediator generate alertmanager-route`."
    if open_ended:
        yield f"# {', '.join(open_ended)}: no alertname listed, so an alert may come by two routes; it counts once."
    if wanted.watchdog is not None:
        name = wanted.watchdog.name
        yield f"# {name} always fires, begins no incident and proves the way to us: what watched it before still does."


def _lines(text: str) -> Iterator[str]:
    for line in text.strip("\n").splitlines():
        yield f"# {line}"


def _commented(text: str) -> str:
    return "\n".join(f"# {line}" for line in text.rstrip("\n").splitlines()) + "\n"


def _routes(table: RuleSet, wanted: Wanted) -> list[Json]:
    return [
        {
            "receiver": wanted.receiver,
            "matchers": _texts(one),
            "continue": True,
            "group_by": ONE_ALERT_A_BODY,
            **one.times,
        }
        for one in _ways(table, wanted)
    ]


def _ways(table: RuleSet, wanted: Wanted) -> Sequence[_Way]:
    """Those of the rules, and the watchdog's, which comes far more often."""
    found = [
        _Way(one.matchers, TIMES, "" if number == 1 else f"-{number}")
        for number, one in enumerate(covered(table), start=1)
    ]
    if wanted.watchdog is None:
        return found
    turns = wanted.watchdog.patience.fitting()
    group, repeat = format_duration(turns.group), format_duration(turns.repeat)
    times = {"group_wait": "0s", "group_interval": group, "repeat_interval": repeat}
    return [*found, _Way(wanted.watchdog.matchers, times, "-watchdog")]


def _texts(way: _Way) -> list[str]:
    return [str(each) for each in way.matchers]


def _receiver(wanted: Wanted) -> Json:
    http: dict[str, Json] = {"follow_redirects": False}  # a redirected POST arrives without its body
    if wanted.token_file is not None:
        http = {"authorization": {"credentials_file": wanted.token_file}, **http}
    webhook = {"url": wanted.url, "send_resolved": True, "max_alerts": 0, "http_config": http}
    return {"name": wanted.receiver, "webhook_configs": [webhook]}


def _operator_webhook(wanted: Wanted) -> Json:
    http: dict[str, Json] = {"followRedirects": False}
    if wanted.token_secret is not None:
        name, _, key = wanted.token_secret.partition("/")
        http = {"authorization": {"type": "Bearer", "credentials": {"name": name, "key": key or "token"}}, **http}
    return {"url": wanted.url, "sendResolved": True, "maxAlerts": 0, "httpConfig": http}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _fields(wanted: Wanted) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in Wanted.__dataclass_fields__}


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 10_000  # a folded matcher is another text
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _dumped(value: Json) -> str:
    out = io.StringIO()
    _yaml().dump(_styled(value), out)
    return out.getvalue()


def _styled(value: Json) -> Json:
    """As people write it: matchers and `...` in quotes, the list of labels on one line."""
    match value:
        case dict():
            return CommentedMap(
                (key, _flow(item) if key in ("group_by", "groupBy") else _styled(item)) for key, item in value.items()
            )
        case list() | tuple():
            return CommentedSeq(_styled(item) for item in value)
        case str() if any(op.value in value for op in Op) or value == "...":
            return SingleQuotedScalarString(value)
        case _:
            return value


def _flow(labels: Sequence[str]) -> CommentedSeq:
    found = CommentedSeq(_styled(label) for label in labels)
    found.fa.set_flow_style()
    return found
