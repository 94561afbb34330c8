"""Values go through the database and come back equal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remediator.clock import SystemClock
from remediator.model import ActionId, Alert, AlertStatus, Json, Mode, Plan, Proof, Request, State, Step, Target, ToldBy
from remediator.reasons import Reason
from remediator.store.base import Change
from remediator.store.opening import open_database
from remediator.store.rows import from_micros, to_micros
from tests.unit.store.examples import LEASE, NOTE, NOW, queued

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(texts, json_values, max_size=3)
labels = st.dictionaries(texts, texts, max_size=4)
instants = st.datetimes(timezones=st.just(UTC))
durations = st.timedeltas(timedelta(0), timedelta(days=400))
targets = st.builds(Target, cluster=texts, kind=texts, namespace=texts, name=texts, uid=texts)
requests = st.builds(Request, method=texts, path=texts, content_type=texts, body=json_values, query=labels)
proofs = st.builds(
    Proof, expect=st.lists(texts, max_size=3).map(tuple), within=durations, stable_for=durations, otherwise=texts
)
steps = st.builds(
    Step,
    request=requests,
    touched=targets,
    told_by=st.sampled_from(ToldBy),
    generation=st.none() | st.integers(0, 2**62),
    pointer=st.lists(texts | st.integers(0, 9), max_size=3).map(tuple),
    before=json_values,
    after=json_values,
    inverse=st.none() | requests,
    after_observed=st.booleans(),
)
plans = st.builds(
    Plan,
    action=texts,
    action_id=texts.map(ActionId),
    target=targets,
    steps=st.lists(steps, max_size=3).map(tuple),
    proof=proofs,
    generation=st.integers(0, 2**62),
    template_hash=texts,
    restore_after=st.none() | durations,
    summary=texts,
    before=json_values,
    after=json_values,
    details=json_objects,
)
firing_alerts = st.builds(
    Alert,
    fingerprint=texts,
    status=st.just(AlertStatus.FIRING),
    labels=labels,
    annotations=labels,
    starts_at=instants,
    ends_at=st.none(),
    generator_url=texts,
    receiver=texts,
    group_key=texts,
    truncated=st.integers(0, 2**62),
    credential=texts,
)
changes = st.builds(
    Change,
    reason=st.none() | st.sampled_from(Reason),
    rule=st.none() | texts,
    severity=st.none() | st.integers(1, 4),
    mode=st.none() | st.sampled_from(Mode),
    target=st.none() | targets,
    plan=st.none() | plans,
    acted_at=st.none() | instants,
    due_at=st.just(NOW),
    tries=st.none() | st.integers(0, 1000),
    progress=st.none() | json_objects,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(firing_alerts, changes)
async def test_a_remediation_is_read_as_it_was_written(alert: Alert, change: Change) -> None:
    store = await open_database("sqlite:///:memory:", clock=SystemClock())
    [remediation] = await queued(store, alert)
    assert remediation.alert == alert
    written = await store.advance(remediation, to=State.DIAGNOSING, record=NOTE, at=NOW, change=change)
    await store.release(written, due_at=NOW, progress=written.progress)
    [read] = await store.claim(owner="worker", at=NOW, lease=LEASE, limit=1)
    assert {name: getattr(read, name) for name in _FIELDS} == {name: getattr(written, name) for name in _FIELDS}
    await store.close()


_FIELDS = ("alert", "state", "reason", "rule", "severity", "mode", "target", "plan", "acted_at", "tries", "progress")


@given(instants)
def test_instants_keep_every_microsecond(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant


def test_instants_compare_as_their_numbers() -> None:
    assert to_micros(NOW) < to_micros(NOW + timedelta(microseconds=1))


@pytest.mark.parametrize("naive", [datetime(2026, 1, 1), datetime.min])
def test_refuses_a_time_without_a_zone(naive: Any) -> None:
    with pytest.raises(ValueError, match="without a zone"):
        to_micros(naive)
