"""What an alert's labels claim to be about. Step 3 of the way of an alert, first half; pure; called by `resolve.py`.

Right in all three scrape modes of kube-state-metrics, where `pod`, `namespace`, `container` and `service` may name the
exporter instead of the sick object:

1. kube-prometheus: the metric's own labels win, the target's are dropped, `container` may be the exporter's.
2. kube-prometheus-stack chart: the metric's own labels win, each one it lacks is filled with the exporter's.
3. no `honorLabels`: the exporter's stand under the plain names, the truth under `exported_*`.

A claim is not yet a target: `resolve.py` confirms it with the API server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from remediator.errors import cut
from remediator.reasons import Reason
from remediator.target.spec import KIND_OF_LABEL, KIND_OF_WORD, TargetSpec

EXPORTED = "exported_"

SCRAPE_LABELS = frozenset({"namespace", "pod", "container", "service"})
"""What service discovery attaches to a scrape. Where one `exported_*` shows that both spoke, the plain ones are its."""

ABOUT_SOMETHING_ELSE = ("resourcequota", "limitrange", "persistentvolume")
"""Objects that nothing acts on. A `pod` beside them can only be the exporter's: their metrics have none."""

SCRAPED_BY = ("instance", "endpoint")
"""Labels that a scrape leaves: beside them `service` may be the exporter's."""

READ = frozenset({*KIND_OF_LABEL, *SCRAPE_LABELS, "uid", "workload", "workload_type", *ABOUT_SOMETHING_ELSE})

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Claim:
    """The one object that the labels name, not yet looked up. `namespace` is empty for a Node.

    `uid` and `container` are set for a pod only; `container` may still be the exporter's and has to be looked for in
    the pod. `why` says which labels were read.
    """

    kind: str
    namespace: str
    name: str
    uid: str | None
    why: str
    container: str | None = None


@dataclass(frozen=True, slots=True)
class NoTarget:
    """Why there is not exactly one object to act on."""

    reason: Reason
    detail: str


def claim(labels: Mapping[str, str], spec: TargetSpec) -> Claim | NoTarget:
    """The object that the alert's labels (or the rule itself) name, by the rules of the target spec."""
    if spec.fixed is not None:
        word, namespace, name = spec.fixed
        return _claim(word, namespace, name, why="fixed by the rule")
    if spec.labels:
        return _from_named_labels(labels, spec.labels)
    return _from_alert(labels, spec)


def claim_beside_pod(labels: Mapping[str, str], spec: TargetSpec) -> Claim | NoTarget:
    """What else the labels name once their pod is known to be gone. Never a guess from the pod's name."""
    gone = NoTarget(Reason.TARGET_NOT_FOUND, "the pod is gone and no other label names its workload")
    if spec.fixed is not None or labels.get("remediate_name"):
        return gone
    if spec.labels:
        rest = {kind: label for kind, label in spec.labels.items() if kind.lower() != "pod"}
        found = _from_named_labels(labels, rest)
    else:
        unsure = {"service"} if any(labels.get(label) for label in SCRAPED_BY) else set()
        lost = {"pod", "uid", *unsure}
        found = _from_alert({key: value for key, value in labels.items() if _plain(key) not in lost}, spec)
    return gone if isinstance(found, NoTarget) else found


def object_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """The labels that can speak of an object, by plain name: `exported_*` win, the scrape's own are left out."""
    said = {key: value for key, value in labels.items() if value and key in READ}
    exported = {_plain(key): value for key, value in labels.items() if value and _is_exported(key)}
    if exported:
        said = {key: value for key, value in said.items() if key not in SCRAPE_LABELS}
    return said | exported


