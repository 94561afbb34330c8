"""Permissions as `check rbac` prints them: a table with what each is for, JSON, roles, and a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from remediator.cli.reading import columns
from remediator.lint.manifests import Difference, Granted
from remediator.lint.rights import Need, Right, Scope, as_rules

WHERE = {Scope.CLUSTER: "cluster", Scope.MANAGED: "each namespace"}
MAX_NAMED = 3
OF_RULE = "rule "
FENCE = """# A dry run takes the right to the real write. Never bind remediator-silent-write without the policy
# that admits dry runs only: deploy/kustomize/components/dry-run/policy.yaml
"""


def needs_lines(needs: Sequence[Need]) -> Iterator[str]:
    """One line for each resource; writes stand out by their own column."""
    rows = [("WHERE", "RESOURCE", "VERBS", "WRITES", "FOR")]
    for (where, resource), found in _together(needs).items():
        verbs = [need.right.verb for need in found]
        writes = "yes" if any(need.right.is_write for need in found) else ""
        rows.append((where, resource, ",".join(verbs), writes, _why(found)))
    yield from columns(rows)


def _together(needs: Sequence[Need]) -> dict[tuple[str, str], list[Need]]:
    found: dict[tuple[str, str], list[Need]] = {}
    for need in needs:
        found.setdefault((_where(need), _resource(need.right)), []).append(need)
    return found


def _where(need: Need) -> str:
    return WHERE.get(need.scope) or need.right.namespace


def _resource(right: Right) -> str:
    name = f"{right.resource}.{right.group}" if right.group else right.resource
    return f"{name} {right.name}" if right.name else name


def _why(needs: Iterable[Need]) -> str:
    reasons = list(dict.fromkeys(why for need in needs for why in need.why))
    rules = [why for why in reasons if why.startswith(OF_RULE)]
    if len(rules) > MAX_NAMED:
        reasons = [*(why for why in reasons if why not in rules), f"{len(rules)} rules"]
    return ", ".join(reasons)


def needs_json(needs: Sequence[Need]) -> list[dict[str, Any]]:
    return [_need_json(need) for need in needs]


def _need_json(need: Need) -> dict[str, Any]:
    return {**_right_json(need.right), "scope": need.scope.value, "write": need.right.is_write, "for": list(need.why)}


def _right_json(right: Right) -> dict[str, Any]:
    return {
        "group": right.group,
        "resource": right.resource,
        "verb": right.verb,
        "name": right.name,
        "namespace": right.namespace,
    }


def roles(needs: Sequence[Need], mode: str, account: str | None) -> str:
    """Roles as YAML: what may be granted in the whole cluster, the writes that each namespace grants by itself, and
    what is of single objects. With an account also their bindings, but for the writes: those are consent."""
    import yaml

    documents = list(_roles(needs, mode, account))
    is_fenced = mode == "silent" and any(_is_consent(need) for need in needs)
    return (FENCE if is_fenced else "") + yaml.safe_dump_all(
        documents, sort_keys=False, default_flow_style=None
    ).rstrip("\n")


def _roles(needs: Sequence[Need], mode: str, account: str | None) -> Iterator[dict[str, Any]]:
    reads = [need.right for need in needs if need.scope is not Scope.OWN and not _is_consent(need)]
    yield _role("ClusterRole", f"remediator-{mode}", "", reads)
    if account:
        yield _binding("ClusterRoleBinding", f"remediator-{mode}", "", "ClusterRole", account)
    if writes := [need.right for need in needs if _is_consent(need)]:
        yield _role("ClusterRole", f"remediator-{mode}-write", "", writes)
    own = [need.right for need in needs if need.scope is Scope.OWN]
    for namespace, name in dict.fromkeys((right.namespace, right.name) for right in own):
        rights = [right for right in own if (right.namespace, right.name) == (namespace, name)]
        yield _role("Role", name, namespace, rights)
        if account:
            yield _binding("RoleBinding", name, namespace, "Role", account)


def _is_consent(need: Need) -> bool:
    """A write to workloads; our own Events change none."""
    return need.right.is_write and need.scope is Scope.MANAGED and need.right.group != "events.k8s.io"


def _role(kind: str, name: str, namespace: str, rights: Sequence[Right]) -> dict[str, Any]:
    return {**_head(kind, name, namespace), "rules": as_rules(rights)}


def _binding(kind: str, name: str, namespace: str, of: str, account: str) -> dict[str, Any]:
    space, _, who = account.partition("/")
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": of, "name": name}
    subject = {"kind": "ServiceAccount", "namespace": space, "name": who}
    return {**_head(kind, name, namespace), "roleRef": reference, "subjects": [subject]}


def _head(kind: str, name: str, namespace: str) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata}


def comparison(difference: Difference, account: str) -> Iterator[str]:
    """What is missing, and what is granted and not needed."""
    for need in difference.missing:
        yield f"missing  {need.right} ({_where(need)}), for {_why([need])}"
    for one in difference.unused:
        yield f"unused   {one.right} ({one.namespace or 'cluster'}), by {one.role}"
    counts = f"{len(difference.missing)} missing, {len(difference.unused)} unused"
    yield f"{account}: {counts if difference.missing or difference.unused else 'exactly what is needed, ok'}"


def comparison_json(difference: Difference, account: str) -> dict[str, Any]:
    return {
        "ok": not difference.missing,
        "account": account,
        "missing": [_need_json(need) for need in difference.missing],
        "unused": [_granted_json(one) for one in difference.unused],
    }


def _granted_json(one: Granted) -> dict[str, Any]:
    return {**_right_json(one.right), "namespace": one.namespace, "role": one.role}
