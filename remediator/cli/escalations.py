"""`remediator escalations` and `ack`: what people have to do, and who takes it on.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 good, 1 failed,
2 misuse. Only the standard library is imported, so that the command starts fast.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from remediator.cli.reading import clean, print_answer, to_seconds, who


def escalations(url: str | None, output: str) -> int:
    """Print what people have to do: why, who was told since when, and who is next and when."""
    return print_answer(url, "/api/v1/escalations", output, _list)


def ack(
    url: str | None,
    output: str,
    *,
    escalation: str,
    comment: str,
    closes: bool = False,
    by: str | None = None,
    token_file: str | None = None,
) -> int:
    """Take one on, by E-<number> or inc-<number>; `closes`: it is over as well."""
    path = f"/api/v1/escalations/{urllib.parse.quote(escalation, safe='')}/ack"
    body = {"comment": comment, "by": by or who(), "close": closes}
    return print_answer(url, path, output, _acknowledged, post=body, token_file=token_file)


def state_of(one: Mapping[str, Any]) -> str:
    """Where it stands, in a few words."""
    if one["ended_at"]:
        return f"ended at {to_seconds(one['ended_at'])}: {clean(one['ended'])}"
    if one["acked_at"]:
        by = f"{clean(one['acked_by'])} at {to_seconds(one['acked_at'])}"
        return f"acknowledged by {by}: {clean(one['acked_comment'])}"
    if not one["next_at"]:
        return f"nobody answered; {clean(one['told'])} was told last"
    following = f"{clean(one['next'])} is next" if one.get("next") else "the next is told"
    return f"{clean(one['told'])} was told; {following} at {to_seconds(one['next_at'])}"


def _list(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["escalations"]:
        yield "nothing waits for people"
    for one in found["escalations"]:
        what = [part for part in (one["incident"], clean(one["target"]), clean(one["title"])) if part]
        yield f"{one['ref']}  severity {one['severity']}  {'  '.join(what)}"
        yield f"  why      {clean(one['detail'])}"
        yield f"  contact  {clean(one['contact'])}, since {to_seconds(one['opened_at'])}"
        yield f"  now      {state_of(one)}"


def _acknowledged(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['ref']} {state_of(found)}"
