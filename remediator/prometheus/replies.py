"""From what Prometheus answered to samples, rules, or the error that the caller acts on. Pure.

Called by `prometheus/client.py`. Source: Prometheus "HTTP API" (format of answers, rules, instant queries).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from remediator.clock import parse_rfc3339
from remediator.errors import cut
from remediator.model import Json
from remediator.prometheus.base import (
    AlertingRule,
    BadQuery,
    Course,
    PrometheusUnavailable,
    Sample,
    Samples,
    TooManySamples,
)
from remediator.redact import redact

ABOUT_THE_EXPRESSION = "PromQL "
"""How annotations begin that Prometheus' own rule evaluation tolerates too; other warnings mean missing data."""


TOO_MUCH = ("too many samples", "maximum resolution", "too many points")
"""What Prometheus, Thanos and Mimir say of a query whose answer would be larger than they allow."""


class TimedOut(PrometheusUnavailable):
    """No answer in time, or Prometheus gave the query up itself. Asking again at once would only add load."""


class Refused(PrometheusUnavailable):
    """The address, the credentials or the size of the answer are wrong; another try changes nothing until a person
    acts."""


def check(operation: str, code: int, reply: Json, text: str) -> None:
    """Raise unless the answer is complete. `reply` is the parsed body (None: not JSON), `text` its beginning."""
    error = _said(str(reply.get("error") or "") if isinstance(reply, dict) else text)
    kind = reply.get("errorType") if isinstance(reply, dict) else None
    said = f"{operation}: {code} {kind or ''}".rstrip() + f": {error}"
    if 300 <= code < 400:
        raise Refused(f"{operation}: redirected ({code}); give the address that answers itself")
    if code in (401, 403):
        raise Refused(f"{said}; check the token file and what its account may do")
    if code == 404:
        raise Refused(f"{said}; is this the address of a Prometheus, with its path prefix?")
    if kind in ("timeout", "canceled") or code in (408, 504):
        raise TimedOut(said)
    if code == 422 or (code == 400 and kind == "bad_data"):
        raise TooManySamples(said) if any(words in error for words in TOO_MUCH) else BadQuery(said)
    if code != 200 or not isinstance(reply, dict) or reply.get("status") != "success":
        raise PrometheusUnavailable(said)
    for warning in reply.get("warnings") or ():
        if not str(warning).startswith(ABOUT_THE_EXPRESSION):
            raise PrometheusUnavailable(f"{operation}: partial answer: {_said(str(warning))}")


def check_result_type(operation: str, reply: Json) -> None:
    """Raise BadQuery for what is not one number per series: a range vector, a string, native histograms."""
    data = reply["data"]
    if data.get("resultType") not in ("vector", "scalar"):
        raise BadQuery(f"{operation}: gives a {cut(str(data.get('resultType')))}, not an instant vector or a scalar")
    if data["resultType"] == "vector" and any("histogram" in series for series in data["result"]):
        raise BadQuery(f"{operation}: gives native histograms; take a quantile, count or sum of them")


def samples(result: Json) -> Samples:
    """Samples, without the series that are NaN. Raises ValueError, TypeError, LookupError."""
    if result and not isinstance(result[0], dict):
        result = [{"metric": {}, "value": result}]
    read = [Sample(labels=dict(series["metric"]), value=float(series["value"][1])) for series in result]
    numbers = (sample for sample in read if not math.isnan(sample.value))
    return Samples(numbers, left_out=[sample.labels for sample in read if math.isnan(sample.value)])


def courses(result: Json) -> Sequence[Course]:
    """The series of a range query, without samples that are NaN. Raises as `samples`."""
    read = [
        Course(dict(one["metric"]), [(float(at), float(text)) for at, text in one["values"] if text != "NaN"])
        for one in result
    ]
    return [one for one in read if one.points]


def alerting_rules(reply: Json, alertname: str) -> Sequence[AlertingRule]:
    """The alerting rules of that name, whatever else an older server sent along. Raises as `samples`."""
    return [
        AlertingRule(
            name=rule["name"],
            query=rule["query"],
            labels=dict(rule.get("labels") or {}),
            health=rule.get("health") or "unknown",
            interval_seconds=float(group["interval"]),
            last_evaluated_at=_evaluated_at(rule.get("lastEvaluation")),
        )
        for group in reply["data"]["groups"]
        for rule in group["rules"]
        if rule["type"] == "alerting" and rule["name"] == alertname
    ]


def _said(text: str) -> str:
    """Foreign text, which may quote the query and the labels of series: redacted, then cut."""
    return cut(redact(text[:10_000]), max_length=200)


def _evaluated_at(text: str | None) -> datetime | None:
    if not text:
        return None
    instant = parse_rfc3339(text)
    return instant if instant.year > 1 else None  # Go's zero time: not evaluated yet
