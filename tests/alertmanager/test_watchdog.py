"""A Prometheus that dies: Alertmanager reports all that fired as resolved, and the watchdog among it."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from remediator.generate.route import Wanted, beside
from remediator.model import State
from remediator.rules.load import load_rules
from remediator.settings import Settings
from remediator.watchdog import awaited
from tests.alertmanager.conftest import Start
from tests.alertmanager.lab import config, serving, until
from tests.cluster.binaries import Binaries
from tests.cluster.monitoring import Exporter, Prometheus, prometheus_config

ALERTS = """\
groups:
  - name: test
    rules:
      - alert: TCrash
        expr: sick > 0
      - alert: Watchdog
        expr: vector(1)
        labels: {severity: none}
"""
SINCE = "2026-01-01T00:00:00Z"
LAST_SEEN = "remediator_watchdog_last_seen_timestamp_seconds"


async def test_the_route_that_is_made_brings_it_as_often_as_it_is_awaited(alertmanager: Start, tmp_path: Path) -> None:
    """Alertmanager repeats at the turns of a group, and not when the repeat_interval is over."""
    waiting = {"watchdog_absent_seconds": 12, "watchdog_confirm_seconds": 5}
    async with serving(tmp_path, **waiting) as watched:
        watchdog = awaited(Settings.model_construct(**waiting))
        assert watchdog is not None
        turns = watchdog.patience.fitting()
        assert (turns.group, turns.repeat) == (timedelta(seconds=1), timedelta(seconds=3))
        wanted = Wanted(f"{watched.url}/api/v1/alerts", watchdog=watchdog)
        am = alertmanager(beside(load_rules(tmp_path / "rules.yaml"), wanted))
        am.post_alerts([{"labels": {"alertname": "Watchdog", "severity": "none"}, "startsAt": SINCE}])
        seen = [await until(lambda: watched.metric(LAST_SEEN), "the watchdog is heard")]

        async def again() -> bool:
            return await watched.metric(LAST_SEEN) > seen[-1]

        for _ in range(3):
            await until(again, "the watchdog is heard again")
            seen.append(await watched.metric(LAST_SEEN))
        assert (await watched.part("watchdog"))["ready"]
        assert await watched.begun() == []
        apart = [later - earlier for earlier, later in pairwise(seen)]
        # At most one turn late, for a machine that is busy; still sooner than it is missed.
        assert all(1 < one < 2 * (turns.group + turns.repeat).total_seconds() for one in apart), apart


async def test_the_death_of_prometheus_ends_nothing(alertmanager: Start, binaries: Binaries, tmp_path: Path) -> None:
    """People stay called, also after a restart of ours; without a watchdog they are let go (the control)."""
    (tmp_path / "alerts.yaml").write_text(ALERTS)
    for name in ("watched", "blind"):
        (tmp_path / name).mkdir()
    watching = {"watchdog_confirm_seconds": 30}
    async with serving(tmp_path / "blind", watchdog="") as blind:
        with Exporter() as exporter:
            async with serving(tmp_path / "watched", **watching) as watched:
                exporter.set("sick", {"namespace": "shop", "deployment": "checkout", "case": "x"}, 1)
                url = f"{watched.url}/api/v1/alerts"
                made = config(url)
                made["route"] |= {"group_by": ["alertname"]}
                hooks = made["receivers"][0]["webhook_configs"]
                control = hooks[0] | {"url": f"{blind.url}/api/v1/alerts"}
                made["receivers"].append({"name": "blind", "webhook_configs": [control]})
                made["route"]["routes"] = [
                    {"receiver": "remediator", "matchers": ['alertname="Watchdog"'], "repeat_interval": "1s"},
                    {"receiver": "remediator", "continue": True},
                    {"receiver": "blind"},
                ]
                am = alertmanager(made)
                files = {"rule_files": [tmp_path / "alerts.yaml"], "alertmanagers": [am.target]}
                with Prometheus(
                    binaries, tmp_path / "prometheus", prometheus_config(targets=[exporter.target], **files)
                ) as prometheus:
                    for one in (watched, blind):
                        await until(one.service.database.escalations, "people are called")
                    first = await until(lambda: watched.metric(LAST_SEEN), "the watchdog is heard")

                    async def again() -> bool:
                        return await watched.metric(LAST_SEEN) > first

                    await until(again, "the watchdog is heard again")
                    assert (await watched.part("watchdog"))["ready"]
                    assert await watched.begun() == ["TCrash"], "the watchdog begins nothing"
                    assert prometheus._process is not None
                    os.killpg(prometheus._process.pid, signal.SIGKILL)

                    async def all_resolved() -> bool:
                        missing = await watched.metric("remediator_watchdog_absent") == 1
                        return missing and bool(await watched.records("alert.resolved"))

                    await until(all_resolved, "all is reported as resolved")
                part = await watched.part("watchdog")
                assert not part["ready"]
                assert "reported as resolved" in part["detail"]
                assert len(await watched.service.database.escalations()) == 1

        async def let_go() -> bool:
            return await blind.service.database.escalations() == []

        await until(let_go, "who has no watchdog believes it")
    async with serving(tmp_path / "watched", **watching) as watched:
        assert not (await watched.part("watchdog"))["ready"], "it is remembered"
        assert len(await watched.service.database.escalations()) == 1
        depth = await watched.service.database.queue_depth()
        assert depth.get(State.QUEUED.value, 0) == 0
