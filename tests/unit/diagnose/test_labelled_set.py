"""The labelled set through the real collectors: cause by cause, and that a look-alike never makes a rule act.

The table of expected and found causes is printed: `pytest -s tests/unit/diagnose/test_labelled_set.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from remediator.diagnose import COLLECTORS
from remediator.diagnose.cause import CAUSES, Row, first_of
from remediator.diagnose.diagnose import Diagnosis, diagnose
from remediator.diagnose.seen import Seen
from remediator.model import Cause, Plan
from remediator.rules.load import load_rules
from remediator.rules.plan import make_plan
from remediator.rules.schema import Rule
from remediator.rules.shipped import shipped_rules
from tests.unit.diagnose.labelled import Labelled, read_cases
from tests.workloads import case

TABLE = load_rules(shipped_rules())
CASES = read_cases()


def crash_loop() -> Rule:
    found = TABLE.rule("crash-loop")
    assert found is not None
    return found


async def diagnosed(one: Labelled, names: Sequence[str] = tuple(COLLECTORS)) -> Diagnosis:
    """By these collectors; a rule that says what its targets need looks at it too."""
    scene = one.scene()
    wanted = [*names, *(["dependencies"] if scene.dependencies else [])]
    return await diagnose(wanted, scene, patterns=TABLE.log_patterns)


def would_act(one: Labelled, rule: Rule, diagnosis: Diagnosis) -> bool:
    """Whether the rule has a plan, with a former release that was good and nothing else in the way."""
    scene = one.scene()
    decided = case(
        scene.workload,
        ledger=one.ledger(),
        findings=tuple(diagnosis.findings),
        cause=diagnosis.cause,
        target=scene.target,
        alert=scene.alert,
        rule=rule.name,
    )
    return isinstance(make_plan(rule, decided).answer, Plan)


@pytest.mark.parametrize("one", CASES, ids=str)
async def test_the_cause_is_the_one_of_the_label(one: Labelled) -> None:
    found = await diagnosed(one)

    assert found.cause is one.cause, [finding.summary for finding in found.evidence]


@pytest.mark.parametrize("one", CASES, ids=str)
async def test_the_crash_loop_rule_acts_where_it_may_and_nowhere_else(one: Labelled) -> None:
    rule = crash_loop()

    found = [would_act(one, rule, await diagnosed(one, names)) for names in (rule.diagnose, tuple(COLLECTORS))]

    assert found == [one.acts, one.acts]


@pytest.mark.parametrize("rule", TABLE.rules, ids=lambda rule: str(rule.name))
async def test_no_shipped_rule_acts_on_a_look_alike(rule: Rule) -> None:
    """`acts` says it of a crash; what a rule names besides (a bad rollout, a load) is what it is there for."""
    named = {cause for row in rule.respond if row.acts for cause in getattr(row.when, "cause", None) or ()}
    besides = named - {Cause.CODE_ERROR, Cause.CANNOT_START, Cause.IMAGE_ERROR}
    wrong = [
        str(one)
        for one in CASES
        if not one.acts
        and one.cause not in besides
        and would_act(one, rule, await diagnosed(one, rule.diagnose))
    ]

    assert wrong == []


async def test_expected_and_found_causes_are_the_same_table() -> None:
    confusion = Counter([(one.cause, (await diagnosed(one)).cause) for one in CASES])
    print(f"\n{len(CASES)} cases, {sum(one.acts for one in CASES)} of which may act")
    print(table_of(confusion))

    assert {pair for pair in confusion if pair[0] is not pair[1]} == set()
    assert {cause for cause, _ in confusion} == set(Cause)


def table_of(confusion: Mapping[tuple[Cause, Cause], int]) -> str:
    """Expected causes down, found ones across."""
    causes = [cause for cause in Cause if any(cause in pair for pair in confusion)]
    head = " " * 20 + "".join(f"{cause.value[:6]:>7}" for cause in causes)
    rows = [
        f"{down.value:<20}" + "".join(f"{confusion.get((down, across), 0) or '.':>7}" for across in causes)
        for down in causes
    ]
    return "\n".join([head, *rows])


async def test_every_row_of_the_table_is_needed() -> None:
    """Without any one row at least one case gets another cause."""
    seen = [(one, Seen((await diagnosed(one)).findings, TABLE.log_patterns)) for one in CASES]

    idle = [row.name for row in CAUSES if all(first_of(without(row), what).cause is one.cause for one, what in seen)]

    assert idle == []


def without(row: Row) -> Sequence[Row]:
    return [other for other in CAUSES if other is not row]


def test_there_are_enough_cases_and_most_are_look_alikes() -> None:
    assert len(CASES) >= 140
    assert sum(not one.acts for one in CASES) > len(CASES) / 2
    assert len({str(one) for one in CASES}) == len(CASES)
