"""The README's first command, in its active half: the real service against the embedded cluster."""

from __future__ import annotations

import json

import pytest

from remediator.cli.demo import run
from remediator.cli.output import Output


@pytest.mark.parametrize(("mode", "acts"), [("silent", False), ("active", True)])
def test_the_demo_tells_its_story(mode: str, acts: bool, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(mode, Output.JSON)

    (told,) = json.loads(capsys.readouterr().out)
    assert code == 0
    text = json.dumps(told)
    assert ("verified" in text) is acts
    assert "recommended" in text or "escalated" in text


def test_both_modes_at_once_are_told_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("both", Output.SIMPLE) == 0

    silent, _, active = capsys.readouterr().out.partition("mode active")
    for told, here, elsewhere in ((silent, "0 writes, 2 dry runs", "VERIFIED"), (active, "VERIFIED", "0 writes")):
        assert here in told
        assert elsewhere not in told


def test_a_mode_that_is_none_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("loud", Output.SIMPLE) == 2
    assert "expected silent, active or both" in capsys.readouterr().err
