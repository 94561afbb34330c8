"""The format `json`: the stories themselves, as programs read them. The members are those of `story.py`.

Instants are RFC 3339 in UTC, lengths of time are seconds, and a value that was taken back is an object with the one
member `taken_back`, so that it cannot be taken for one that never was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

from remediator.clock import rfc3339
from remediator.export.content import TakenBack
from remediator.export.events import Event
from remediator.export.formats import Head
from remediator.export.story import Story
from remediator.model import Json

VERSION = "remediator.io/story/v1"


class AsJson:
    name = "json"
    media_type = "application/json"
    suffix = "json"

    def begin(self, head: Head) -> bytes:
        known: dict[str, Json] = {"format": VERSION, "exported_at": rfc3339(head.made_at)}
        if head.period is not None:
            known |= {"period": plain(head.period), "is_cut": head.is_cut}
        return f'{json.dumps(known)[:-1]}, "incidents": ['.encode("ascii")

    def incident(self, story: Story, head: Head, *, is_first: bool) -> bytes:
        lead = "\n" if is_first else ",\n"
        return f"{lead}{json.dumps(story_json(story, is_whole=head.is_whole))}".encode("ascii")

    def beside(self, events: Sequence[Event], head: Head) -> bytes:
        """Closes the list of incidents, so it is called last, with no events too."""
        return f'\n], "beside": {json.dumps(plain(list(events)))}'.encode("ascii")

    def end(self, head: Head) -> bytes:
        return b"}\n"


def story_json(story: Story, *, is_whole: bool) -> Json:
    """`whole`, the timeline of every event, only where it was asked for."""
    members = {one.name: getattr(story, one.name) for one in fields(story)}
    for name in ("records", "made_at", *(() if is_whole else ("whole",))):
        del members[name]
    found: Json = plain(members)
    found["facts"] |= {
        "time_to_recover_seconds": plain(story.facts.time_to_recover),
        "is_open": story.facts.is_open,
    }
    return found


def plain(value: Any) -> Json:
    """A value of this package as JSON."""
    if isinstance(value, TakenBack):
        return {"taken_back": {one.name: plain(getattr(value, one.name)) for one in fields(value)}}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
