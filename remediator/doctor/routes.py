"""Where an Alertmanager sends an alert: its routing tree walked as it walks it itself. Pure.

Source: prometheus/alertmanager `dispatch/route.go` (`Route.Match`), `config/config.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from remediator.model import Json
from remediator.rules.matcher import Matcher, Op, matcher, parse_matchers

HIDDEN = "<secret>"


@dataclass(frozen=True, slots=True)
class Route:
    receiver: str
    matchers: tuple[Matcher, ...]
    goes_on: bool
    routes: tuple[Route, ...]


def tree_of(configuration: Json) -> Route:
    """Raises ValueError, LookupError, TypeError for what is no configuration."""
    return _route(configuration["route"], "")


def receivers_of(route: Route, labels: Mapping[str, str]) -> Sequence[str]:
    """The receivers that are told of such an alert; none: the route does not match it."""
    if not all(each.matches(labels) for each in route.matchers):
        return []
    told: list[str] = []
    for child in route.routes:
        found = receivers_of(child, labels)
        told += found
        if found and not child.goes_on:
            break
    return told or [route.receiver]


def ours(configuration: Json, *, paths: Sequence[str], named: str | None = None) -> Mapping[str, Sequence[Json]]:
    """Receivers that post to us, with their webhooks: the one of that name; else by address, or, where Alertmanager
    hides that, by `remediator` in the name. The operator puts `namespace/object/` before a name."""
    found: dict[str, Sequence[Json]] = {}
    for receiver in configuration.get("receivers") or ():
        name, hooks = str(receiver.get("name", "")), receiver.get("webhook_configs") or ()
        is_named = name == named if named is not None else "remediator" in name.rpartition("/")[2].lower()
        matching = [
            hook for hook in hooks if _is_ours(str(hook.get("url") or HIDDEN), paths, is_named, named is not None)
        ]
        if matching:
            found[name] = matching
    return found


def _is_ours(url: str, paths: Sequence[str], is_named: bool, is_asked: bool) -> bool:
    if is_asked or url == HIDDEN:
        return is_named
    return urlsplit(url).path.rstrip("/") in paths and (is_named or "remediator" in url)


def _route(written: Json, parent: str) -> Route:
    receiver = str(written.get("receiver") or parent)
    found: list[Matcher] = []
    for text in written.get("matchers") or ():
        found += parse_matchers(str(text))
    found += [matcher(str(name), Op.EQUAL, str(value)) for name, value in (written.get("match") or {}).items()]
    found += [matcher(str(name), Op.REGEX, str(value)) for name, value in (written.get("match_re") or {}).items()]
    children = tuple(_route(child, receiver) for child in written.get("routes") or ())
    return Route(receiver, tuple(found), bool(written.get("continue")), children)
