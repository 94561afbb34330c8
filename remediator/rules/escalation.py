"""The escalation matrix: who is told that people are needed, in what order, and how long each has to answer.

Part of the rule table, as data: `contacts:` are its rows, one for each kind of issue, and `pace:` says how soon the
next of a row is told. `journal.py` asks it whom to call, step 10 of the pipeline who is next. Pure. Where no contacts
are given there is one row that names nobody: whoever hears is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from remediator.reasons import Reason
from remediator.rules.severity import LEAST
from remediator.store.escalations_base import Call, Escalation, Following, Further
from remediator.units import Duration, between, format_duration

DEFAULT = "default"
"""The row for whatever names none."""

INFRASTRUCTURE = "infrastructure"
"""The row for what is no single workload's problem, where there is one of that name."""

MOST_REMINDERS = 10
"""How often the last of a row is told again before it is said that nobody answers."""

IF_UNKNOWN = 3
"""The severity of what went wrong before a rule said how severe it is."""

DEFAULT_PACE: Mapping[int, timedelta] = {
    1: timedelta(minutes=5),
    2: timedelta(minutes=15),
    3: timedelta(hours=1),
    4: timedelta(hours=8),
}

Contact = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
PaceTime = Annotated[Duration, between(timedelta(minutes=1), timedelta(days=7))]


class ContactRow(BaseModel):
    """One row of the matrix."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(default="", max_length=2000, description="For which kind of issue, for people.")
    tell: tuple[Contact, ...] = Field(
        min_length=1,
        max_length=20,
        description="Who is told, in this order: each when the one before did not acknowledge in time. Names of "
        "people, teams or rotas, as whatever hears of it knows them.",
    )


NOBODY_NAMED = ContactRow(tell=("people",))


@dataclass(frozen=True, slots=True)
class EscalationMatrix:
    """Row name -> who is told, with `default` among them; severity -> time without an answer until the next is told,
    complete for 1 to 4. Make it with `escalation_matrix`."""

    contacts: Mapping[str, ContactRow] = field(default_factory=lambda: {DEFAULT: NOBODY_NAMED})
    pace: Mapping[int, timedelta] = field(default_factory=lambda: DEFAULT_PACE)

    def row(self, name: str | None) -> str:
        """The name of the row that holds for this one: its own, or the default, also when a newer table lost it."""
        return name if name is not None and name in self.contacts else DEFAULT

    def tell(self, name: str) -> tuple[str, ...]:
        """Who is told by that row, in order."""
        return self.contacts[self.row(name)].tell

    def wait(self, severity: int) -> timedelta:
        """How long each has to answer."""
        return self.pace[min(max(severity, 1), LEAST)]

    def call(self, name: str | None, *, severity: int | None, reason: Reason, detail: str) -> Call:
        """The first of the row that holds, to be told that people are needed."""
        row, level = self.row(name), IF_UNKNOWN if severity is None else severity
        return Call(row, self.tell(row)[0], self.wait(level), level, reason, detail)

    def following(self, one: Escalation) -> Following:
        """What comes next for one that nobody acknowledged in time. The row is as it is now, also if it was shorter."""
        row, wait = self.tell(one.contact), self.wait(one.severity)
        if one.level < len(row):
            return Following(Further.PASSED_ON, row[one.level], wait)
        if one.reminders < MOST_REMINDERS:
            return Following(Further.REMINDED, row[-1], wait)
        return Following(Further.UNANSWERED, one.told, None)

    def as_json(self) -> Mapping[str, object]:
        """For the table's digest."""
        return {
            "contacts": {name: row.model_dump(mode="json") for name, row in self.contacts.items()},
            "pace": {str(severity): format_duration(wait) for severity, wait in self.pace.items()},
        }


def escalation_matrix(
    contacts: Mapping[str, ContactRow] | None = None, pace: Mapping[int, timedelta] | None = None
) -> EscalationMatrix:
    """The rows given, and the defaults for what they leave open. `contacts` hold `default`, or are none at all."""
    rows = {DEFAULT: NOBODY_NAMED, **(contacts or {})}
    return EscalationMatrix(rows, {**DEFAULT_PACE, **(pace or {})})
