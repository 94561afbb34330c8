"""`remediator scorecard`, `judge` and `promote`: what recommendations were worth, and what a rule has earned.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 good, 1 failed,
2 misuse. Only the standard library is imported, so that the command starts fast.
"""

from __future__ import annotations

import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from remediator.cli.reading import FAILED, GOOD, clean, columns, print_answer, to_seconds, who

_WORDS = (
    ("recovered-alone", "ALONE"),
    ("person-did-the-same", "SAME"),
    ("person-did-something-else", "OTHER"),
    ("got-worse", "WORSE"),
    ("unknown", "UNKNOWN"),
    ("approved", "APPROVED"),
)


def scorecard(
    url: str | None,
    output: str,
    *,
    rule: str | None = None,
    since: str | None = None,
    token_file: str | None = None,
) -> int:
    """Print the card of each rule; of one rule its newest decisions, too."""
    given = {name: value for name, value in (("rule", rule), ("since", since)) if value is not None}
    query = f"?{urllib.parse.urlencode(given)}" if given else ""
    return print_answer(url, f"/api/v1/scorecard{query}", output, _cards, token_file=token_file)


def judge(
    url: str | None,
    output: str,
    *,
    remediation: str,
    verdict: str,
    comment: str,
    harmful: bool = False,
    by: str | None = None,
    token_file: str | None = None,
) -> int:
    """Say whether one recommendation, by its number or R-<number>, would have been right."""
    path = f"/api/v1/scorecard/{urllib.parse.quote(remediation, safe='')}/judge"
    body = {"judged": verdict, "harmful": harmful, "comment": comment, "by": by or who()}
    return print_answer(url, path, output, _judged, post=body, token_file=token_file)


def promote(url: str | None, output: str, *, rule: str, token_file: str | None = None) -> int:
    """Print the diff on stdout, and what speaks for or against it on stderr, so that it can be piped into `patch`."""
    path = f"/api/v1/promotion/{urllib.parse.quote(rule, safe='')}"
    return print_answer(url, path, output, _promotion, token_file=token_file, code=_code)


def _code(found: Mapping[str, Any]) -> int:
    return GOOD if found["earned"] else FAILED


def _cards(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["rules"]:
        yield "nothing was recommended that only the mode kept from being done"
        return
    yield from _table(found["rules"])
    for one in found["rules"]:
        if (later := one["saved_median_seconds"]) is not None:
            yield f"{clean(one['rule'])}: people came to the same {_length(later)} later than we (median)"
    if found["decisions"]:
        yield ""
        yield from _decisions(found["decisions"])


def _table(rules: Any) -> Iterator[str]:
    heads = ("RULE", "MODE", "DECISIONS", "RIGHT", "AGREEMENT", "HARMFUL", *(word for _, word in _WORDS), "AWAITED")
    rows: list[tuple[str, ...]] = [heads]
    for one in rules:
        counts = [str(one["happened"].get(name, 0)) for name, _ in _WORDS]
        shares = [_share(one[name]) for name in ("precision", "agreement", "harmful")]
        rule = (clean(one["rule"]), clean(one["mode"]) or "-", str(one["decisions"]))
        rows.append((*rule, *shares, *counts, str(one["awaited"])))
    yield from columns(rows)


def _share(one: Mapping[str, Any]) -> str:
    """`19/20 (76-99%)`: the interval is what it is worth."""
    if one["low"] is None:
        return "-"
    return f"{one['count']}/{one['of']} ({one['low']:.0%}-{one['high']:.0%})"


def _decisions(decisions: Any) -> Iterator[str]:
    for one in decisions:
        harm = ", would have been harmful" if one["harmful"] else ""
        what = f"{clean(one['action'])} {clean(one['target'])}"
        yield f"{one['ref']}  {to_seconds(one['decided_at'])}  {what}  {one['judged']}{harm}"
        yield f"  {one['happened'] or 'awaited'}" + (f": {clean(one['detail'])}" if one["detail"] else "")
        if one["said_by"]:
            yield f"  {clean(one['said_by'])} says: {clean(one['said_comment'])}"


def _judged(found: Mapping[str, Any]) -> Iterator[str]:
    harm = ", would have been harmful" if found["harmful"] else ""
    yield f"{found['ref']} judged {found['judged']}{harm} by {clean(found['said_by'])}"


def _promotion(found: Mapping[str, Any]) -> Iterator[str]:
    if found["earned"]:
        head = f"# rule {clean(found['rule'])} has earned mode {found['next']}"
    else:
        missing = ", ".join(one["name"] for one in found["criteria"] if not one["met"])
        head = f"rule {clean(found['rule'])} stays {found['mode']}; missing: {missing}"
    for line in (head, *_reasons(found)):
        print(line, file=sys.stderr)
    yield from (found["diff"] or "").splitlines()


def _reasons(found: Mapping[str, Any]) -> Iterator[str]:
    for one in found["criteria"]:
        yield f"  {'met    ' if one['met'] else 'missing'}  {one['name']}: {clean(one['detail'])}"
    yield f"  rule at {clean(found['place'])}"
    for note in found["notes"]:
        yield f"  note: {clean(note)}"


def _length(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
