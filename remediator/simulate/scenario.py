"""The demo's story: four workloads, three bad deployments, a leak, and an alert that no rule answers.

Called by `cli/demo.py`; the service that answers is the real one, with its real clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from remediator.clock import Clock
from remediator.kube.rollout import rollout_status
from remediator.simulate.alertmanager import SentAlert, deliver, webhook_bodies
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.prometheus import EmbeddedPrometheus
from remediator.simulate.workloads import deployment

ARGO = {"argocd.argoproj.io/tracking-id": "ledger:apps/Deployment:pay/ledger"}

GOOD: Sequence[tuple[str, str, str]] = (
    ("shop", "checkout", "shop/checkout:1.4"),
    ("shop", "cart", "shop/cart:2.0"),
    ("pay", "ledger", "pay/ledger:7.1"),
    ("pay", "rates", "pay/rates:3.3"),
)

BAD: Sequence[tuple[str, str, str]] = (
    ("shop", "checkout", "shop/checkout:1.5-crash"),
    ("shop", "cart", "shop/cart:2.1-noconfig"),
    ("pay", "ledger", "pay/ledger:7.2-crash"),
    ("pay", "rates", "pay/rates:3.4-oom"),
)

TRACE = """\
starting checkout 1.5
Traceback (most recent call last):
  File "/app/main.py", line 41, in <module>
    router = Router(settings.routes)
TypeError: Router.__init__() missing 1 required positional argument: 'timeout'
"""

WAIT_SECONDS = 20.0
"""Real seconds after which the demo says that its own cluster is stuck."""


async def good_releases(cluster: EmbeddedCluster, clock: Clock) -> None:
    """Everything runs."""
    for namespace, name, image in GOOD:
        cluster.apply(deployment(namespace, name, image=image, annotations=ARGO if name == "ledger" else None))
    cluster.set_logs("checkout", previous=TRACE)
    async with asyncio.timeout(WAIT_SECONDS):
        while not all(rollout_status(cluster.get("Deployment", ns, name)).is_complete for ns, name, _ in GOOD):
            await clock.sleep(1)


async def bad_releases(cluster: EmbeddedCluster, prometheus: EmbeddedPrometheus, clock: Clock) -> Sequence[SentAlert]:
    """Four deployments go wrong; returns their alerts, as Prometheus fires them, and one that no rule answers."""
    for namespace, name, image in BAD:
        cluster.patch_image(namespace, name, image)
    found: dict[str, SentAlert] = {}
    async with asyncio.timeout(WAIT_SECONDS):
        while len(found) < len(BAD):
            await clock.sleep(5)
            for alert in prometheus.alerts():
                pod = alert.labels.get("pod", "")
                owner = next((name for _, name, _ in BAD if pod.startswith(f"{name}-")), None)
                if owner is not None and owner not in found and alert.fired_at is not None:
                    found[owner] = SentAlert(alert.labels, alert.fired_at, alert.annotations)
    now = clock.now()
    volume = {"namespace": "shop", "persistentvolumeclaim": "cart-cache", "severity": "critical"}
    unknown = SentAlert(
        {"alertname": "KubePersistentVolumeFillingUp", **volume},
        now - timedelta(minutes=1),
        {"summary": "PersistentVolume is filling up."},
    )
    return [*(found[name] for _, name, _ in BAD), unknown]


async def send(alerts: Sequence[SentAlert], url: str) -> None:
    """Deliver each alert as Alertmanager would with `group_by: ['...']`: one body each."""
    for alert in alerts:
        for body in webhook_bodies([alert]):
            status = await deliver(f"{url}/api/v1/alerts", body)
            if status != 200:
                raise RuntimeError(f"the service answered {status} to an alert of the demo")
