"""The table of formats, in the order in which they are offered. A new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.export.as_json import AsJson
from remediator.export.cloud_events import CloudEvents
from remediator.export.comma_separated import CommaSeparated
from remediator.export.formats import Format
from remediator.export.html import Html
from remediator.export.json_lines import JsonLines
from remediator.export.markdown import Markdown

FORMATS: Mapping[str, Format] = {
    one.name: one for one in (Markdown(), Html(), CommaSeparated(), JsonLines(), CloudEvents(), AsJson())
}
