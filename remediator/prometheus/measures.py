"""How a workload does: a few numbers from Prometheus, over the time before a rollout and again now.

The deployment watch takes the baseline, the HTTP API asks for the same numbers on demand, verification compares those
before an action with those since. What Prometheus does not say stays None: unknown, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.errors import PermanentError
from remediator.model import Target
from remediator.prometheus.base import Metrics, label_value, regex_literal

BEFORE = timedelta(minutes=30)
"""The time before a rollout that its baseline is of."""

AT_LEAST = timedelta(minutes=5)
"""Shorter than this, a rate over scrapes of a minute says little."""

_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
"""What ReplicaSet hashes and pod suffixes are made of (kubernetes apimachinery `pkg/util/rand/rand.go`): so the pods of
a Deployment `web` are told from those of `web-api`."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number. `expression` is PromQL that yields at most one sample; `$pods` stands for the label matchers of the
    workload's pods and `$window` for the time looked at."""

    unit: str
    expression: str


MEASURES: Mapping[str, Measure] = {
    "restarts_per_hour": Measure("1/h", "3600 * sum(rate(kube_pod_container_status_restarts_total{$pods}[$window]))"),
    # Without a single error there is no series of errors: then the ratio is 0 if there were requests at all.
    "error_ratio": Measure(
        "ratio",
        '(sum(rate(http_requests_total{$pods,code=~"5.."}[$window])) or '
        'sum(rate(http_requests_total{$pods,status=~"5.."}[$window])) or '
        "0 * sum(rate(http_requests_total{$pods}[$window]))) / sum(rate(http_requests_total{$pods}[$window]))",
    ),
    "latency_p99_seconds": Measure(
        "s", "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{$pods}[$window])))"
    ),
    "memory_bytes": Measure(
        "bytes",
        "max(max_over_time(container_memory_working_set_bytes"
        '{$pods,container!="",container!="POD"}[$window]))',
    ),
}
"""Name -> query. The metric names are those of kube-state-metrics, cAdvisor and the common HTTP client libraries."""


def expression_of(measure: Measure, target: Target, window: timedelta) -> str:
    """The query for one workload. Names are escaped as label values and, in the regular expression, as literals."""
    pattern = f"{regex_literal(target.name)}-{_SAFE}{{1,10}}-{_SAFE}{{5}}"
    pods = f"namespace={label_value(target.namespace)},pod=~{label_value(pattern)}"
    seconds = f"{int(window.total_seconds())}s"
    return measure.expression.replace("$window", seconds).replace("$pods", pods)  # last: a name is not looked through


async def measure(
    target: Target,
    metrics: Metrics,
    *,
    at: datetime | None = None,
    window: timedelta = BEFORE,
    names: Iterable[str] = MEASURES,
) -> dict[str, float | None]:
    """The measures over the `window` that ends at `at` (None: now). Raises PrometheusUnavailable."""
    found: dict[str, float | None] = {}
    for name in names:
        one = MEASURES[name]
        try:
            samples = await metrics.query(expression_of(one, target, window), at=at)
        except PermanentError:  # this Prometheus does not take the expression, so it cannot say
            samples = ()
        value = samples[0].value if len(samples) == 1 else math.nan
        found[name] = value if math.isfinite(value) else None
    return found


def window_now(started_at: datetime, now: datetime) -> timedelta:
    """The time to look at for a comparison with the baseline: since the rollout began, 5 to 30 minutes."""
    return min(max(now - started_at, AT_LEAST), BEFORE)
