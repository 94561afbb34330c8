"""What a backtest says of each alert, as values; `report.py` counts them, `against.py` compares two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Would(StrEnum):
    """What would have come of an alert, as far as history tells."""

    ACT = "act"
    """An action would have begun: all that its row and the guards that were asked rest on is told."""
    COULD = "could"
    """An action may have begun: `needs` says what it depends on that history does not tell."""
    HELD = "held"
    """A guard held it until the alert was over, the time to decide was, or the history."""
    REFUSED = "refused"
    """A guard said no."""
    SPEAK = "speak"
    """People would have been told or called; no row that acts was possible."""
    NOTHING = "nothing"
    """No rule, no target or no row."""
    UNTOLD = "untold"
    """Not even the target is told, or a guard could not look."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The last word on one episode of an alert.

    `at` is when it was decided; `action` is what the row does (`rollback`, `recommend or escalate`), `others` what
    other rows that are possible would do; `needs` is what history does not tell and it depends on, none: nothing of the
    row. `reason`, `guard` and `detail` are the service's own words; `seen` is what was told of the pods. `mode` is the
    rule's as written.
    """

    fingerprint: str
    labels: Mapping[str, str]
    began_at: datetime
    ended_at: datetime | None
    at: datetime
    would: Would
    rule: str = ""
    mode: str = ""
    target: str = ""
    action: str = ""
    others: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    reason: str = ""
    guard: str = ""
    detail: str = ""
    seen: str = ""

    @property
    def key(self) -> tuple[str, datetime]:
        """The same episode in a run of another table."""
        return self.fingerprint, self.began_at

    @property
    def acts(self) -> bool:
        return self.would in (Would.ACT, Would.COULD)


@dataclass(frozen=True, slots=True)
class Result:
    """`decided` are all episodes, the earliest first; `cut` is how many fired before the history began and are left
    out. `asked` are the guards that were, `not_asked` is guard -> why it was not. `table` names the rules."""

    begins: datetime
    ends: datetime
    step: timedelta
    fact_step: timedelta
    table: str
    rules: Sequence[str]
    digest: str
    decided: Sequence[Decided]
    cut: int
    asked: Sequence[str]
    not_asked: Mapping[str, str]
    not_told: Sequence[str]
