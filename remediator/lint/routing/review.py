"""The lint over three files: does each alert of our rules reach us, soon and whole, and do people still hear of it?

Called by `check alertmanager`. An `error` loses alerts or keeps people from hearing of them; a `warning` is late, open,
or not what was probably meant. Traps and their evidence: prometheus/alertmanager `dispatch/route.go`, `inhibit/`,
`notify/`; prometheus-operator's namespace matcher (helm-charts#1290).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from remediator.lint.noted import Noted
from remediator.lint.routing.alerts import Raised, upstream
from remediator.lint.routing.config import EVERYTHING, OURS, Config, Receiver, Route
from remediator.lint.routing.reach import Asked, Missed, Reached, Truth, nearest_miss, reached
from remediator.lint.routing.watchdog import is_for, review_watchdog
from remediator.lint.routing.webhooks import review_webhooks
from remediator.lint.rules import place_in
from remediator.rules.matcher import Matcher, Op
from remediator.rules.report import Problem, did_you_mean
from remediator.rules.ruleset import Place, RuleSet, alertnames
from remediator.rules.schema import Rule
from remediator.target.spec import PROTECTED_BY_DEFAULT
from remediator.units import format_duration
from remediator.watchdog import Awaited

GROUPED_BY = frozenset({"alertname", "namespace"})
SOON, WHILE, AGAIN = timedelta(minutes=1), timedelta(minutes=5), timedelta(days=1)
"""Longest group_wait, group_interval and repeat_interval that nobody is told of."""

MAX_NAMED = 3


def review_routing(
    config: Config,
    table: RuleSet,
    raised: Sequence[Raised],
    *,
    receiver: str | None = None,
    watchdog: Awaited | None = None,
) -> Sequence[Problem]:
    """What is wrong, in the order of the files. `receiver` None: those that seem to be ours. `watchdog` None: none is
    awaited."""
    noted = Noted()
    ours = _ours(config, receiver, noted)
    if ours:
        _Review(config, table, raised, ours, noted, watchdog=watchdog).all()
    return noted.in_order()


def _ours(config: Config, name: str | None, noted: Noted) -> Mapping[str, Receiver]:
    found = config.ours(name)
    if not found:
        wanted = f"'{name}'" if name is not None else "that posts to remediator"
        hint = did_you_mean(name or OURS, config.receivers) if name is not None else "name it: --receiver NAME"
        noted.refuse(config.place(("receivers",), of_key=True), f"no receiver {wanted}", hint, code="receiver-missing")
    with_webhooks = {one.name: one for one in found.values() if one.webhooks}
    if found and not with_webhooks:
        one = next(iter(found.values()))
        hint = "add webhook_configs: [{url: http://remediator.remediator.svc:9095/api/v1/alerts}]"
        text = f"receiver '{one.name}' has no webhook: nothing is posted to us"
        noted.refuse(config.place(one.path), text, hint, code="receiver-no-webhook")
    return with_webhooks


@dataclass(frozen=True, slots=True)
class _Pair:
    """A rule, and an alert that it takes, as far as its labels are known."""

    rule: Rule
    alert: Raised

    @property
    def asked(self) -> Asked:
        return Asked(self.alert.labels, self.rule.matchers)


class _Review:
    def __init__(
        self,
        config: Config,
        table: RuleSet,
        raised: Sequence[Raised],
        ours: Mapping[str, Receiver],
        noted: Noted,
        *,
        watchdog: Awaited | None,
    ) -> None:
        self.config = config
        self.table = table
        self.raised: dict[str, list[Raised]] = defaultdict(list)
        for one in raised:
            self.raised[one.name].append(one)
        self.ours = frozenset(ours)
        self.receivers = ours
        self.noted = noted
        self.routes = [route for route in config.root.all() if route.receiver in self.ours]
        self.watchdog = watchdog
        of_rules = [route.path for route in self.routes if watchdog is None or not is_for(route, watchdog)]
        self.of_rules = of_rules or [route.path for route in self.routes]
        """Where those stand that could send us the alerts of rules."""

    def all(self) -> None:
        for receiver in self.receivers.values():
            review_webhooks(receiver, self.config, self.noted)
        if not self.routes:
            for one in self.receivers.values():
                text = f"no route names receiver '{one.name}': nothing reaches it"
                hint = f"add a route with receiver: {one.name} and continue: true, before the others"
                self.noted.refuse(self.config.place(one.path), text, hint, code="receiver-unused")
            return
        pairs = list(self.pairs())
        arriving = self.arrival(pairs)
        used = {id(one.route): one.route for found in arriving.values() for one in found}
        self.people(pairs, arriving)
        for route in used.values() or self.routes:
            self.grouping(route)
        for route in self.routes:
            self.namespaces(route)
        self.inhibitions(pairs)
        if self.watchdog is not None:
            known = self.raised.get(self.watchdog.name) or upstream(self.watchdog.name)
            review_watchdog(self.config, self.routes, known, self.watchdog, self.noted)

    # --- which alerts there are

    def pairs(self) -> Iterator[_Pair]:
        """Each rule with the alerts that it takes; what it waits for in vain is noted."""
        for rule in self.table.rules:
            names = alertnames(rule)
            if names is None:
                every = [one for found in self.raised.values() for one in found]
                yield from (_Pair(rule, one) for one in every if _takes(rule, one))
                continue
            for name in sorted(names):
                yield from self.named(rule, name)

    def named(self, rule: Rule, name: str) -> Iterator[_Pair]:
        found = self.raised.get(name) or upstream(name)
        if not found:
            if self.raised:
                text = f"rule '{rule.name}' waits for {name}, which none of the Prometheus rules raises"
                hint = did_you_mean(name, self.raised) if _is_near(name, self.raised) else "add the file that raises it"
                self.noted.warn(place_in(self.table, rule, ("match",)), text, hint, code="alert-undefined")
            found = [Raised(name, {"alertname": name})]
        taken = [one for one in found if _takes(rule, one)]
        if not taken:
            self.never(rule, found)
        yield from (_Pair(rule, one) for one in taken)

    def never(self, rule: Rule, found: Sequence[Raised]) -> None:
        """The rule asks for a label's value that the alert never has."""
        one = found[0]
        refusing = [each for each in rule.matchers if Asked(one.labels).passes(each) is Truth.NO]
        label = refusing[0].name
        values = sorted({each.labels.get(label, "") for each in found})
        text = f"rule '{rule.name}' can never fire: it matches {refusing[0]}, but {one.name} is raised with {label}="
        text += f"{' and '.join(values)} ({one.origin})"
        code = "severity-never-raised" if label == "severity" else "label-never-raised"
        path = next(("match", at) for at, line in enumerate(rule.match) if any(each is refusing[0] for each in line))
        hint = "take this matcher away: `severity: from_label` reads the label" if label == "severity" else ""
        hint = hint or "match what it is raised with"
        self.noted.refuse(place_in(self.table, rule, path), text, hint, code=code)

    # --- do they arrive

    def arrival(self, pairs: Sequence[_Pair]) -> Mapping[int, Sequence[Reached]]:
        """Pair number -> the routes by which it comes to us; what does not come is noted, once for each reason."""
        arriving: dict[int, Sequence[Reached]] = {}
        for number, pair in enumerate(pairs):
            found = [one for one in reached(self.config.root, pair.asked) if one.route.receiver in self.ours]
            if found:
                arriving[number] = found
                self.twice(pair, found)
        served = {(pairs[number].rule.name, pairs[number].alert.name) for number in arriving}
        lost: dict[tuple[str, Place], list[tuple[_Pair, Missed]]] = defaultdict(list)
        for number, pair in enumerate(pairs):
            if number not in arriving:
                missed = nearest_miss(self.config.root, pair.asked, self.of_rules)
                assert missed is not None  # there is a route to us
                lost[self.reason(missed)].append((pair, missed))
        for (code, place), missing in lost.items():
            never = [pair.rule.name for pair, _ in missing if (pair.rule.name, pair.alert.name) not in served]
            text, hint = self.lost(missing, never)
            (self.noted.refuse if never else self.noted.warn)(place, text, hint, code=code)
        return arriving

    def reason(self, missed: Missed) -> tuple[str, Place]:
        if missed.taken_by is not None:
            return "route-shadowed", self.config.place(missed.taken_by.path)
        assert missed.matcher is not None
        code = "severity-not-routed" if missed.matcher.name == "severity" else "not-routed"
        return code, self.config.place(missed.path)

    def lost(self, missing: Sequence[tuple[_Pair, Missed]], never: Sequence[str]) -> tuple[str, str]:
        """What does not come; for the rules in `never` nothing does, the others have some alerts of the name."""
        names = _listed(pair.alert.name for pair, _ in missing)
        pair, missed = missing[0]
        rules = _listed(never or [one.rule.name for one, _ in missing], quote="'")
        effect = f"{rules} can never fire" if never else f"not seen by {rules}"
        if missed.taken_by is not None:
            hint = "put our route before it, or give it continue: true"
            return f"this route takes {names} before ours: {effect}", hint
        matcher = missed.matcher
        assert matcher is not None
        value = pair.alert.labels.get(matcher.name, "")
        if matcher.name == "severity":
            values = _listed(one.alert.labels.get("severity", "none") for one, _ in missing)
            also = "raised" if never else "also raised"
            text = f"only {matcher} is sent to us, and {names} {_are(missing)} {also} as {values}: {effect}"
            return text, "take this matcher away, or name those severities too"
        text = f"no route sends {names} to us: {effect}"
        return text, _why(matcher, value)

    def twice(self, pair: _Pair, found: Sequence[Reached]) -> None:
        sure = [one for one in found if one.how is Truth.YES]
        if len(sure) > 1:
            text = f"{pair.alert.name} is sent to us by two routes: each is delivered, retried and repeated by itself"
            place = self.config.place(sure[1].route.path)
            if all((one.code, one.line) != ("delivered-twice", place.line) for one in self.noted.problems):
                self.noted.warn(place, text, "take one of them away", code="delivered-twice")

    # --- do people still hear of them

    def people(self, pairs: Sequence[_Pair], arriving: Mapping[int, Sequence[Reached]]) -> None:
        alone: dict[tuple[str, Place], list[str]] = defaultdict(list)
        before = _without(self.config.root, self.ours)
        for number, found in arriving.items():
            asked, route, root = pairs[number].asked, found[-1].route, self.config.root
            if self.is_heard(root, asked) or (route is not root and not self.is_heard(before, asked)):
                continue  # what nobody would hear of without our route either is not for it to mend
            code = "people-missed" if route.continues or route is root else "continue-missing"
            alone[code, self.config.place(route.path)].append(pairs[number].alert.name)
        for (code, place), names in alone.items():
            who = _listed(names)
            if code == "continue-missing":
                text, hint = f"the route to us ends here: nobody else hears of {who}", "add continue: true"
            else:
                text = f"nobody but us hears of {who}: no route after ours takes them, and the one above does not count"
                hint = "add a route to people after ours, and write continue: true in ours"
            self.noted.refuse(place, text, hint, code=code)

    def is_heard(self, root: Route, asked: Asked) -> bool:
        """Whether somebody but us may be told."""
        others = {one.route.receiver for one in reached(root, asked)} - self.ours
        return any(name in self.config.receivers and self.config.receivers[name].integrations for name in others)

    # --- soon, and one by one

    def grouping(self, route: Route) -> None:
        place = self.config.place
        if route.group_by != EVERYTHING and not set(route.group_by) >= GROUPED_BY:
            by = ", ".join(route.group_by) or "nothing"
            text = f"alerts to us are grouped by {by}: one that joins a group waits for the others' next turn"
            hint = "write group_by: ['...'] here: one alert a body"
            self.noted.warn(place((*route.path, "group_by")), text, hint, code="group-by")
        for name, most, why, hint in (
            ("group_wait", SOON, "an alert comes that much later", "write group_wait: 10s here"),
            ("group_interval", WHILE, "a resolved alert, and one not delivered, wait that long", "write 30s here"),
            ("repeat_interval", AGAIN, "an alert that was lost is offered again only then", "write 1h here"),
        ):
            found: timedelta = getattr(route, name)
            if found > most:
                text = f"{name} of the route to us is {format_duration(found)}: {why}"
                code = name.replace("_", "-")
                self.noted.warn(place((*route.path, name), of_key=True), text, hint, code=code)
        if route.muted:
            text = f"the route to us is silent at times ({', '.join(route.muted)}): what fires or ends then is not told"
            hint = "take it away; `freezes:` in the rules are for times in which nothing is to be changed"
            self.noted.warn(place(route.path), text, hint, code="route-muted")

    def namespaces(self, route: Route) -> None:
        """The Prometheus Operator adds a matcher of its own namespace to what an AlertmanagerConfig routes."""
        for matcher, path in _on_way(self.config.root, route):
            accepted = matcher.accepted() if matcher.name == "namespace" else None
            if not accepted or matcher.op not in (Op.EQUAL, Op.REGEX):
                continue
            own = route.receiver.partition("/")[0] if "/" in route.receiver else None
            names = _listed(accepted)
            if accepted <= PROTECTED_BY_DEFAULT or accepted == {own}:
                text = f"only alerts of namespace {names} come to us"
                text += ", in which nothing is ever changed" if accepted <= PROTECTED_BY_DEFAULT else ""
                hint = "the Prometheus Operator adds it to an AlertmanagerConfig; set "
                hint += "alertmanagerConfigMatcherStrategy: {type: None}, or route to us in the main configuration"
                self.noted.refuse(self.config.place(path), text, hint, code="namespace-matcher")

    # --- does another alert hide them

    def inhibitions(self, pairs: Sequence[_Pair]) -> None:
        for rule in self.config.inhibitions:
            named = [one.accepted() for one in rule.source if one.name == "alertname"]
            if "alertname" in rule.equal or any(names is not None for names in named):
                continue  # the same alert at another severity, or a cause that somebody named
            hidden = [
                pair.alert.name
                for pair in pairs
                if pair.asked.passes_all(rule.target) is Truth.YES
                and pair.asked.passes_all(rule.source) is not Truth.YES
            ]
            if hidden:
                source = ",".join(map(str, rule.source)) or "any alert"
                text = f"while anything with {source} fires, nobody is sent {_listed(hidden)}"
                hint = "add alertname to equal:, or name the alerts that are the cause"
                self.noted.warn(self.config.place(rule.path), text, hint, code="inhibit-hides")


