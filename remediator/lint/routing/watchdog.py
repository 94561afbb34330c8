"""Does the alert that always fires come to us, and as often as the service awaits it? Called by `review.py`."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.lint.noted import Noted
from remediator.lint.routing.alerts import Raised
from remediator.lint.routing.config import Config, Route
from remediator.lint.routing.reach import Asked, nearest_miss, reached
from remediator.units import format_duration
from remediator.watchdog import Awaited, Turns

MADE = "`remediator generate alertmanager-route` makes its route"


def is_for(route: Route, watchdog: Awaited) -> bool:
    """Whether this route takes the watchdog and nothing else."""
    return any(each.name == "alertname" and each.accepted() == frozenset({watchdog.name}) for each, _ in route.matchers)


def review_watchdog(
    config: Config, ours: Sequence[Route], known: Sequence[Raised], watchdog: Awaited, noted: Noted
) -> None:
    """`ours` are the routes to us, `known` the alerts of its name; empty: nothing is known of it but that name."""
    labels = [one.labels for one in known] or [{"alertname": watchdog.name}]
    asked = [Asked(one, watchdog.matchers) for one in labels]
    places = {route.path for route in ours}
    came = [one for each in asked for one in reached(config.root, each) if one.route.path in places]
    routes = list({one.route.path: one.route for one in came}.values())
    if not routes:
        _unrouted(config, asked[0], ours, watchdog, noted)
        return
    if not any(_is_often(route, watchdog) for route in routes):
        _seldom(config, routes[0], watchdog, noted)
    for route in routes:
        if not watchdog.patience.is_fresh_enough(_turns(route)):
            _stale(config, route, watchdog, noted)


def _is_often(route: Route, watchdog: Awaited) -> bool:
    return not route.muted and watchdog.patience.is_often_enough(_turns(route))


def _turns(route: Route) -> Turns:
    return Turns(route.group_interval, route.repeat_interval)


def _unrouted(config: Config, asked: Asked, ours: Sequence[Route], watchdog: Awaited, noted: Noted) -> None:
    effect = "a Prometheus that dies looks as if all its alerts were over"
    missed = nearest_miss(config.root, asked, [route.path for route in ours if is_for(route, watchdog)])
    if missed is None:
        text = f"no route sends the watchdog, {watchdog.name}, to us: {effect}"
        place, hint = config.place(("route",), of_key=True), f"{MADE}; `watchdog: ''` in the settings gives it up"
    elif missed.taken_by is not None:
        text = f"this route takes {watchdog.name} before ours: {effect}"
        place, hint = config.place(missed.taken_by.path), "put the watchdog's route before it"
    else:
        text = f"{missed.matcher} keeps {watchdog.name} from us: {effect}"
        place, hint = config.place(missed.path), "take this matcher away"
    noted.warn(place, text, hint, code="watchdog-not-routed")


def _seldom(config: Config, route: Route, watchdog: Awaited, noted: Noted) -> None:
    if route.muted:
        text = f"the route of {watchdog.name} is silent at times ({', '.join(route.muted)}): it is called missing then"
        noted.warn(config.place(route.path), text, "take it away", code="watchdog-seldom")
        return
    apart, absent = route.group_interval + route.repeat_interval, watchdog.patience.absent_after
    text = f"{watchdog.name} comes every {format_duration(apart)}, and is missing after {format_duration(absent)}"
    text += " (watchdog_absent_seconds): leave time for two"
    hint = f"write repeat_interval: {format_duration(watchdog.patience.fitting().repeat)} in a route of its own; {MADE}"
    noted.warn(config.place((*route.path, "repeat_interval"), of_key=True), text, hint, code="watchdog-seldom")


def _stale(config: Config, route: Route, watchdog: Awaited, noted: Noted) -> None:
    old, confirm = format_duration(route.group_interval), format_duration(watchdog.patience.confirm_after)
    text = f"what comes of {watchdog.name} may be {old} old, and confirms what ended {confirm} before it comes"
    text += " (watchdog_confirm_seconds): also what ended because Prometheus died meanwhile"
    hint = f"write group_interval: {format_duration(watchdog.patience.fitting().group)} in a route of its own; {MADE}"
    noted.warn(config.place((*route.path, "group_interval"), of_key=True), text, hint, code="watchdog-stale")
