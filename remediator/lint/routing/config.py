"""Alertmanager's configuration as far as it decides what reaches us: routes with what they inherit, and receivers.

Whether Alertmanager would load it is `amtool check-config`'s to say; what cannot be read here is a problem as well.
Source: prometheus/alertmanager `config/config.go`, `dispatch/route.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from remediator.lint.shape import fields, rows, texts
from remediator.model import Json
from remediator.rules.document import Path, Source, read_foreign
from remediator.rules.matcher import Matcher, Op, matcher, parse_matchers
from remediator.rules.report import FileError
from remediator.rules.ruleset import Place
from remediator.units import parse_duration

SECRET = "<secret>"
"""What Alertmanager's API shows in the place of an address or a credential."""

EVERYTHING = ("...",)
OURS = "remediator"


@dataclass(frozen=True, slots=True)
class Route:
    """One node of the tree; all but `continues` and `muted` as inherited. `path` is where it stands in the file."""

    path: Path
    receiver: str
    matchers: tuple[tuple[Matcher, Path], ...] = ()
    continues: bool = False
    group_by: tuple[str, ...] = ()
    group_wait: timedelta = timedelta(seconds=30)
    group_interval: timedelta = timedelta(minutes=5)
    repeat_interval: timedelta = timedelta(hours=4)
    muted: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()

    def all(self) -> Iterator[Route]:
        """Itself and all below it, in order."""
        yield self
        for route in self.routes:
            yield from route.all()


@dataclass(frozen=True, slots=True)
class Receiver:
    """`webhooks` is each entry of `webhook_configs` with its place; `integrations` the kinds that it has any of."""

    name: str
    path: Path
    webhooks: tuple[tuple[Mapping[str, Json], Path], ...]
    integrations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert of `source` fires, those of `target` with equal values of the labels `equal` are not sent."""

    path: Path
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: frozenset[str]


@dataclass(frozen=True, slots=True)
class Config:
    """Make it with `read_config`."""

    source: Source
    root: Route
    receivers: Mapping[str, Receiver]
    inhibitions: Sequence[Inhibition] = ()
    http_defaults: Mapping[str, Json] = field(default_factory=dict)

    def ours(self, name: str | None = None) -> Mapping[str, Receiver]:
        """The receivers that post to us: the one of that name; else those that are named after us or whose webhook's
        address is, which Alertmanager's API hides. The operator puts `namespace/object/` before a name."""
        if name is not None:
            return {name: self.receivers[name]} if name in self.receivers else {}
        return {one.name: one for one in self.receivers.values() if _is_ours(one)}

    def place(self, path: Path, *, of_key: bool = False) -> Place:
        line, column = self.source.spot((0, *path), of_key=of_key)
        return Place(self.source.file, line + 1, column + 1)


def _is_ours(receiver: Receiver) -> bool:
    is_named = OURS in receiver.name.rpartition("/")[2].lower()
    return is_named or any(OURS in str(hook.get("url", "")) for hook, _ in receiver.webhooks)


def read_config(file: str, raw: bytes) -> Config:
    """Raises FileError with what cannot be read, and its place."""
    source = read_foreign(file, raw)
    data = source.data[0] if isinstance(source.data, list) and source.data else None
    config = None
    if not source.problems and isinstance(data, dict) and isinstance(data.get("route"), dict):
        config = _Reader(source).config(data)
    elif not source.problems:
        hint = "name Alertmanager's own configuration file"
        source.complain((0, 0), "no Alertmanager configuration: it has no route:", hint, code="not-alertmanager")
    if source.problems or config is None:
        raise FileError("\n".join(map(str, source.problems)), problems=source.problems)
    return config


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source

    def config(self, data: Mapping[str, Json]) -> Config:
        top = data["route"]
        receivers = [self.receiver(one, ("receivers", number)) for number, one in rows(data.get("receivers"))]
        rules = rows(data.get("inhibit_rules"))
        return Config(
            self.source,
            self.route(top, ("route",), Route((), str(top.get("receiver", "")))),
            {one.name: one for one in receivers},
            [self.inhibition(one, ("inhibit_rules", number)) for number, one in rules],
            fields(fields(data.get("global")).get("http_config")),
        )

    def route(self, data: Mapping[str, Json], path: Path, parent: Route) -> Route:
        grouped = data.get("group_by")
        one = replace(
            parent,
            path=path,
            receiver=str(data.get("receiver") or parent.receiver),
            matchers=tuple(self.matchers(data, path)),
            continues=data.get("continue") is True,
            group_by=tuple(texts(grouped)) if isinstance(grouped, list) else parent.group_by,
            group_wait=self.duration(data, path, "group_wait", parent.group_wait),
            group_interval=self.duration(data, path, "group_interval", parent.group_interval),
            repeat_interval=self.duration(data, path, "repeat_interval", parent.repeat_interval),
            muted=tuple(name for key in MUTED_BY for name in texts(data.get(key))),
            routes=(),
        )
        below = [self.route(each, (*path, "routes", number), one) for number, each in rows(data.get("routes"))]
        return replace(one, routes=tuple(below))

    def matchers(self, data: Mapping[str, Json], path: Path, prefix: str = "") -> Iterator[tuple[Matcher, Path]]:
        name, equal, expressions = (f"{prefix}matchers", f"{prefix}match", f"{prefix}match_re")
        lines = data.get(name)
        for number, line in enumerate(texts(lines)):
            where = (*path, name) if isinstance(lines, str) else (*path, name, number)
            try:
                for each in parse_matchers(str(line)):
                    yield each, where
            except ValueError as error:
                self.complain(where, str(error), 'write label="value" with one of = != =~ !~')
        for key, op in ((equal, Op.EQUAL), (expressions, Op.REGEX)):
            for label, value in fields(data.get(key)).items():
                try:
                    yield matcher(str(label), op, str(value)), (*path, key, label)
                except ValueError as error:
                    self.complain((*path, key, label), str(error), "write it in RE2 syntax")

    def duration(self, data: Mapping[str, Json], path: Path, name: str, inherited: timedelta) -> timedelta:
        if data.get(name) is None:
            return inherited
        try:
            return parse_duration(str(data[name]))
        except ValueError as error:
            self.complain((*path, name), str(error), "write it like 30s or 5m")
            return inherited

    def receiver(self, data: Mapping[str, Json], path: Path) -> Receiver:
        hooks = [(one, (*path, WEBHOOKS, number)) for number, one in rows(data.get(WEBHOOKS))]
        kinds = tuple(key for key, value in data.items() if str(key).endswith("_configs") and value)
        return Receiver(str(data.get("name", "")), path, tuple(hooks), kinds)

    def inhibition(self, data: Mapping[str, Json], path: Path) -> Inhibition:
        source, target = (tuple(each for each, _ in self.matchers(data, path, f"{side}_")) for side in SIDES)
        return Inhibition(path, source, target, frozenset(texts(data.get("equal"))))

    def complain(self, path: Path, text: str, hint: str) -> None:
        self.source.complain(self.source.spot((0, *path)), text, hint, code="not-alertmanager")


WEBHOOKS = "webhook_configs"
MUTED_BY = ("mute_time_intervals", "active_time_intervals")
SIDES = ("source", "target")