def _without(route: Route, receivers: frozenset[str]) -> Route:
    """The tree as it was before the routes to these receivers."""
    kept = [_without(child, receivers) for child in route.routes if child.receiver not in receivers or child.routes]
    return replace(route, routes=tuple(kept))


def _on_way(root: Route, wanted: Route) -> Iterator[tuple[Matcher, tuple[str | int, ...]]]:
    """The matchers of a route and of those above it."""
    route = root
    while True:
        yield from route.matchers
        if route is wanted:
            return
        route = next(child for child in route.routes if any(one is wanted for one in child.all()))


def _takes(rule: Rule, alert: Raised) -> bool:
    return Asked(alert.labels).passes_all(rule.matchers) is not Truth.NO


def _why(matcher: Matcher, value: str) -> str:
    """What to write for this value to pass. An expression is looked at by its branches, as far as they are plain."""
    branches = matcher.value.split("|") if matcher.op is Op.REGEX else []
    begun = next((text for text in branches if text.isidentifier() and value.startswith(text)), None)
    if begun is not None:
        return f"expressions are anchored: write {begun}.* for what begins with {begun}"
    near = next((text for text in branches if text.lower() == value.lower()), None)
    if near is not None:
        return f"'{near}' is written '{value}'"
    return f"{matcher} does not let {value or 'an empty value'} through; add it"


def _is_near(name: str, known: Mapping[str, object]) -> bool:
    return did_you_mean(name, known).startswith("did you mean")


def _are(missing: Sequence[object]) -> str:
    return "is" if len(missing) == 1 else "are"


def _listed(names: Iterator[str] | Sequence[str] | frozenset[str], quote: str = "") -> str:
    """The first few, and how many more."""
    found = sorted(set(names)) if isinstance(names, frozenset) else list(dict.fromkeys(names))
    shown = [f"{quote}{name}{quote}" for name in found[:MAX_NAMED]]
    more = [f"{len(found) - MAX_NAMED} more"] if len(found) > MAX_NAMED else []
    parts = [*shown, *more]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
