"""How long a backtest takes: 30 days, 5,000 alerts, 300 workloads. `python -m tests.bench.backtest [ALERTS]`.

Prints seconds (and those of the CPU, where others share the machine) and milliseconds for each alert, of reading the
recorded file and of playing it, by the shipped rules and by rules that act on everything; as a ratio, how many steps of
a loop in Python one alert costs on this machine now; and what came of it. Not a test.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from remediator.backtest.history import History, instant
from remediator.backtest.recording import FORMAT, read
from remediator.backtest.run import backtest
from remediator.clock import rfc3339
from remediator.rules.load import load_rules
from remediator.rules.ruleset import RuleSet
from remediator.rules.shipped import shipped_rules

BEGIN, DAY, STEP, FACT_STEP = 1_793_491_200, 86_400, 60, 300
DAYS, WORKLOADS, PODS, SPACES = 30, 300, 3, 30
ALERTS = ("KubePodCrashLooping", "KubePodNotReady", "KubeDeploymentReplicasMismatch", "KubeContainerWaiting", "Other")
EAGER = """
rules:
  - name: eager
    match: ['alertname=~"Kube.*"']
    severity: 2
    respond: [{do: restart}]
    verify: {expect: [rollout-complete], within: 10m}
    limits: [3 per 1h]
"""


def recorded(count: int) -> dict[str, Any]:
    """A month of a town of 300 workloads: a release of each every three days, alerts at any time, two storms."""
    chance = random.Random(7)
    facts: dict[str, list[Any]] = {name: [] for name in ("unready", "waiting", "images", "restarts", "phases")}
    facts |= {name: [] for name in ("pods", "replicasets", "deployments", "replicas", "releases", "nodes")}
    begin, end = BEGIN - DAY, BEGIN + DAYS * DAY
    for number in range(12):
        facts["nodes"].append({"labels": {"node": f"node-{number}"}, "spans": [[begin, end, 1]]})
    pods: list[tuple[dict[str, str], int, int]] = []
    for number in range(WORKLOADS):
        space, name = f"team-{number % SPACES}", f"app-{number}"
        facts["deployments"].append(
            {"labels": {"namespace": space, "deployment": name}, "spans": [[begin, end, begin]]}
        )
        facts["replicas"].append({"labels": {"namespace": space, "deployment": name}, "spans": [[begin, end, PODS]]})
        at, release = begin, 0
        while at < end:
            until = min(end, at + chance.randrange(1 * DAY, 5 * DAY) // FACT_STEP * FACT_STEP)
            owner, release = f"{name}-{release:x}", release + 1
            labels = {"namespace": space, "replicaset": owner, "owner_kind": "Deployment", "owner_name": name}
            facts["replicasets"].append({"labels": labels, "spans": [[at, until, at - 90]]})
            image = {"namespace": space, "created_by_name": owner, "image": f"{name}:{release}"}
            facts["releases"].append({"labels": image, "spans": [[at, until, 1]]})
            for one in range(PODS):
                pod = {"namespace": space, "pod": f"{owner}-{one}", "uid": f"u-{owner}-{one}"}
                pod |= {
                    "node": f"node-{chance.randrange(12)}",
                    "created_by_kind": "ReplicaSet",
                    "created_by_name": owner,
                }
                facts["pods"].append({"labels": pod, "spans": [[at, until, 1]]})
                pods.append((pod, at, until))
            at = until + FACT_STEP
    alerts, states = [], []
    while len(alerts) < count:
        pod, since, until = chance.choice(pods)
        low, high = max(since, BEGIN + STEP), min(until, end - 7200)
        if high <= low:
            continue
        first = chance.randrange(low, high) // STEP * STEP
        last = min(first + chance.randrange(5, 90) * STEP, end - STEP)
        labels = {"alertname": chance.choice(ALERTS), "namespace": pod["namespace"], "severity": "warning"}
        labels |= {"pod": pod["pod"], "uid": pod["uid"], "container": "app", "number": str(len(alerts))}
        alerts.append({"labels": {**labels, "alertstate": "firing"}, "spans": [[first, last, 1]]})
        states.append({"labels": labels, "spans": [[first - 900, last, first - 930]]})
        key = {"namespace": pod["namespace"], "pod": pod["pod"]}
        if not any(one["labels"] == key for one in facts["unready"][-50:]):
            low = first // FACT_STEP * FACT_STEP
            facts["unready"].append({"labels": key, "spans": [[low - 900, low + 1800, 0]]})
            reason = {**key, "container": "app", "reason": "CrashLoopBackOff"}
            facts["waiting"].append({"labels": reason, "spans": [[low - 900, low + 1800, 1]]})
    return {
        "format": FORMAT,
        "begins": rfc3339(instant(BEGIN)),
        "ends": rfc3339(instant(end)),
        "step_seconds": STEP,
        "fact_step_seconds": FACT_STEP,
        "series": {"ALERTS": alerts, "ALERTS_FOR_STATE": states},
        "facts": facts,
    }


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, eager = Path(folder) / "history.json", Path(folder) / "eager.yaml"
        file.write_text(json.dumps(recorded(count)), encoding="utf-8")
        eager.write_text(EAGER, encoding="utf-8")
        begun = time.perf_counter()
        history = read(file)
        print(f"{count} alerts, {file.stat().st_size / 1e6:.1f} MB read in {time.perf_counter() - begun:.2f} s")
        gc.freeze()  # these two as the command does
        gc.set_threshold(200_000, 50, 50)
        for name, path in (("shipped rules", shipped_rules()), ("acts on all", eager)):
            _measure(name, history, load_rules(path))


def _measure(name: str, history: History, table: RuleSet) -> None:
    begun, used = time.perf_counter(), time.process_time()
    result = asyncio.run(backtest(history, table, name=name))
    seconds, used = time.perf_counter() - begun, time.process_time() - used
    came = Counter(one.would.value for one in result.decided)
    each = 1000 * seconds / max(1, len(result.decided))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = f"{seconds:6.2f} s  CPU {used:6.2f} s  {each:5.2f} ms an alert"
    steps = used / max(1, len(result.decided)) / _step_seconds()
    print(f"{name:<14} {times}, {steps:,.0f} steps  {memory:.0f} MiB at most  {dict(came)}")


def _step_seconds() -> float:
    """What one step of the simplest loop takes of the CPU now."""
    begun, count = time.process_time(), 0
    for number in range(3_000_000):
        count += number
    return (time.process_time() - begun) / 3_000_000


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
