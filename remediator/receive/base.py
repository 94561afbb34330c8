"""What the parts of the receiver share: what can be wrong with what arrived.

The first step of the way of an alert; `strict_json.py`, `payload.py` and `server.py` use these.
"""

from __future__ import annotations

from dataclasses import dataclass

from remediator.errors import PermanentError, cut


class BadBody(PermanentError):
    """The body as a whole cannot be used: answered with 400, since the same bytes will never be right.

    `place` is a path (`alerts[3].startsAt`), a position (`line 2 column 7`) or the offending token itself.
    """

    def __init__(self, place: str, problem: str) -> None:
        self.place = cut(place.encode("utf-8", "replace").decode("utf-8"), max_length=120)
        self.problem = cut(problem, max_length=300)
        super().__init__(f"{self.place}: {self.problem}")


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One alert of a good body that cannot be used. The others of the body are accepted; this one is reported.

    `element` is its JSON as it arrived, escaped to ASCII and cut. `credential` is the one that may not speak of it;
    empty: nobody could use it.
    """

    place: str
    problem: str
    element: str
    credential: str = ""
