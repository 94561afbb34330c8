"""Pages from the templates beside this file: one environment, in which nothing from outside becomes markup.

Every value that a template prints is made harmless to look at first (`printable.py`) and then escaped by jinja2's own
autoescape; there is no script, and a policy in the page forbids what should not be there. Pure but for the templates,
which are read once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from markupsafe import Markup

from remediator.export import picture
from remediator.export.content import TakenBack
from remediator.export.facts import Facts, Recovery
from remediator.export.printable import lines, one_line
from remediator.export.proof_lines import proof_lines
from remediator.export.texts import LOG_LINES, MAX_EVENTS, has_change, moments_of, rule_yaml
from remediator.export.times import both, length, local, utc
from remediator.export.words import Tone

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.runtime import Context

_LOOKS = {"passed": Tone.GOOD, "failed": Tone.BAD, "waiting": Tone.WAITS, "unknown": Tone.WAITS}
_BAD = frozenset({"failed", "unknown", "escalated", "expired", "reverted"})
_DIFF = {"+": "add", "-": "del", "@": "at"}


def page(template: str, *, tz: ZoneInfo | None, **values: Any) -> bytes:
    """The template filled in, in UTF-8. `tz` is the zone whose time stands beside UTC."""
    values |= {"tz": tz, "max_events": MAX_EVENTS}
    text = _environment().get_template(template).render(values)
    return text.encode("utf-8", "backslashreplace")


@cache
def style_sheet() -> Markup:
    """Our own file, and the only text that goes into a page as it is."""
    return Markup((files(__package__) / "templates" / "style.css").read_text(encoding="utf-8"))


@cache
def _environment() -> Environment:
    # With the first page: a service that is never asked for one does without 2 MiB.
    from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context

    environment = Environment(
        loader=PackageLoader("remediator.export"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
        auto_reload=False,
    )
    environment.filters |= {
        "across": picture.across,
        "down": picture.down,
        "clock": lambda at: f"{utc(at)[11:]}",
        "date": lambda at: utc(at)[:10],
        "utc": utc,
        "local_time": pass_context(_local_time),
        "cell": pass_context(_cell),
        "px": lambda number: f"{number:.1f}".removesuffix(".0"),
        "moments": moments_of,
        "length_of": length,
        "has_change": has_change,
        "is_gone": lambda value: isinstance(value, TakenBack),
        "is_link": lambda url: url.startswith(("http://", "https://")),
        "last_lines": lambda text: lines(text, max_lines=LOG_LINES),
        "proof_lines": lambda proof: list(proof_lines(proof)),
        "rule_lines": lambda rule: rule_yaml(rule).removesuffix("\n").split("\n"),
        "look_tone": lambda look: _LOOKS.get(look, Tone.PLAIN),
        "outcome_tone": outcome_tone,
        "diff_style": lambda line: _DIFF.get(line[:1], "same"),
    }
    return environment


def _local_time(context: Context, at: datetime) -> str:
    """The time of the page's zone, without the date where that is the same day."""
    shown = local(at, context["tz"])
    return shown[11:] if shown[:10] == utc(at)[:10] else shown


def _cell(context: Context, value: Any) -> str:
    """A cell of a report as text."""
    if isinstance(value, datetime):
        return both(value, context["tz"])
    if isinstance(value, timedelta):
        return length(value)
    return "-" if value is None or value == "" else str(value)


def outcome_tone(facts: Facts) -> Tone:
    """How an incident stands, for the colour of its chip; the word says the same."""
    if facts.recovery is Recovery.AFTER_ACTION:
        return Tone.GOOD
    if facts.is_open:
        return Tone.WAITS
    return Tone.BAD if facts.outcome in _BAD else Tone.PLAIN


def _harmless(value: Any) -> Any:
    """What a template prints: text without what cannot be seen. Our own markup passes."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, str | TakenBack):
        return one_line(str(value))
    if isinstance(value, datetime):
        return utc(value)
    return value

