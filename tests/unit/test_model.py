"""The nouns and the states."""

from __future__ import annotations

from remediator import model
from remediator.model import TERMINAL, TRANSITIONS, Mode, State, most_cautious


def test_the_picture_of_states_is_the_table() -> None:
    """The diagram that people read in the module's docstring says what the table does."""
    drawn: dict[str, set[str]] = {}
    for line in (model.__doc__ or "").splitlines():
        if "->" in line:
            left, right = line.split("->")
            drawn[left.strip()] = set(right.split())

    assert drawn == {state.value: {to.value for to in reached} for state, reached in TRANSITIONS.items()}


def test_every_state_is_reached_and_ends_somewhere() -> None:
    """No state that nothing leads to, and from each one a final state can be reached."""
    reached = {to for some in TRANSITIONS.values() for to in some}
    assert reached | {State.QUEUED} == set(State)
    for state in TRANSITIONS:
        seen, ahead = {state}, [state]
        while ahead:
            for to in TRANSITIONS.get(ahead.pop(), frozenset()) - seen:
                seen.add(to)
                ahead.append(to)
        assert seen & TERMINAL, state


def test_nothing_leads_to_a_write_but_a_plan() -> None:
    """`acting` has one way in, a plan that the guards have just seen; its further requests follow the first."""
    assert [state for state, to in TRANSITIONS.items() if State.ACTING in to] == [State.PLANNED, State.ACTING]


def test_the_most_cautious_mode_wins() -> None:
    assert most_cautious(Mode.ACTIVE, Mode.SILENT, Mode.APPROVE) is Mode.SILENT
    assert most_cautious(Mode.ACTIVE, Mode.OFF) is Mode.OFF
    assert most_cautious(Mode.ACTIVE) is Mode.ACTIVE
