"""The configurations of Alertmanager in `tests/data/alertmanager`, and what each is planted with.

A bad one says in its first lines `# finds: CODE LEVEL`, and where it differs `# rules: FILE` and `# receiver: NAME`.
The line that the finding is about ends with `# here`, in it or in those rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from remediator.lint.routing.alerts import Raised, read_alerts
from remediator.lint.routing.config import read_config
from remediator.lint.routing.review import review_routing
from remediator.rules.load import load_rules
from remediator.rules.report import Problem
from remediator.rules.ruleset import RuleSet
from remediator.rules.shipped import shipped_rules
from remediator.settings import Settings
from remediator.watchdog import awaited

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests" / "data" / "alertmanager"
GOOD = sorted((FOLDER / "good").glob("*.yaml"))
BAD = sorted((FOLDER / "bad").glob("*.yaml"))
PROMETHEUS = [*sorted((FOLDER / "prometheus").glob("*.yaml")), ROOT / "deploy" / "prometheus" / "alerts.yaml"]
TABLE: RuleSet = load_rules(shipped_rules())
RAISED: Sequence[Raised] = read_alerts(PROMETHEUS)
WATCHDOG = awaited(Settings.model_construct())
"""As a service without settings awaits it."""


@dataclass(frozen=True, slots=True)
class Planted:
    """What a bad file is to give, and what it is read with."""

    code: str
    level: str
    place: str
    rules: Path | None
    receiver: str | None


def planted(file: Path) -> Planted:
    text = file.read_text(encoding="utf-8")
    said = dict(re.findall(r"^# (finds|rules|receiver): (.*)$", text, re.MULTILINE))
    code, level = said["finds"].split()
    rules = FOLDER / "rules" / said["rules"] if "rules" in said else None
    [place] = [
        f"{each.name}:{number}"
        for each in (file, *([rules] if rules else []))
        for number, line in enumerate(each.read_text(encoding="utf-8").splitlines(), 1)
        if line.endswith("# here")
    ]
    return Planted(code, level, place, rules, said.get("receiver"))


def found_in(file: Path, *, rules: Path | None = None, receiver: str | None = None) -> Sequence[Problem]:
    """What the lint says of it, with Prometheus' rules and these of ours, else the shipped ones."""
    table = load_rules(rules) if rules is not None else TABLE
    config = read_config(str(file), file.read_bytes())
    return review_routing(config, table, RAISED, receiver=receiver, watchdog=WATCHDOG)
