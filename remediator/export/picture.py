"""The timeline as a picture: lanes, time, marks with the numbers of the list beside it, and bars for what lasted. Pure.

Two of one story: `across` for screens and paper, `down` for a telephone. Both are lists of shapes that the template
draws; colours are the style sheet's. What a mark means is told by its shape and its number too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.export.axis import Axis, axis_over
from remediator.export.events import Event
from remediator.export.story import Story
from remediator.export.words import BEGAN, Lane, Tone

LANES = tuple(Lane)
MAX_MARKS = 60
"""More stand in the list only."""

_APART = 23.0
"""Between the middles of two marks of one lane."""

_BAR = 14.0
_OPENS = {"switch.engaged": "switch.released", "pause.set": "pause.lifted"}


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    style: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    x1: float
    y1: float
    x2: float
    y2: float
    style: str


@dataclass(frozen=True, slots=True)
class Words:
    x: float
    y: float
    text: str
    style: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Mark:
    """`x`, `y` is where it is drawn; `number` is its line in the list."""

    x: float
    y: float
    number: int
    tone: Tone
    title: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Shapes in the order in which they are drawn, in the units of the view box."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    words: tuple[Words, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """What lasted, from 0 to 1 of the axis."""

    lane: Lane
    start: float
    end: float
    tone: Tone
    title: str


@dataclass(frozen=True, slots=True)
class Room:
    """Where time runs in a picture, in its units, and where the lanes are across it."""

    begin: float
    length: float
    lane_begin: float
    lane_width: float

    def at(self, place: float) -> float:
        return self.begin + place * self.length

    def middle(self, lane: Lane) -> float:
        return self.lane_begin + (LANES.index(lane) + 0.5) * self.lane_width


def across(story: Story) -> Picture:
    """Time from left to right, 960 units wide: the lanes are rows."""
    room = Room(begin=112, length=832, lane_begin=10, lane_width=46)
    axis, events = _axis(story), story.timeline[:MAX_MARKS]
    bottom = room.lane_begin + room.lane_width * len(LANES)
    ticks = axis.ticks(most=9)
    boxes = [
        Box(4, room.lane_begin + n * room.lane_width, 952, room.lane_width, "lane" if n % 2 else "lane odd")
        for n in range(len(LANES))
    ]
    for span in spans(story, axis):
        begin, length = _extent(span, room)
        boxes.append(Box(begin, room.middle(span.lane) - _BAR / 2, length, _BAR, f"span {span.tone}", span.title))
    lines = [Line(x := room.at(tick.place), room.lane_begin, x, bottom + 4, "tick") for tick in ticks]
    words = [Words(16, room.middle(lane) + 4, lane, "lane-name", "start") for lane in LANES]
    words += [Words(room.at(tick.place), bottom + 18, tick.label, "time") for tick in ticks]
    words += [Words(room.at(tick.place), bottom + 32, tick.day, "day") for tick in ticks if tick.day]
    words.append(Words(16, bottom + 18, "UTC", "day", "start"))
    marks = [
        Mark(along, room.middle(event.lane), number, event.tone, _title(event, number))
        for number, event, along in _placed(events, axis, room)
    ]
    lines += _threads(events, marks)
    return Picture(960, bottom + 40, tuple(boxes), tuple(lines), tuple(words), tuple(marks))


def down(story: Story) -> Picture:
    """Time from top to bottom, 360 units wide: the lanes are columns."""
    axis, events = _axis(story), story.timeline[:MAX_MARKS]
    crowd = max((sum(event.lane is lane for event in events) for lane in LANES), default=1)
    room = Room(begin=34, length=max(300.0, crowd * (_APART + 4)), lane_begin=58, lane_width=60)
    bottom = room.begin + room.length
    ticks = axis.ticks(most=8)
    boxes = [
        Box(room.lane_begin + n * room.lane_width, 4, room.lane_width, bottom + 4, "lane" if n % 2 else "lane odd")
        for n in range(len(LANES))
    ]
    for span in spans(story, axis):
        begin, length = _extent(span, room)
        boxes.append(Box(room.middle(span.lane) - _BAR / 2, begin, _BAR, length, f"span {span.tone}", span.title))
    lines = [Line(room.lane_begin - 4, y := room.at(tick.place), 358, y, "tick") for tick in ticks]
    words = [Words(room.middle(lane), 20, _SHORT.get(lane, lane), "lane-name") for lane in LANES]
    words += [Words(room.lane_begin - 7, room.at(tick.place) + 4, tick.label, "time", "end") for tick in ticks]
    words += [
        Words(room.lane_begin - 7, room.at(tick.place) + 17, tick.day, "day", "end") for tick in ticks if tick.day
    ]
    words.append(Words(room.lane_begin - 7, 20, "UTC", "day", "end"))
    marks = [
        Mark(room.middle(event.lane), along, number, event.tone, _title(event, number))
        for number, event, along in _placed(events, axis, room)
    ]
    lines += _threads(events, marks)
    return Picture(360, bottom + 12, tuple(boxes), tuple(lines), tuple(words), tuple(marks))


_SHORT = {Lane.VERIFICATION: "verify"}


def spans(story: Story, axis: Axis) -> Iterable[Span]:
    """What lasted: alerts, waits, verifications, and what people stopped."""
    end = axis.end
    for attempt in story.attempts[:MAX_MARKS]:
        firing = attempt.firing
        if firing is not None and firing.began_at is not None:
            until = firing.resolved_at or story.facts.recovered_at or end
            yield _span(axis, Lane.ALERT, firing.began_at, until, Tone.BAD, f"{firing.name} fires")
    last = end if story.facts.is_open else None
    for event, following, closing in _with_ends(story.timeline[:MAX_MARKS]):
        if event.kind in ("decision.held", "decision.awaiting-approval"):
            until = following or last or event.ended_at
            yield _span(axis, Lane.DECISION, event.at, until, Tone.WAITS, f"{event.title}: {event.reason}")
        elif event.kind == "action.applied":
            yield _span(axis, Lane.VERIFICATION, event.at, following or last or event.at, Tone.PLAIN, "verifying")
        elif event.kind in _OPENS:
            until = min(closing or end, event.until or end)
            yield _span(axis, Lane.PEOPLE, event.at, until, Tone.WAITS, event.title)


def _with_ends(events: Sequence[Event]) -> Sequence[tuple[Event, datetime | None, datetime | None]]:
    """Each event with when the next one of its remediation came, and when what it opened was closed."""
    found = []
    of_remediation: dict[int, datetime] = {}
    of_kind: dict[str, datetime] = {}
    for event in reversed(events):
        own = None if event.remediation is None else of_remediation.get(event.remediation)
        found.append((event, own, of_kind.get(_OPENS.get(event.kind, ""))))
        of_kind[event.kind] = event.at
        if event.remediation is not None:
            of_remediation[event.remediation] = event.at
    return found[::-1]


def _span(axis: Axis, lane: Lane, start: datetime, end: datetime, tone: Tone, title: str) -> Span:
    return Span(lane, axis.place(start), axis.place(max(start, end)), tone, title)


def _extent(span: Span, room: Room) -> tuple[float, float]:
    begin = room.at(span.start)
    return begin, max(3.0, room.at(span.end) - begin)


def _axis(story: Story) -> Axis:
    instants = [at for event in story.timeline for at in (event.at, event.ended_at)]
    facts = story.facts
    instants += [at for at in (facts.closed_at, facts.recovered_at) if at is not None]
    if not instants:
        instants = [story.made_at]
    if facts.is_open:  # a little of the time since, so that what goes on is seen to go on
        last, first = max(instants), min(instants)
        instants.append(min(max(story.made_at, last), last + max((last - first) / 4, timedelta(minutes=5))))
    return axis_over(instants)


def _placed(events: Sequence[Event], axis: Axis, room: Room) -> Iterable[tuple[int, Event, float]]:
    """Each event with its number and its place along the axis, those of one lane beside each other."""
    for lane in LANES:
        own = [(number, event) for number, event in enumerate(events, start=1) if event.lane is lane]
        wanted = [room.at(axis.place(event.at)) for _, event in own]
        for (number, event), along in zip(own, _apart(wanted, room), strict=True):
            yield number, event, along


def _apart(wanted: Sequence[float], room: Room) -> list[float]:
    """The same places in the same order, moved so that no two marks cover each other, if they all fit in."""
    apart = min(_APART, room.length / max(1, len(wanted)))
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + apart) if places else place)
    last = room.begin + room.length
    for number in range(len(places) - 1, -1, -1):
        places[number] = min(places[number], last)
        last = places[number] - apart
    return places


def _threads(events: Sequence[Event], marks: Sequence[Mark]) -> list[Line]:
    """From each mark to the one that it followed from."""
    by_number = {mark.number: mark for mark in marks}
    return [
        Line(by_number[event.follows].x, by_number[event.follows].y, by_number[number].x, by_number[number].y, "thread")
        for number, event in enumerate(events, start=1)
        if event.follows in by_number and number in by_number
    ]


def _title(event: Event, number: int) -> str:
    detail = f": {event.detail}" if event.detail else ""
    what = f"{event.title} {event.detail}" if event.kind == BEGAN else f"{event.title}{detail}"
    return f"{number}. {event.at:%H:%M:%SZ} {what}"
