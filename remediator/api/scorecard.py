"""The scorecard over HTTP: what happened after recommendations, what people say of them, and what a rule has earned.

Beside the way of an alert. `application.py` adds the routes; `cli/scorecard.py` is the client people use. Nothing here
changes a rule: a promotion is a change of a file, which people make.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from remediator.api.answers import answer, problem
from remediator.api.asking import Concerns, read_asked
from remediator.api.query import BadQuery, Query
from remediator.api.score_answers import CriterionEntry, JudgeRequest, Promotion, RuleScore, Scorecard, ScoreEntry
from remediator.clock import Clock
from remediator.model import Mode, RemediationId, most_cautious
from remediator.rules.report import did_you_mean
from remediator.rules.ruleset import Place, RuleSet
from remediator.rules.schema import Rule
from remediator.rules.shipped import shipped_rules
from remediator.score.card import card_of, cards_of
from remediator.score.promotion import NEXT, Bar, Spot, criteria_of, mode_diff
from remediator.store.scores_base import NotScored, ScoreStore, Word

MAX_LISTED = 100
_RULE = {"type": "string"}
PARAMETERS: Mapping[str, Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "/api/v1/scorecard": {
        "rule": ("Only of this rule, and its newest decisions with it.", _RULE),
        "since": ("Only what was decided since: a time (RFC 3339) or how long ago. Default: all.", {"type": "string"}),
    }
}
_log = structlog.get_logger(__name__)


class ScoreRoutes:
    """Handlers over the memory of the scorecard and the rules in force. `mode` is the most that any rule may do."""

    def __init__(
        self, store: ScoreStore, *, rules: Callable[[], RuleSet], clock: Clock, bar: Bar, mode: Mode
    ) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock
        self._bar = bar
        self._mode = mode

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/scorecard", self.scorecard),
            web.post("/api/v1/scorecard/{id}/judge", self.judge),
            web.get("/api/v1/promotion/{rule}", self.promotion),
        ]

    async def scorecard(self, request: web.Request) -> web.Response:
        """The card of each rule that recommended something."""
        try:
            asked = Query(request, known=PARAMETERS["/api/v1/scorecard"], now=self._clock.now())
            rule, since = asked.name("rule"), asked.instant("since")
        except BadQuery as error:
            return problem(400, str(error))
        rules = self._rules()
        scored = await self._store.scored(since=since, rule=rule)
        if rule is not None and not scored and (unknown := _unknown(rule, rules)) is not None:
            return problem(400, unknown)
        cards = await asyncio.to_thread(cards_of, scored)
        return answer(
            Scorecard(
                since=since,
                rules=[RuleScore.of(card, rules.rule(card.rule)) for card in cards],
                decisions=[ScoreEntry.of(one) for one in scored[:MAX_LISTED]] if rule is not None else [],
            )
        )

    async def judge(self, request: web.Request) -> web.Response:
        """By the number of the remediation, or R-<number>."""
        text = request.match_info["id"]
        named = re.fullmatch(r"(?:R-)?([0-9]{1,15})", text)
        number = None if named is None else RemediationId(int(named[1]))
        wanted = await read_asked(request, JudgeRequest, concerns=lambda: self._concerned(number))
        if isinstance(wanted, web.Response):
            return wanted
        if number is None:
            return problem(400, f"{text!r} is no remediation: expected a number or R-<number>")
        is_right, now = wanted.judged == "right", self._clock.now()
        try:
            after = await self._store.say(Word(number, is_right, wanted.harmful, wanted.by, wanted.comment, now))
        except NotScored as error:
            return problem(404, str(error))
        _log.info("judged", remediation=number, judged=wanted.judged, by=wanted.by, comment=wanted.comment)
        return answer(ScoreEntry.of(after))

    async def promotion(self, request: web.Request) -> web.Response:
        """Whether the rule has earned its next mode, by the decisions of its present text in its present mode."""
        name, rules = request.match_info["rule"], self._rules()
        rule = rules.rule(name)
        if rule is None:
            return problem(404, _unknown(name, rules) or "")
        made = await self._store.scored(rule=name)
        scored = [one for one in made if (one.sense, one.mode) == (rule.sense, rule.mode.value)]
        criteria = criteria_of(card_of(name, scored), self._bar, mode=rule.mode, acts=rule.acts)
        following, is_earned = NEXT.get(rule.mode), all(one.is_met for one in criteria)
        diff = await asyncio.to_thread(_diff, rules, rule, following) if is_earned and following is not None else None
        return answer(
            Promotion(
                rule=name,
                mode=rule.mode.value,
                next=None if following is None else following.value,
                earned=is_earned,
                criteria=[CriterionEntry.of(one) for one in criteria],
                place=rules.place(name),
                diff=diff,
                notes=_notes(rules, rule, following, self._mode, is_without=is_earned and diff is None),
            )
        )

    async def _concerned(self, number: RemediationId | None) -> Concerns | None:
        """The target's namespace, and the rule that recommended it."""
        one = None if number is None else await self._store.score_of(number)
        return None if one is None else ((one.target.namespace,), one.rule)


def _unknown(name: str, rules: RuleSet) -> str | None:
    """That the table has no such rule; None: it has."""
    names = [rule.name for rule in rules.rules]
    if name in names:
        return None
    hint = did_you_mean(name, names)
    return f"the table has no rule {name!r}" + (f"; {hint}" if hint else "")


def _diff(rules: RuleSet, rule: Rule, to: Mode) -> str | None:
    """The change of the file that the rule was loaded from, if that is readable and still the same."""
    places = rules.places.get(rule.name, {})
    whole, name = places.get(()), places.get(("name",))
    if whole is None or name is None:
        return None
    try:
        text = Path(whole.file).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    spot = Spot(column=whole.column, name_line=name.line, mode=_spot(places.get(("mode",))))
    return mode_diff(text, spot, file=whole.file, mode=rule.mode, to=to)


def _spot(place: Place | None) -> tuple[int, int] | None:
    return None if place is None else (place.line, place.column)


def _notes(rules: RuleSet, rule: Rule, following: Mode | None, most: Mode, *, is_without: bool) -> list[str]:
    notes = []
    if following is not None and most_cautious(most, following) is not following:
        notes.append(f"setting mode is {most}: the most cautious holds, so that this changes nothing yet")
    place = rules.places.get(rule.name, {}).get(())
    if place is not None and Path(place.file).resolve().parent == shipped_rules().resolve():
        notes.append("this is a rule of the shipped table: copy the table first, and give it with --rules")
    if is_without:
        notes.append(f"the file is another one than was loaded, or not in lines: set mode: {following} there by hand")
    return notes