def _from_alert(labels: Mapping[str, str], spec: TargetSpec) -> Claim | NoTarget:
    said = object_labels(labels)
    namespace = said.get("namespace", "")
    if labels.get("remediate_kind") or labels.get("remediate_name"):
        return _opted_in(labels, spec, namespace)
    if spec.node_scope:
        # Namespace and pod beside a node are the exporter's in two of the three modes.
        return _claim("node", "", said.get("node", ""), why="label node, as the rule declares")
    for label, kind in KIND_OF_LABEL.items():
        if label == "pod" and (other := next((word for word in ABOUT_SOMETHING_ELSE if word in said), None)):
            return NoTarget(Reason.TARGET_UNSUPPORTED, f"the alert is about a {other}; nothing acts on one")
        if label == "service" and said.get("workload_type", "").lower() in KIND_OF_WORD and "workload" in said:
            return _claim(said["workload_type"], namespace, said["workload"], why="labels workload and workload_type")
        if label == "node" or label not in said:
            continue
        of_pod = label == "pod"
        return _claim(
            kind.lower(),
            namespace,
            said[label],
            why=f"label {_spelled(label, labels)}",
            uid=said.get("uid") if of_pod else None,
            container=said.get("container") if of_pod else None,
        )
    hint = "; it has a node label but the rule does not declare node scope" if "node" in said else ""
    return NoTarget(Reason.NO_TARGET_LABEL, f"no label of the alert names an object{hint}")


def _opted_in(labels: Mapping[str, str], spec: TargetSpec, namespace: str) -> Claim | NoTarget:
    word, name = labels.get("remediate_kind", ""), labels.get("remediate_name", "")
    if word.lower() == "node" and not spec.node_scope:
        return NoTarget(Reason.NO_TARGET_LABEL, "remediate_kind is node but the rule does not declare node scope")
    if not word or not name:
        return NoTarget(Reason.NO_TARGET_LABEL, "remediate_kind and remediate_name are only used together")
    namespace = labels.get("remediate_namespace") or namespace
    return _claim(word, namespace, name, why="labels remediate_kind, remediate_name")


def _from_named_labels(labels: Mapping[str, str], named: Mapping[str, str]) -> Claim | NoTarget:
    """The most specific mapped kind whose label the alert has. Mapped names are read literally: the user chose them."""
    label_of = {kind.lower(): label for kind, label in named.items()}
    said = object_labels(labels)
    namespace = labels.get(label_of["namespace"], "") if "namespace" in label_of else said.get("namespace", "")
    for kind in KIND_OF_LABEL.values():
        if name := labels.get(label_of.get(kind.lower(), ""), ""):
            uid = said.get("uid") if kind == "Pod" else None
            container = said.get("container") if kind == "Pod" else None
            why = f"label {label_of[kind.lower()]}, as the rule maps it"
            return _claim(kind.lower(), namespace, name, why=why, uid=uid, container=container)
    wanted = ", ".join(sorted(label for kind, label in label_of.items() if kind != "namespace"))
    return NoTarget(Reason.NO_TARGET_LABEL, f"the alert has none of the labels that the rule maps: {wanted}")


def _claim(
    word: str, namespace: str, name: str, *, why: str, uid: str | None = None, container: str | None = None
) -> Claim | NoTarget:
    """A claim with names as Kubernetes allows them; the namespace is never guessed."""
    kind = KIND_OF_WORD.get(word.lower())
    if kind is None:
        return NoTarget(Reason.TARGET_UNSUPPORTED, f"kind {cut(word, max_length=60)!r} ({why})")
    if kind == "Node":
        namespace = ""
    elif not namespace:
        return NoTarget(Reason.NO_TARGET_LABEL, f"no namespace label beside the {kind} ({why})")
    elif len(namespace) > 63 or not _LABEL.fullmatch(namespace):
        return NoTarget(Reason.NO_TARGET_LABEL, f"{cut(namespace, max_length=80)!r} is not a namespace name ({why})")
    if not name:
        return NoTarget(Reason.NO_TARGET_LABEL, f"no name for the {kind} ({why})")
    if len(name) > 253 or not _NAME.fullmatch(name):
        return NoTarget(Reason.NO_TARGET_LABEL, f"{cut(name, max_length=80)!r} is not a {kind} name ({why})")
    return Claim(kind=kind, namespace=namespace, name=name, uid=uid, why=why, container=container)


def _is_exported(label: str) -> bool:
    return label.startswith(EXPORTED) and _plain(label) in READ


def _plain(label: str) -> str:
    return label.removeprefix(EXPORTED)


def _spelled(label: str, labels: Mapping[str, str]) -> str:
    """The label as the alert has it."""
    return EXPORTED + label if labels.get(EXPORTED + label) else label
