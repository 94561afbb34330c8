"""The format `markdown`: a post-mortem to paste into a wiki or a pull request, with the parts that people fill in.

Foreign text stands in code spans and fenced blocks only, on one line, with fences longer than any run of backticks in
it. There nothing of it is a link, a mention, HTML or structure, in any dialect (CommonMark 0.31, 6.1 and 4.5; GitHub's
mentions and autolinks skip code).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from remediator.export.attempts import Attempt
from remediator.export.content import TakenBack
from remediator.export.events import Event
from remediator.export.formats import Head
from remediator.export.marking import block, code, joined, table
from remediator.export.printable import lines
from remediator.export.proof_lines import proof_lines
from remediator.export.story import ROLES, TO_FILL, RuleAsItWas, Story
from remediator.export.texts import (
    LOG_LINES,
    MAX_EVENTS,
    did_change,
    filters_of,
    has_change,
    moments_of,
    period_words,
    rule_yaml,
    shown_attempts,
)
from remediator.export.times import both, length, local, utc
from remediator.store.reading import IncidentRow

EMPTY = "_To be filled in._"


class Markdown:
    name = "markdown"
    media_type = "text/markdown"
    suffix = "md"

    def begin(self, head: Head) -> bytes:
        return joined(_begin(head))

    def incident(self, story: Story, head: Head, *, is_first: bool) -> bytes:
        return joined(_incident(story, head) if head.period is None else _short(story, head))

    def beside(self, events: Sequence[Event], head: Head) -> bytes:
        return joined(["", "## Beside the incidents", "", *_timeline(events, head)]) if events else b""

    def end(self, head: Head) -> bytes:
        people = _to_fill(TO_FILL) if head.period is not None else ()
        return joined([*people, "", "---", "", f"Exported {utc(head.made_at)} by remediator {head.version}."])


def _begin(head: Head) -> Iterator[str]:
    if head.period is None:
        return
    yield f"# {head.title}"
    only = "".join(f", {what} {code(name)} only" for what, name in filters_of(head.period))
    yield from ["", f"{period_words(head.period)}{only}.", ""]
    if head.incidents:
        heading = ("incident", "opened (UTC)", "target", "alert", "rule", "outcome")
        yield from table(heading, map(_row, head.incidents))
    else:
        yield "No incident was open in this time."
    if head.is_cut:
        yield from ["", "There are more; ask for a shorter time."]


def _row(row: IncidentRow) -> Sequence[str]:
    cells = (row.target, row.title, row.rule or "", f"{row.outcome} {row.reason}")
    return (f"inc-{row.id}", utc(row.opened_at), *(code(cell, is_cell=True) for cell in cells))


def _incident(story: Story, head: Head) -> Iterator[str]:
    """The whole story of one incident."""
    yield from [f"# Incident {story.facts.ref}: {_title(story)}", "", _summary(story), ""]
    yield from _facts(story, head)
    yield from ["", "## Roles", ""]
    yield from table(("role", "who"), ((role, "") for role in ROLES))
    yield from _to_fill(["Impact"])
    yield from ["", "## Timeline", "", *_timeline(story.timeline, head)]
    full, named = shown_attempts(story.attempts)
    for attempt in full:
        yield from _attempt(attempt, is_only=len(story.attempts) == 1)
    if named:
        alike = ", ".join(f"R-{one.remediation} ({one.state})" for one in named[:100])
        yield from ["", f"And {len(named)} further attempts that did nothing: {alike}."]
    yield from _people(story, head)
    yield from _to_fill([name for name in TO_FILL if name != "Impact"])
    yield from _diagnostics(story)
    for rule in story.rules:
        yield from _rule(rule)
    yield from _taken_back(story, head)
    if head.is_whole:
        yield from ["", "## Every event", "", *_timeline(story.whole, head)]


def _short(story: Story, head: Head) -> Iterator[str]:
    """One incident of several: what happened, and what was changed."""
    facts = story.facts
    yield from ["", f"## {facts.ref}: {_title(story)}", "", _summary(story), ""]
    yield from _timeline(story.timeline, head)
    for attempt in story.attempts:
        if did_change(attempt) and has_change(attempt):
            yield from ["", *_change(attempt)]
    if head.is_whole:
        yield from ["", "### Every event", "", *_timeline(story.whole, head)]


def _title(story: Story) -> str:
    facts = story.facts
    return f"{code(facts.title)} on {code(facts.target) if facts.target else 'an unknown target'}"


def _summary(story: Story) -> str:
    facts = story.facts
    plan = f": {code(facts.plan)}" if facts.plan else ""
    return f"**{facts.ending}**{plan}. {facts.well}"


def _facts(story: Story, head: Head) -> Iterator[str]:
    facts = story.facts
    place = dict(facts.object)
    rows: list[tuple[str, str]] = [
        ("Target", code(facts.target, is_cell=True)),
        ("Cluster", code(place.get("cluster", ""), is_cell=True)),
        ("Object", code(place.get("uid", ""), is_cell=True)),
        ("Severity", "-" if facts.severity is None else str(facts.severity)),
        ("Rule", code(facts.rule, is_cell=True) + (f" {code(facts.rule_digest[:12])}" if facts.rule_digest else "")),
        ("Mode", facts.mode or "-"),
        ("Outcome", facts.outcome + (f" ({facts.reason})" if facts.reason else "")),
    ]
    for moment in moments_of(facts):
        after = "" if moment.after is None else f", {length(moment.after)} after it began"
        rows.append((moment.name, both(moment.at, head.tz) + after))
    rows.append(("Time to recover", length(facts.time_to_recover) + f" ({facts.recovery})"))
    rows.append(("Closed", both(facts.closed_at, head.tz) if facts.closed_at else "still open"))
    if facts.contact:
        rows.append(("Contact", code(facts.contact, is_cell=True)))
    if facts.runbook_url:
        rows.append(("Runbook", code(facts.runbook_url, is_cell=True)))
    yield from table(("fact", "value"), rows)


def _timeline(events: Sequence[Event], head: Head) -> Iterator[str]:
    for number, event in enumerate(events[:MAX_EVENTS], start=1):
        at = utc(event.at) + ("" if head.tz is None else f" ({local(event.at, head.tz)})")
        yield f"{number}. **{at}** {event.lane}: {_event(event)}"
        notes = [f"after {event.follows}"] if event.follows else []
        if event.remediation is not None:
            notes.append(f"R-{event.remediation}")
        if event.seq is not None:
            notes.append(f"record {event.seq}")
        if notes:
            yield f"   {', '.join(notes)}"
    if len(events) > MAX_EVENTS:
        yield f"\nAnd {len(events) - MAX_EVENTS} further events."


def _event(event: Event) -> str:
    words = [f"**{event.title}**" if event.title != event.kind else code(event.kind)]
    if event.by:
        words.append(f"by {code(event.by)}")
    if event.detail:
        words.append(code(event.detail))
    if event.reason and event.reason not in event.detail:
        words.append(f"[{event.reason}]")
    if event.times > 1 and event.last_at is not None:
        words.append(f"({event.times} times until {utc(event.last_at)})")
    if event.taken_back:
        words.append(f"(taken back: {', '.join(event.taken_back)})")
    return " ".join(words)


def _attempt(attempt: Attempt, *, is_only: bool) -> Iterator[str]:
    ref = "" if is_only else f" (R-{attempt.remediation})"
    yield from ["", f"## Cause and evidence{ref}", ""]
    yield from _firing(attempt)
    yield f"- Cause: {code(attempt.cause)}"
    if isinstance(attempt.evidence, TakenBack):
        yield f"- Evidence: {code(attempt.evidence)}"
    else:
        yield from (f"- Evidence: {code(one)}" for one in attempt.evidence)
    yield from ["", f"## Decision{ref}", ""]
    yield from _decision(attempt)
    if has_change(attempt):
        yield from ["", f"## {'Change' if did_change(attempt) else 'Change that was not made'}{ref}", ""]
        yield from _change(attempt)
    if isinstance(attempt.checks, TakenBack) or attempt.checks:
        yield from ["", f"## Verification{ref}", ""]
        yield from _checks(attempt)


def _firing(attempt: Attempt) -> Iterator[str]:
    firing = attempt.firing
    if firing is None:
        return
    yield f"- Alert: {code(firing.name)}, fingerprint {code(firing.fingerprint)}"
    for name in sorted(firing.labels):
        if name != "alertname":
            yield f"  - {code(name)} = {code(firing.labels[name])}"
    if isinstance(firing.annotations, TakenBack):
        yield f"- Annotations: {code(firing.annotations)}"
    else:
        for name, text in sorted(firing.annotations.items()):
            yield f"- Annotation {code(name)}: {code(text)}"
    if firing.generator_url:
        yield f"- Expression: {code(firing.generator_url)}"


def _decision(attempt: Attempt) -> Iterator[str]:
    for row in attempt.rows:
        why = "; ".join(f"{code(text)} {'yes' if holds else 'no'}" for text, holds in row.conditions)
        yield f"- {f'**{row.do}**' if row.is_taken else row.do}: {why or 'always'}"
    if attempt.summary:
        yield f"- Plan: {code(attempt.summary)}"
    if attempt.advice:
        yield f"- Advice: {code(attempt.advice)}"
    ended = f"{attempt.state} ({attempt.reason})" if attempt.reason else attempt.state
    yield f"- Ended as: {ended}; action id {code(attempt.action_id)}; mode {attempt.mode or '-'}"
    if isinstance(attempt.verdicts, TakenBack):
        yield f"- Guards: {code(attempt.verdicts)}"
    elif attempt.verdicts:
        yield ""
        rows = (
            (one.guard, one.decision + (f" ({one.reason})" if one.reason else ""), code(one.detail, is_cell=True))
            for one in attempt.verdicts
        )
        yield from table(("guard", "answer", "what it saw"), rows)
    if isinstance(attempt.proof, TakenBack):
        yield f"- Proof: {code(attempt.proof)}"
    elif attempt.proof is not None:
        yield ""
        yield from (f"- Proof: {code(line)}" for line in proof_lines(attempt.proof))


def _change(attempt: Attempt) -> Iterator[str]:
    if isinstance(attempt.plan, TakenBack):
        yield code(attempt.plan)
    else:
        yield from block(attempt.diff, "diff")
    if attempt.undo:
        yield from ["", "To take it back by hand:", "", *block([attempt.undo], "sh")]
    if attempt.undone_by:
        yield from ["", f"It was taken back: record {', '.join(map(str, attempt.undone_by))}."]


def _checks(attempt: Attempt) -> Iterator[str]:
    if isinstance(attempt.checks, TakenBack):
        yield code(attempt.checks)
        return
    rows = ((one.check, one.look, code(one.detail, is_cell=True)) for one in attempt.checks)
    yield from table(("check", "answer", "what it saw"), rows)


def _people(story: Story, head: Head) -> Iterator[str]:
    yield from ["", "## People", ""]
    if story.people:
        yield from (f"- **{both(event.at, head.tz)}** {_event(event)}" for event in story.people)
    else:
        yield "Nobody approved, paused or acknowledged anything."


def _to_fill(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from ["", f"## {name}", "", f"<!-- {TO_FILL[name]} -->", EMPTY]


def _diagnostics(story: Story) -> Iterator[str]:
    gone = [one for one in story.diagnoses.values() if isinstance(one, TakenBack)]
    if not story.found and not gone:
        return
    yield from ["", "## Diagnostics taken before anything was changed", ""]
    yield from (f"- {code(one)}" for one in gone)
    yield from (f"- {one.kind}: {code(one.summary)}" for one in story.found)
    for one in story.found:
        if one.text:
            yield from ["", f"{code(one.summary)}, the last lines:", ""]
            yield from block(lines(one.text, max_lines=LOG_LINES), "text")


def _rule(rule: RuleAsItWas) -> Iterator[str]:
    yield from ["", f"## Rule {code(rule.name)} as it was", "", f"SHA-256 {code(rule.digest)}", ""]
    if rule.text is None:
        yield "Its text is in no record of this incident."
    elif isinstance(rule.text, TakenBack):
        yield code(rule.text)
    else:
        yield from block(rule_yaml(rule.text).removesuffix("\n").split("\n"), "yaml")


def _taken_back(story: Story, head: Head) -> Iterator[str]:
    if not story.redactions:
        return
    yield from ["", "## Taken back", ""]
    for one in story.redactions:
        fields = ", ".join(one.fields)
        yield f"- **{both(one.at, head.tz)}** {fields} of record {one.of}, by {code(one.by)}: {code(one.comment)}"

