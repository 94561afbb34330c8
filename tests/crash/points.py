"""Where a process can be killed on the way of one alert, by name, and in the order in which they come.

Nothing of the service knows of them. A point is before or after a call that `pipeline.py` makes: the steps are its
global names, their ends are the methods of the journal. The process that is to die wraps that one call
(`service_child.py`). Two points lie in the transaction, between the statements and the COMMIT, and those of the
`Wire` are on the API server's side, which kills the process that asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from remediator.model import State


class Side(StrEnum):
    BEFORE = "before"
    AFTER = "after"


class Wire(StrEnum):
    """What the API server does with a real write of a process that it kills."""

    LATE = "late"
    """The request is done only once the next process runs."""
    DONE = "done"
    """It is done and its reply goes nowhere."""


@dataclass(frozen=True, slots=True)
class Point:
    """`call` is `module:name` or `module:Class.method`; `counts` says of its result, or of its arguments if it is
    before, whether this call is meant; `nth` of those it is. `wire`: the point is the `nth` write at the API server."""

    name: str
    call: str = ""
    side: Side = Side.AFTER
    nth: int = 1
    counts: Callable[[Any], bool] = lambda _: True
    wire: Wire | None = None


def _moves_to(*states: State) -> Callable[[Any], bool]:
    return lambda remediation: remediation.state in states


_SETTLED = (State.VERIFIED, State.TEMPORARY, State.FAILED)
_BACK = (State.REVERTING, State.RESTORING)
PIPELINE, JOURNAL = "remediator.pipeline", "remediator.journal:Journal"
QUEUE, DATABASE = "remediator.store.queue", "remediator.store.database:Database"

FORWARD = (
    Point("received-not-stored", "remediator.app:admit", Side.BEFORE),
    Point("stored-not-answered", "remediator.app:admit"),
    Point("claimed-not-committed", f"{QUEUE}:claim", counts=bool),
    Point("claimed", f"{DATABASE}.claim", counts=bool),
    Point("begun", f"{JOURNAL}.begin"),
    Point("matched", f"{PIPELINE}:match"),
    Point("target-found", f"{PIPELINE}:resolve"),
    Point("diagnosed", f"{PIPELINE}:diagnose"),
    Point("planned-not-stored", f"{PIPELINE}:make_plan"),
    Point("planned", f"{JOURNAL}.planned"),
    Point("guarded", f"{PIPELINE}:check"),
    Point("intent-not-committed", f"{QUEUE}:advance", counts=_moves_to(State.ACTING)),
    Point("intent-committed", f"{JOURNAL}.intend"),
    Point("before-send", f"{PIPELINE}:act", Side.BEFORE),
    Point("sent-not-arrived", wire=Wire.LATE),
    Point("done-not-replied", wire=Wire.DONE),
    Point("replied-not-recorded", f"{PIPELINE}:act"),
    Point("recorded-not-committed", f"{QUEUE}:advance", counts=_moves_to(State.VERIFYING)),
    Point("recorded", f"{JOURNAL}.acted"),
    Point("looked", f"{PIPELINE}:verify"),
    Point("looked-thrice", f"{PIPELINE}:verify", nth=3),
    Point("before-settled", f"{JOURNAL}.concluded", Side.BEFORE),
    Point("settled-not-committed", f"{QUEUE}:advance", counts=_moves_to(*_SETTLED)),
    Point("settled", f"{JOURNAL}.concluded"),
    Point("before-told", "remediator.sinks.kubernetes_event:KubernetesEventSink.tell", Side.BEFORE),
    Point("told-not-noted", f"{DATABASE}.move_cursor", Side.BEFORE),
    Point("told", f"{DATABASE}.move_cursor"),
)
"""Every action comes by these."""

BACKWARD = (
    Point("inverse-not-intended", f"{JOURNAL}._intend_undo", Side.BEFORE),
    Point("inverse-intent-not-committed", f"{QUEUE}:advance", counts=_moves_to(*_BACK)),
    Point("inverse-intended", f"{JOURNAL}._intend_undo"),
    Point("inverse-before-send", f"{PIPELINE}:undo", Side.BEFORE),
    Point("inverse-sent-not-arrived", nth=2, wire=Wire.LATE),
    Point("inverse-done-not-replied", nth=2, wire=Wire.DONE),
    Point("inverse-replied-not-recorded", f"{PIPELINE}:undo"),
    Point("inverse-recorded", f"{JOURNAL}.undone"),
)
"""Also these, where what was done is taken back or given back."""

POINTS = {point.name: point for point in (*FORWARD, *BACKWARD)}
