"""Values that want to be more stay values in a running service; see `injection.py`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remediator.cli.incidents import list_incidents, show_incident
from tests.hostile.client import asked, posting
from tests.hostile.corpora import HOSTILE, POISONED
from tests.hostile.readers import Page, acting
from tests.hostile.serving import empty_cluster, served
from tests.hostile.test_burst import wait_for_decisions
from tests.unit.receive.bodies import body, element

PAGE = b"GET /api/v1/export?incident=%d&format=html HTTP/1.1\r\nHost: x\r\n\r\n"
SENT = 400
PER_BODY = 50
TAKES_ALL = """rules:
  - name: all
    match: ['alertname=~"(?s).+"']
    severity: 1
    respond: [{do: escalate}]
"""


def test_a_running_service_keeps_them_as_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the webhook, to a decision on each; poisoned ones among them are set aside, and say so in the log."""
    (tmp_path / "rules.yaml").write_text(TAKES_ALL, encoding="ascii")
    step_by = len(HOSTILE) // SENT
    alerts = [
        element(labels={"alertname": one, "namespace": two, "pod": two, three: one}, annotations={two: three})
        for one, two, three in zip(HOSTILE[::step_by], HOSTILE[1::step_by], HOSTILE[2::step_by], strict=True)
    ]
    poisoned = [element(labels={"alertname": one}) for one in POISONED[::10]]
    with empty_cluster() as cluster:
        flags = {"rules": str(tmp_path / "rules.yaml"), "kube_server": cluster}
        with served(tmp_path, **flags) as service:
            for first in range(0, len(alerts), PER_BODY):
                made = body(*alerts[first : first + PER_BODY], *poisoned[first // 8 : first // 8 + 6])
                assert asked(service.port, posting(made)).status == 200
            service.begin_deciding()
            wait_for_decisions(service, count=SENT, seconds=60)
            url = f"http://127.0.0.1:{service.port}"
            assert list_incidents(url, "simple", limit=100) == 0
            for number in range(1, 60, 3):
                assert show_incident(url, f"inc-{number}", "simple") == 0
                page = asked(service.port, PAGE % number)
                text = page.body.decode()
                assert (page.status, Page(text).dangers, acting(text)) == (200, [], "")
            assert acting(capsys.readouterr().out) == ""
            assert service.metric("remediator_alerts_quarantined_total") == 48
            assert service.faults() == []
            log = service.log_text()
    assert acting(log) == ""
    assert log.count("\n") == len([json.loads(line) for line in log.split("\n") if line])
