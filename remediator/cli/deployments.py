"""`remediator deployments list` and `show`: rollouts under watch, read over HTTP from a running service.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 good, 1 failed,
2 misuse. Only the standard library is imported, so that the command starts fast.
"""

from __future__ import annotations

import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from remediator.cli.reading import MISUSED, clean, columns, print_answer, to_seconds

UNKNOWN = "unknown"


def list_deployments(url: str | None, output: str, *, limit: int = 500, only_watched: bool = False) -> int:
    """Print one line for each present rollout, newest first. `url` None: `REMEDIATOR_URL`, else this machine."""
    query = urllib.parse.urlencode({"limit": limit, "watched": "true" if only_watched else "false"})
    return print_answer(url, f"/api/v1/deployments?{query}", output, _table)


def show_deployment(url: str | None, deployment: str, output: str) -> int:
    """Print one Deployment, as NAMESPACE/NAME: its rollout, its numbers before and now, and the rollouts before."""
    namespace, slash, name = deployment.partition("/")
    if not (namespace and slash and name) or "/" in name:
        print(f"error: {clean(deployment)!r}: expected NAMESPACE/NAME", file=sys.stderr)
        return MISUSED
    place = "/".join(urllib.parse.quote(part, safe="") for part in (namespace, name))
    return print_answer(url, f"/api/v1/deployments/{place}", output, _story)


def _table(found: Mapping[str, Any]) -> Iterator[str]:
    if found["problem"]:
        yield f"not watched now: {clean(found['problem'])}"
    if not found["deployments"]:
        yield "no deployments"
        return
    rows: list[tuple[str, ...]] = [("DEPLOYMENT", "REVISION", "STATE", "SINCE", "WATCHED UNTIL", "BY", "IMAGES")]
    for item in found["deployments"]:
        until = to_seconds(item["watched_until"]) if item["watched"] else "-"
        place = f"{clean(item['namespace'])}/{clean(item['name'])}"
        rows.append((place, _number(item["revision"]), _state(item), _since(item), until, _by(item), _images(item)))
    yield from columns(rows)


def _story(found: Mapping[str, Any]) -> Iterator[str]:
    item = found["deployment"]
    yield f"{clean(item['namespace'])}/{clean(item['name'])}"
    yield from columns(
        [
            ("  state", _state(item)),
            ("  revision", _number(item["revision"])),
            ("  images", _images(item)),
            ("  deployed by", _by(item)),
            ("  started", _since(item)),
            ("  completed", _instant(item["completed_at"], "not yet")),
            ("  watched until", to_seconds(item["watched_until"]) + ("" if item["watched"] else " (over)")),
            ("  available since", _instant(item["available_since"], "not fully available now")),
            ("  proven good", _instant(item["proven_good_at"], "not yet")),
            ("  stable", _instant(item["stable_at"], "not yet")),
            ("  template", item["template_hash"][:12]),
        ]
    )
    if found["problem"]:
        yield f"  not watched now: {clean(found['problem'])}"
    yield ""
    rows: list[tuple[str, ...]] = [("MEASURE", "BEFORE", "NOW")]
    rows += [(one["name"], _value(one["before"]), _value(one["now"])) for one in found["measures"]]
    yield from columns(rows)
    if found["measures_problem"]:
        yield f"now is unknown: {clean(found['measures_problem'])}"
    if found["history"]:
        yield ""
        before: list[tuple[str, ...]] = [("REVISION", "SINCE", "UNTIL", "BY", "IMAGES")]
        for one in found["history"]:
            ended = _instant(one["ended_at"], "-")
            before.append((_number(one["revision"]), _since(one), ended, _by(one), _images(one)))
        yield from columns(before)


def _state(item: Mapping[str, Any]) -> str:
    return f"{clean(item['state'])} {clean(item['incident'])}".strip()


def _since(item: Mapping[str, Any]) -> str:
    return to_seconds(item["started_at"]) + ("" if item["is_exact"] else " or later")


def _instant(text: str | None, otherwise: str) -> str:
    return to_seconds(text) if text else otherwise


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _value(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.6g}"


def _by(item: Mapping[str, Any]) -> str:
    return clean(item["deployed_by"]) or "-"


def _images(item: Mapping[str, Any]) -> str:
    return clean(", ".join(str(image) for image in item["images"].values())) or "-"
