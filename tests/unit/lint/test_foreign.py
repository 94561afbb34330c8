"""Files of other programs may hold anything: there is an answer or a FileError whatever stands where."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.lint.manifests import accounts, compare, granted, read
from remediator.lint.routing.alerts import read_alerts
from remediator.lint.routing.config import read_config
from remediator.lint.routing.review import review_routing
from remediator.rules.document import MAX_NODES, read_foreign
from remediator.rules.report import FileError
from tests.unit.lint.alertmanagers import GOOD, PROMETHEUS, RAISED, ROOT, TABLE

ODD: tuple[Any, ...] = (None, True, 5, -1.5, "", "x", [], ["x"], [[]], {}, {"a": 1}, [{"a": None}])


def spoilt(value: Any, chance: random.Random) -> Any:
    """The value with something else in the place of one of its parts."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.15:
        return chance.choice(ODD)
    key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    new = dict(value) if isinstance(value, dict) else list(value)
    new[key] = spoilt(value[key], chance)
    return new


@pytest.mark.parametrize("seed", range(0, 400, 50))
def test_an_alertmanager_configuration_of_any_shape(seed: int) -> None:
    configs = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in GOOD]
    for number in range(seed, seed + 50):
        chance = random.Random(number)
        text = yaml.safe_dump(spoilt(spoilt(chance.choice(configs), chance), chance))
        try:
            config = read_config("am.yml", text.encode())
        except FileError:
            continue
        review_routing(config, TABLE, RAISED)


def test_rule_files_and_manifests_of_any_shape(tmp_path: Path) -> None:
    rules = [yaml.safe_load(PROMETHEUS[0].read_text(encoding="utf-8"))]
    file = tmp_path / "file.yaml"
    roles = [one for one in read([ROOT / "deploy" / "kustomize"]) if "ole" in one["kind"]]
    for number in range(150):
        chance = random.Random(number)
        file.write_text(yaml.safe_dump(spoilt(chance.choice(rules), chance)), encoding="utf-8")
        read_alerts([file])
        file.write_text(yaml.safe_dump_all([spoilt(one, chance) for one in roles]), encoding="utf-8")
        objects = read([file])
        for account in accounts(objects):
            compare([], list(granted(objects, account)))


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: &x [1, 2]\nb: *x\n", [{"a": [1, 2], "b": [1, 2]}]),
        ("a: &x {k: 1}\nb: {<<: *x, l: 2}\n", [{"a": {"k": 1}, "b": {"k": 1, "l": 2}}]),
        ("a: &x {k: 1}\nb: {<<: *x, k: 2}\n", [{"a": {"k": 1}, "b": {"k": 2}}]),
        ("a: &x {k: 1}\nb: {<<: [*x, {l: 3}]}\n", [{"a": {"k": 1}, "b": {"k": 1, "l": 3}}]),
        ("a: 1\n---\nb: 2026-11-26\n", [{"a": 1}, {"b": "2026-11-26"}]),
        ("a: !!str 1\n", [{"a": "1"}]),
        ("", []),
    ],
)
def test_what_others_write_is_read(text: str, data: Any) -> None:
    source = read_foreign("file", text.encode())
    assert (source.data, source.problems) == (data, [])


def test_parts_meant_by_an_alias_stand_where_they_were_written() -> None:
    source = read_foreign("file", b"a: &x {k: 1}\nb: *x\nc: {<<: *x}\n")
    assert [source.spot((0, *path)) for path in (("b", "k"), ("c", "k"))] == [(0, 10), (0, 10)]


def test_aliases_of_aliases_are_bounded() -> None:
    """Nine lines can mean a thousand million nodes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    source = read_foreign("file", "\n".join(lines).encode())
    assert source.data is None
    assert f"more than {MAX_NODES} nodes" in source.problems[-1].text
