"""`remediator demo`: the whole loop on an embedded cluster. No cluster, no configuration, no account.

The service is the real one, as `app.py` wires it: it receives over HTTP, reads and patches the embedded API server
with the real client, asks the embedded Prometheus, verifies, and keeps its records. Only the clock runs faster.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from remediator.app import VERSION, Service, open_service
from remediator.audit.note import new_key
from remediator.cli.output import Output
from remediator.clock import FastClock, rfc3339
from remediator.log_format import configure_logging
from remediator.model import Mode, State
from remediator.reasons import Reason
from remediator.rules.shipped import shipped_rules
from remediator.settings import Settings
from remediator.simulate.alertrules import kubernetes_rules
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.prometheus import EmbeddedPrometheus
from remediator.simulate.scenario import bad_releases, good_releases, send
from remediator.store.base import CommittedRecord

SPEED = 100.0
"""Clock seconds in one real second: a verification of two minutes takes a little over one."""

ALERTS = 5
WAIT_SECONDS = 30.0

WORDS: Mapping[str, str] = {
    "decision.recommended": "WOULD NOT ACT",
    "decision.escalated": "ESCALATED",
    "decision.declined": "NO ACTION",
    "decision.held": "HELD",
    "decision.cancelled": "NOTHING TO DO",
    "action.applied": "ROLLED BACK",
    "outcome.verified": "VERIFIED",
    "outcome.temporary": "VERIFIED, FOR NOW",
    "outcome.failed": "NOT VERIFIED",
    "outcome.unknown": "UNKNOWN",
    "outcome.reverted": "REVERTED",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What one run of the demo showed."""

    mode: Mode
    records: Sequence[CommittedRecord]
    writes: int
    dry_runs: int


def run(mode: str, output: Output) -> int:
    """Run the story in one mode or in both; returns the exit code."""
    if mode not in ("silent", "active", "both"):
        print(f"error: --mode {mode}: expected silent, active or both", file=sys.stderr)
        return 2
    configure_logging("error", log_format="console")
    results = asyncio.run(_played((Mode.SILENT, Mode.ACTIVE) if mode == "both" else (Mode(mode),), output))
    if output is Output.JSON:
        print(json.dumps([_as_json(shown) for shown in results], indent=2))
    else:
        print(
            "Next:  remediator check rules   |   remediator explain 'alertname=\"KubePodCrashLooping\"'\n"
            "       remediator serve --prometheus.url http://127.0.0.1:9090   (silent: it only recommends)"
        )
    return 0


async def _played(modes: Sequence[Mode], output: Output) -> Sequence[Shown]:
    """The story in each mode, at the same time, since much of it is waiting; told one after the other."""
    with tempfile.TemporaryDirectory(prefix="remediator-demo-") as folder:
        tables = _tables(modes, Path(folder))
        async with asyncio.TaskGroup() as group:
            plays = [group.create_task(_play(mode, tables[mode])) for mode in modes]
            for mode, play in zip(modes, plays, strict=True):
                if output is Output.SIMPLE:
                    print(_title(mode), flush=True)
                shown = await play
                if output is Output.SIMPLE:
                    print("\n".join(_story(shown)), flush=True)
    return [play.result() for play in plays]


async def _play(mode: Mode, table: Path) -> Shown:
    clock = FastClock(speed=SPEED)
    rules = kubernetes_rules(hold=timedelta(minutes=1))
    with tempfile.TemporaryDirectory(prefix="remediator-demo-") as folder:
        async with EmbeddedCluster(clock) as cluster, EmbeddedPrometheus(clock, cluster, rules=rules) as prometheus:
            settings = Settings.load(
                None,
                {
                    "web_listen_address": "127.0.0.1:0",
                    "storage_url": "sqlite:///:memory:",
                    "rules": (table,),
                    "mode": mode.value,
                    "audit_key_file": _key(Path(folder)),
                    "audit_anchor_file": Path(folder) / "audit-anchor",
                    "cluster_name": "demo",
                    "kube_server": cluster.url,
                    "prometheus_url": prometheus.url,
                    "poll_seconds": 0.05,
                    "lease_seconds": 3600,  # of the fast clock: 36 real seconds
                    "grace_seconds": 2,
                    "reload_poll_seconds": 0,
                },
            )
            async with open_service(settings, clock=clock) as service, asyncio.TaskGroup() as group:
                running = group.create_task(service.run())
                try:
                    await good_releases(cluster, clock)
                    alerts = await bad_releases(cluster, prometheus, clock)
                    await send(alerts, f"http://127.0.0.1:{service.port}")
                    records = await _finished(service)
                finally:
                    service.stop()
                await running
            ours = [call for call in cluster.requests if call.is_write and "/events" not in call.path]
            dry = [call for call in cluster.requests if call.query.get("dryRun")]
    return Shown(mode, records, len(ours), len(dry))


