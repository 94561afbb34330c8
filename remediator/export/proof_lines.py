"""The proof of a recommendation as people read it, from its record. Pure, and of the standard library only: `incidents
show` starts fast."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

IN_WORDS: Mapping[str, str] = {
    "accepted": "accepted",
    "refused": "refused",
    "not-now": "not now",
    "no-permission": "not possible, no permission (a dry run needs the right to the real write; the component dry-run "
    "gives it together with a policy that refuses the real one)",
    "webhook-without-dry-run": "not possible, an admission webhook does not declare its side effects",
    "denied-by-policy": "denied by an admission policy",
}
FENCES: Mapping[str, str] = {
    "there": "the API server refuses every real write of this account (policy remediator-silent-writes-nothing)",
    "none": "no policy: this account has the right to the real write, and only the service itself does without it; "
    "apply the component dry-run whole",
    "unknown": "not known whether a policy refuses real writes of this account: no right to look",
}
MAX_VALUE = 200


def could(proof: Mapping[str, Any]) -> str:
    return {True: "yes", False: "no"}.get(proof.get("executable"), "not known")  # type: ignore[arg-type]


def proof_lines(proof: Mapping[str, Any]) -> Iterator[str]:
    """Each dry run with what it would change, and each permission."""
    yield f"could have been done: {could(proof)}"
    tried = proof.get("dry_run") or ()
    if not tried:
        yield "dry run: not tried"
    for one in tried:
        answer = str(one.get("answer", ""))
        detail = f": {one['detail']}" if one.get("detail") else ""
        yield f"dry run of {one.get('request', '')}: {IN_WORDS.get(answer, answer)}{detail}"
        for change in one.get("changes") or ():
            before, after = _value(change.get("before")), _value(change.get("after"))
            yield f"  {change.get('field', '')}: {before} -> {after}"
    if fence := proof.get("fence"):
        yield FENCES.get(str(fence), str(fence))
    for one in proof.get("permissions") or ():
        answer = {True: "yes", False: "no"}.get(one.get("allowed"), "not known")
        why = f" ({one['reason']})" if one.get("reason") else ""
        yield f"permission to {_access(one)}: {answer}{why}"


def _access(one: Mapping[str, Any]) -> str:
    group = f".{one['group']}" if one.get("group") else ""
    resource, slash, subresource = str(one.get("resource", "")).partition("/")
    where = f" in {one['namespace']}" if one.get("namespace") else ""
    return f"{one.get('verb', '')} {resource}{group}{slash}{subresource} {one.get('name', '')}".rstrip() + where


def _value(value: Any) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
