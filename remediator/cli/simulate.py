"""`remediator simulate`: what would be decided of recorded alerts, and why. Nothing is touched.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 simulated, 1 a server
that was named did not answer, 2 misuse. The same pipeline decides as in the service; see `simulate/simulation.py`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from remediator.alertmanager.client import AlertmanagerApi
from remediator.cli.output import Output
from remediator.cli.reading import FAILED, GOOD, MISUSED, clean
from remediator.clock import SystemClock, parse_rfc3339, rfc3339
from remediator.errors import ConfigError, RemediatorError
from remediator.export.as_json import plain
from remediator.export.attempts import Attempt
from remediator.export.proof_lines import proof_lines
from remediator.log_format import configure_logging
from remediator.model import Mode
from remediator.prometheus.client import PrometheusMetrics
from remediator.receive.base import BadBody
from remediator.rules.load import load_rules
from remediator.rules.shipped import shipped_rules
from remediator.simulate.bodies import Delivery, of_api, read_deliveries
from remediator.simulate.dump import Dump, read_dump
from remediator.simulate.simulation import FOLLOW, Setting, Simulated, Simulation, simulate
from remediator.simulate.tables import in_mode

WORDS = {
    "decision.recommended": "RECOMMEND",
    "decision.held": "HOLD",
    "decision.awaiting-approval": "ASK",
    "decision.escalated": "ESCALATE",
    "decision.declined": "DECLINE",
    "decision.cancelled": "CANCEL",
    "decision.expired": "EXPIRE",
    "action.intent": "ACT",
}
LABELS_FIRST = ("namespace", "deployment", "statefulset", "daemonset", "pod", "container", "service", "node")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, as it was given."""

    bodies: Sequence[Path]
    rules: Sequence[Path] = ()
    dumps: Sequence[Path] = ()
    is_complete: bool = False
    alertmanagers: Sequence[str] = ()
    alertmanager_token: Path | None = None
    alertmanager_ca: Path | None = None
    prometheus: str | None = None
    prometheus_token: Path | None = None
    prometheus_ca: Path | None = None
    assumes_firing: bool = False
    mode: str | None = None
    at: str | None = None
    is_together: bool = False


def run(wanted: Wanted, output: Output) -> int:
    """Print what becomes of each alert. Files are told apart: each as if nothing else had come."""
    configure_logging("critical", log_format="console")
    try:
        setting, deliveries = _read(wanted)
        told = asyncio.run(_simulated(wanted, setting, deliveries))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISUSED
    except RemediatorError as error:
        print(f"error: {clean(str(error))}", file=sys.stderr)
        return FAILED
    if output is Output.JSON:
        print(json.dumps(_as_json(setting, told), indent=2))
    else:
        print("\n".join(_lines(setting, told)))
    return GOOD


Told = Sequence[tuple[Delivery, datetime, Simulation]]
"""Each delivery, the time that it was simulated at, and what came of it."""


def _read(wanted: Wanted) -> tuple[Setting, list[Delivery]]:
    """Everything that files say. Raises ConfigError."""
    if not (wanted.bodies or wanted.alertmanagers):
        raise ConfigError("nothing to simulate: name a webhook body's file, or --from-alertmanager URL")
    mode = _mode(wanted.mode)
    table = load_rules(*(wanted.rules or (shipped_rules(),)))
    dump = read_dump(wanted.dumps, is_complete=wanted.is_complete) if wanted.dumps else Dump()
    at = SystemClock().now() if wanted.at is None else _instant(wanted.at)
    is_live = bool(wanted.alertmanagers or wanted.prometheus)
    setting = Setting(
        dump=dump,
        table=table if mode is None else in_mode(table, mode),
        mode=mode or Mode.SILENT,
        at=at,
        assumes_firing=wanted.assumes_firing,
        follow=timedelta() if is_live else FOLLOW,
    )
    return setting, read_deliveries(wanted.bodies)


def _mode(text: str | None) -> Mode | None:
    try:
        return None if text is None else Mode(text)
    except ValueError:
        raise ConfigError(f"--mode {text}: expected {', '.join(Mode)}") from None


