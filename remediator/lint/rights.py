"""Which permissions a rule table needs in a mode, and what for: the sum of what is declared beside whatever asks.

Collectors, guards, checks, actions, the resolution of targets, the deployment watch and the rest each declare what they
send; a test compares that with what is really sent. Pure; called by `check rbac`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from remediator import guards
from remediator.actions import ACTIONS
from remediator.actions.base import NamesWorkloads
from remediator.actions.scale import HELD
from remediator.anchor import config_map
from remediator.checks import CHECKS
from remediator.diagnose import ALWAYS, COLLECTORS
from remediator.guards.stop import permissions_for_switch
from remediator.kube import workload
from remediator.kube.access_review import FENCE_PERMISSION
from remediator.kube.base import RESOURCES
from remediator.kube.permissions import Permission
from remediator.lint.kinds import claimed_kinds, row_kinds, target_kinds
from remediator.model import Mode
from remediator.rules.ruleset import RuleSet
from remediator.rules.schema import Rule
from remediator.settings import Settings
from remediator.sinks import kubernetes_event
from remediator.target.behind import permissions_for
from remediator.watch import watcher

READ_VERBS = frozenset({"get", "list", "watch"})
NAMED = "named"
"""The collector that reads only what the rule's own actions name."""

CLUSTER_WIDE = frozenset(f"{place.group}/{place.plural}" for place in RESOURCES.values() if not place.namespaced)


class Scope(StrEnum):
    """Where a permission is needed: `cluster` can only be given by a ClusterRoleBinding, `managed` in each namespace
    that is looked after, `own` in the namespace of the object that it names."""

    CLUSTER = "cluster"
    MANAGED = "managed"
    OWN = "own"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource; `name` is that of the only object it is for, empty: any. `namespace` is of that."""

    group: str
    resource: str
    verb: str
    name: str = ""
    namespace: str = ""

    @property
    def is_write(self) -> bool:
        return self.verb not in READ_VERBS

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        where = f" {place}" if self.name else f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''}{where}"


@dataclass(frozen=True, slots=True)
class Need:
    """A right, where it is needed, and what for."""

    right: Right
    scope: Scope
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Around:
    """What the settings have to do with it. `switch` and `anchor` are NAMESPACE/NAME of ConfigMaps, empty: none."""

    switch: str = "remediator/remediator-kill-switch"
    anchor: str = ""
    has_events: bool = True
    watches: bool = True

    @classmethod
    def of(cls, settings: Settings) -> Around:
        """As these settings have it. Reads the service account's file where they name no namespace."""
        switch = settings.switch_in_cluster()
        return cls(
            switch="/".join(switch) if switch else "",
            anchor=settings.audit_anchor_configmap or "",
            has_events=settings.events,
            watches=settings.rollout_poll_seconds > 0,
        )


def needed(table: RuleSet, mode: Mode, *, around: Around, proves: bool = False) -> tuple[Need, ...]:
    """Each right that is needed, sorted, with what for.

    In silent mode nothing is written but Events; with `proves` its recommendations are dry-run, which takes the right
    to the real write (`deploy/kustomize/components/dry-run`). In the other modes every row that acts counts, whatever
    its rule's own `mode` is now: a rule that is promoted needs no other role.
    """
    found: dict[tuple[Right, Scope], list[str]] = defaultdict(list)
    for why, scope, permission, namespace in _asked(table, mode, around, proves):
        for right in _rights(permission, namespace):
            where = Scope.CLUSTER if f"{right.group}/{right.resource}" in CLUSTER_WIDE else scope
            if why not in found[right, where]:
                found[right, where].append(why)
    # What is granted in the whole cluster need not be granted in its namespaces as well.
    everywhere = {right for right, scope in found if scope is Scope.CLUSTER}
    for right, scope in list(found):
        if scope is Scope.MANAGED and right in everywhere:
            found[right, Scope.CLUSTER] += [
                why for why in found.pop((right, scope)) if why not in found[right, Scope.CLUSTER]
            ]
    return tuple(Need(right, scope, tuple(why)) for (right, scope), why in sorted(found.items()))


_Asked = Iterator[tuple[str, Scope, Permission, str]]


def _asked(table: RuleSet, mode: Mode, around: Around, proves: bool) -> _Asked:
    yield "readiness", Scope.CLUSTER, Permission("", "/readyz", ("get",)), ""
    if around.watches:
        for permission in watcher.PERMISSIONS:
            yield "deployment watch", Scope.CLUSTER, permission, ""
    for what, place in (("kill switch", around.switch), ("audit anchor", around.anchor)):
        namespace, _, name = place.partition("/")
        if name:
            given = permissions_for_switch(name) if what == "kill switch" else config_map.permissions_for(name)
            for permission in given:
                yield what, Scope.OWN, permission, namespace
    if proves and mode is Mode.SILENT:
        yield "proof", Scope.CLUSTER, FENCE_PERMISSION, ""
    if around.has_events:
        for permission in kubernetes_event.PERMISSIONS:
            yield "Events", Scope.MANAGED, permission, ""
    for permission in guards.PERMISSIONS:
        yield "guards", Scope.CLUSTER, permission, ""
    for rule in table.rules:
        for permission in _of_rule(rule, acts=mode not in (Mode.OFF, Mode.SILENT), proves=proves):
            yield f"rule {rule.name}", Scope.MANAGED, permission, ""


def _of_rule(rule: Rule, *, acts: bool, proves: bool) -> Iterator[Permission]:
    for kind in sorted(claimed_kinds(rule)):
        yield from permissions_for(kind)
    for kind in sorted(target_kinds(rule)):
        yield from workload.permissions_for(kind)
    for name in dict.fromkeys((*ALWAYS, *rule.collectors)):
        if name != NAMED or any(isinstance(row.parameters, NamesWorkloads) for row in rule.respond):
            yield from COLLECTORS[name].permissions
    for row in rule.respond:
        needs = ACTIONS[row.do].needs(row.parameters, row_kinds(rule, row))
        yield from (one for one in needs if acts or proves or READ_VERBS.issuperset(one.verbs))
        if acts and any(one.resource.endswith("/scale") or one.group == "autoscaling" for one in needs):
            yield from CHECKS[HELD].permissions
    if acts and rule.acts and rule.verify is not None:
        for name in rule.verify.expect:
            yield from CHECKS[name].permissions


def _rights(permission: Permission, namespace: str) -> Iterator[Right]:
    for verb in permission.verbs:
        for name in permission.names or ("",):
            yield Right(permission.group, permission.resource, verb, name, namespace if name else "")


def as_rules(rights: Iterable[Right]) -> list[Mapping[str, object]]:
    """The rules of a Role: resources of a group with the same verbs together."""
    verbs: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for right in rights:
        verbs[right.group, right.name, right.resource].add(right.verb)
    together: dict[tuple[str, str, bool, tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, name, resource), given in sorted(verbs.items()):
        together[group, name, resource.startswith("/"), tuple(sorted(given))].append(resource)
    rules: list[Mapping[str, object]] = []
    for (group, name, is_path, given_verbs), resources in together.items():
        what = {"nonResourceURLs": resources} if is_path else {"apiGroups": [group], "resources": resources}
        rules.append({**what, **({"resourceNames": [name]} if name else {}), "verbs": list(given_verbs)})
    return rules
