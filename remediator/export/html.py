"""The format `html`: the post-mortem as one file, with the timeline as a picture, that prints well and needs no script.

Light and dark as the reader's machine is, one column on a telephone, two pages or so on paper.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.export.content import TakenBack
from remediator.export.events import Event
from remediator.export.formats import Head
from remediator.export.pages import page, style_sheet
from remediator.export.story import ROLES, TO_FILL, Story
from remediator.export.texts import filters_of, period_words, shown_attempts


class Html:
    name = "html"
    media_type = "text/html"
    suffix = "html"

    def begin(self, head: Head) -> bytes:
        begun = page("page.html", tz=head.tz, head=head, style=style_sheet())
        if head.period is None:
            return begun
        words, filters = period_words(head.period), filters_of(head.period)
        return begun + page("period.html", tz=head.tz, head=head, words=words, filters=filters)

    def incident(self, story: Story, head: Head, *, is_first: bool) -> bytes:
        if head.period is not None:
            return page("short.html", tz=head.tz, head=head, story=story)
        full, named = shown_attempts(story.attempts)
        gone = [one for one in story.diagnoses.values() if isinstance(one, TakenBack)]
        known = {"roles": ROLES, "to_fill": TO_FILL, "full": full, "named": named, "gone_diagnoses": gone}
        return page("incident.html", tz=head.tz, head=head, story=story, **known)

    def beside(self, events: Sequence[Event], head: Head) -> bytes:
        return page("beside.html", tz=head.tz, head=head, events=events) if events else b""

    def end(self, head: Head) -> bytes:
        to_fill = b"" if head.period is None else page("fill.html", tz=head.tz, roles=ROLES, to_fill=TO_FILL)
        return to_fill + page("end.html", tz=head.tz, head=head)