def _key(folder: Path) -> Path:
    """A key for the audit log: without one nothing would be done."""
    path = folder / "audit-key.pem"
    path.write_bytes(new_key())
    return path


def _tables(modes: Sequence[Mode], folder: Path) -> Mapping[Mode, Path]:
    """Copies of the shipped rules, for active mode with every rule promoted, as a team would do one by one.

    Five incidents at once in so small a cluster are a storm, in which nothing is done; here they are five stories.
    """
    path = shipped_rules()
    yaml = YAML()
    yaml.width = 10_000  # a folded line is another text
    tables = {mode: folder / mode.value for mode in modes}
    for table in tables.values():
        table.mkdir()
    for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
        document = yaml.load(file.read_text(encoding="utf-8"))
        for rule in document.get("rules", ()):
            rule["guards"] = {"storm": {"targets": 10 * ALERTS, "share": 100}, **rule.get("guards", {})}
        for mode, table in tables.items():
            if mode is Mode.ACTIVE:
                for rule in document.get("rules", ()):
                    rule["mode"] = mode.value
            yaml.dump(document, table / file.name)
    return tables


async def _finished(service: Service) -> Sequence[CommittedRecord]:
    """All records, once every alert has come to its end."""
    last = {State.RECOMMENDED, State.DECLINED, State.ESCALATED, State.VERIFIED, State.REVERTED, State.UNKNOWN}
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            records = await service.database.records(after=0, limit=1000)
            ended = {r.remediation_id for r in records if r.body.get("to") in {s.value for s in last}}
            if len(ended) >= ALERTS:
                return records
            await asyncio.sleep(0.05)


def _title(mode: Mode) -> str:
    what = "changes nothing" if mode is Mode.SILENT else "every rule promoted to active"
    return f"remediator {VERSION} demo   embedded cluster · shipped rules · mode {mode} ({what})\n"


def _story(shown: Shown) -> list[str]:
    lines: list[str] = []
    planned = {r.remediation_id: r.body for r in shown.records if r.kind in ("step.planned",)}
    counts: dict[str, int] = {}
    for record in shown.records:
        if record.kind not in WORDS:
            continue
        body = record.body
        word = WORDS[record.kind]
        if record.kind == "decision.recommended" and body.get("reason") == Reason.ROW_RECOMMENDS:
            word = "RECOMMENDED"
        elif record.kind == "decision.recommended" and body.get("action"):
            word = "WOULD ROLL BACK"
        counts[word] = counts.get(word, 0) + 1
        target = body.get("target") or "no target"
        severity = body.get("severity") or "-"
        lines.append(f"{rfc3339(record.at)[11:19]}  {body['alertname']}  severity {severity}  {target}")
        lines.append(f"          {word:<16}{body.get('detail', '')}")
        evidence = body.get("evidence") or planned.get(record.remediation_id, {}).get("evidence")
        cause = body.get("cause") or planned.get(record.remediation_id, {}).get("cause")
        if cause and record.kind.startswith(("decision", "action")):
            why = f": {evidence[0]}" if isinstance(evidence, list) and evidence else ""
            lines.append(f"          {'diagnosed':<16}{cause}{why}")
        if proof := next((v["detail"] for v in body.get("verdicts", ()) if v["guard"] == "dry-run"), None):
            lines.append(f"          {'proven':<16}{proof}")
        if advice := body.get("advice"):
            lines.append(f"          {'advice':<16}{advice}")
        lines.append("")
    summary = " · ".join(f"{count} {word.lower()}" for word, count in counts.items())
    lines.append(f"{ALERTS} alerts · {summary} · {shown.writes} writes, {shown.dry_runs} dry runs\n")
    return lines


def _as_json(shown: Shown) -> dict[str, Any]:
    return {
        "mode": shown.mode.value,
        "writes": shown.writes,
        "dry_runs": shown.dry_runs,
        "records": [
            {"seq": r.seq, "at": rfc3339(r.at), "kind": r.kind, "incident": r.incident_id, "body": r.body}
            for r in shown.records
        ],
    }