def _instant(text: str) -> datetime:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise ConfigError(f"--at {text}: expected a time like 2026-11-23T12:00:00Z") from error


async def _simulated(wanted: Wanted, setting: Setting, deliveries: list[Delivery]) -> Told:
    alertmanager = metrics = None
    if wanted.alertmanagers:
        token, ca = wanted.alertmanager_token, wanted.alertmanager_ca
        alertmanager = AlertmanagerApi(wanted.alertmanagers, token_file=token, ca_file=ca)
    if wanted.prometheus:
        token, ca = wanted.prometheus_token, wanted.prometheus_ca
        metrics = PrometheusMetrics(wanted.prometheus, SystemClock(), token_file=token, ca_file=ca)
    try:
        if alertmanager is not None:
            listed = await alertmanager.alerts()
            deliveries = [*deliveries, of_api(listed, ", ".join(wanted.alertmanagers))]
        if wanted.is_together:
            deliveries = [_joined(deliveries)]
        found = []
        for delivery in deliveries:
            at = _time_of(delivery, setting, wanted)
            now = replace(setting, at=at, metrics=metrics, alertmanager=alertmanager)
            found.append((delivery, at, await _of_one(delivery, now)))
        return found
    finally:
        if alertmanager is not None:
            await alertmanager.close()
        if metrics is not None:
            await metrics.close()


async def _of_one(delivery: Delivery, setting: Setting) -> Simulation:
    try:
        return await simulate(delivery.bodies, setting)
    except BadBody as error:
        raise ConfigError(f"{delivery.source}: {error}") from error


def _joined(deliveries: Sequence[Delivery]) -> Delivery:
    newest = max((one.newest_at for one in deliveries if one.newest_at is not None), default=None)
    bodies = [body for one in deliveries for body in one.bodies]
    return Delivery(", ".join(one.source for one in deliveries), bodies, newest)


def _time_of(delivery: Delivery, setting: Setting, wanted: Wanted) -> datetime:
    """What is recorded is decided on at the time of the record: the newest that the dump and the bodies tell of. What a
    server is asked is of the present."""
    if wanted.at is not None or wanted.alertmanagers or wanted.prometheus:
        return setting.at
    known = [at for at in (delivery.newest_at, setting.dump.newest_at) if at is not None]
    return min(max(known, default=setting.at), setting.at)


# --- for people


def _lines(setting: Setting, told: Told) -> Iterator[str]:
    dump = setting.dump
    held = f"{len(dump.objects) + len(dump.add_ons)} objects" if dump.objects or dump.add_ons else "not known"
    mode = f"mode {setting.mode}"
    yield f"simulate   {len(setting.table.rules)} rules · {mode} · cluster: {held} · nothing is touched"
    if dump.unused:
        unused = ", ".join(f"{count} {kind}" for kind, count in list(dump.unused.items())[:8])
        yield f"not used   {unused}" + (", ..." if len(dump.unused) > 8 else "")
    for delivery, at, simulation in told:
        yield ""
        yield f"{clean(delivery.source)}  at {rfc3339(at)}"
        for quarantined in simulation.quarantined:
            yield f"  set aside  {quarantined.place}: {clean(quarantined.problem)}"
        for one in simulation.alerts:
            yield from (f"  {line}".rstrip() for line in _alert(one))
        if not simulation.alerts:
            yield "  no alerts"
        if simulation.unknown and any(not one.why_not for one in simulation.alerts):
            yield f"  unknown    {', '.join(map(_unknown, simulation.unknown))}"


def _unknown(what: str) -> str:
    hints = {
        "metrics": "metrics (--prometheus URL, or --assume-firing)",
        "silences": "silences that came later (--from-alertmanager URL)",
        "logs": "logs of containers",
        "permissions": "permissions",
        "admission": "admission webhooks and policies (the dry run is of the embedded API server)",
    }
    return hints.get(what) or f"{what} (not in the dump)"


def _alert(one: Simulated) -> Iterator[str]:
    labels = one.alert.labels
    first = [name for name in LABELS_FIRST if name in labels]
    shown = " ".join(f"{name}={clean(labels[name])}" for name in first)
    yield f"{clean(one.alert.name) or 'an alert without a name'}  {shown}"
    if one.why_not:
        yield f"  {'decision':<9}  {one.why_not}"
        return
    if one.rule:
        yield f"  {'rule':<9}  {one.rule}, severity {one.severity or '-'}  {one.place}"
    if one.target:
        chain = f"  ({' -> '.join(map(clean, one.chain))})" if len(one.chain) > 1 else ""
        yield f"  {'target':<9}  {clean(one.target)}{chain}"
    if one.attempt is not None:
        yield from _attempt(one.attempt)
    yield from _decisions(one)


def _attempt(attempt: Attempt) -> Iterator[str]:
    if attempt.cause:
        yield f"  {'cause':<9}  {attempt.cause}"
    if isinstance(attempt.evidence, tuple):
        yield from (f"  {'':<9}  {clean(text)}" for text in attempt.evidence)
    for number, row in enumerate(attempt.rows, start=1):
        holds = all(yes for _, yes in row.conditions)
        answer = "taken" if row.is_taken else "yes" if holds else "no"
        yield f"  {f'row {number}':<9}  {answer:<5} {row.do}" + ("" if row.conditions else "  (always)")
        yield from (f"  {'':<9}        {'yes' if yes else 'no ':<3}  {clean(text)}" for text, yes in row.conditions)
    if attempt.summary:
        yield f"  {'plan':<9}  {clean(attempt.summary)}"
        yield from (f"  {'':<9}    {clean(line)}" for line in attempt.diff)
    if isinstance(attempt.verdicts, tuple):
        width = max((len(verdict.guard) for verdict in attempt.verdicts), default=0)
        for number, verdict in enumerate(attempt.verdicts):
            name = "guards" if not number else ""
            said = f"{verdict.guard:<{width}}  {verdict.decision:<9}  {clean(verdict.detail)}"
            yield f"  {name:<9}  {said}"
    if isinstance(attempt.proof, Mapping):
        for number, line in enumerate(proof_lines(attempt.proof)):
            yield f"  {'' if number else 'proof':<9}  {clean(line)}"


def _decisions(one: Simulated) -> Iterator[str]:
    before = None
    for decided in one.decisions:
        then = "" if before is None else f" (at {rfc3339(decided.at)}, if nothing changes)"
        reason = f" [{decided.reason}]" if decided.reason else ""
        word = WORDS.get(decided.kind, decided.kind)
        name = "decision" if before is None else "then"
        yield f"  {name:<9}  {word}{reason}: {clean(decided.detail)}{then}"
        if decided.advice:
            yield f"  {'advice':<9}  {clean(decided.advice)}"
        before = decided
    if not one.decisions:
        yield f"  {'decision':<9}  none was reached"


# --- for machines


def _as_json(setting: Setting, told: Told) -> dict[str, Any]:
    return {
        "mode": setting.mode.value,
        "rules": len(setting.table.rules),
        "cluster": {"objects": len(setting.dump.objects) + len(setting.dump.add_ons), "unused": setting.dump.unused},
        "deliveries": [
            {
                "source": delivery.source,
                "at": rfc3339(at),
                "alerts": [_simulated_json(one) for one in simulation.alerts],
                "quarantined": [asdict(one) for one in simulation.quarantined],
                "unknown": list(simulation.unknown),
            }
            for delivery, at, simulation in told
        ],
    }


def _simulated_json(one: Simulated) -> dict[str, Any]:
    told = {each.name: plain(getattr(one, each.name)) for each in fields(one) if each.name != "alert"}
    return {
        "alert": {"name": one.alert.name, "labels": dict(one.alert.labels), "starts_at": rfc3339(one.alert.starts_at)},
        "fingerprint": one.alert.fingerprint,
        "decision": WORDS.get(one.decisions[0].kind, "").lower() if one.decisions else "none",
        "reason": one.decisions[0].reason if one.decisions else "",
        **told,
    }
