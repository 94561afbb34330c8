"""What manifests grant to an account, compared with what is needed. Pure but for `read`; called by `check rbac`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from remediator.errors import ConfigError
from remediator.lint.rights import Need, Right, Scope
from remediator.lint.shape import fields, listed, rows, texts
from remediator.model import Json
from remediator.rules.document import read_foreign
from remediator.rules.report import FileError


@dataclass(frozen=True, slots=True)
class Granted:
    """A rule of a role, verb by verb, and where: `namespace` empty, in the whole cluster. `role` is for people."""

    right: Right
    namespace: str
    role: str


@dataclass(frozen=True, slots=True)
class Difference:
    """`missing` is not granted to the account; `unused` is granted and nothing needs it."""

    missing: Sequence[Need]
    unused: Sequence[Granted]


def read(paths: Sequence[Path]) -> list[Json]:
    """The objects in these manifests; a folder stands for all its `*.yaml`, with those below. Raises FileError."""
    objects: list[Json] = []
    for path in paths:
        files = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
        if not files:
            raise ConfigError(f"{path}: no *.yaml file in this folder")
        for file in files:
            try:
                source = read_foreign(str(file), file.read_bytes())
            except OSError as error:
                raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
            if source.problems:
                raise FileError("\n".join(map(str, source.problems)), problems=source.problems)
            for document in source.data or ():
                items = listed(document.get("items")) if fields(document).get("kind") == "List" else [document]
                objects += [one for one in items if fields(fields(one).get("metadata")).get("name")]
    return objects


def accounts(objects: Sequence[Json]) -> list[str]:
    """The ServiceAccounts that roles are bound to, as NAMESPACE/NAME."""
    found = [_account(subject) for one in objects if _is_binding(one) for _, subject in rows(one.get("subjects"))]
    return sorted({name for name in found if name})


def granted(objects: Sequence[Json], account: str, *, also: Sequence[str] = ()) -> Iterator[Granted]:
    """What bindings give to the account (NAMESPACE/NAME). Roles named in `also` count as bound where they are needed:
    a ClusterRole that each namespace binds by itself."""
    roles = {(one["kind"], _space(one), str(one["metadata"]["name"])): one for one in objects if _is_role(one)}
    for one in objects:
        if not _is_binding(one) or account not in [_account(subject) for _, subject in rows(one.get("subjects"))]:
            continue
        reference, space = fields(one["roleRef"]), _space(one)
        key = (str(reference.get("kind")), space if reference.get("kind") == "Role" else "", str(reference.get("name")))
        if key in roles:
            yield from _rights(roles[key], space)
    for name in also:
        if (role := roles.get(("ClusterRole", "", name))) is not None:
            yield from _rights(role, "")


def compare(needs: Sequence[Need], given: Sequence[Granted]) -> Difference:
    """A need is met by a grant in the whole cluster; of what is managed also in some namespace, since which ones are is
    for who binds; of a named object in the namespace of that object."""
    missing = [need for need in needs if not any(_covers(one, need) for one in given)]
    unused = [one for one in given if not any(_is_used(one, need) for need in needs)]
    return Difference(missing, list(dict.fromkeys(unused)))


def _covers(one: Granted, need: Need) -> bool:
    if not _is_same(one.right, need.right) or one.right.name not in ("", need.right.name):
        return False
    if not one.namespace or need.scope is Scope.MANAGED:
        return True
    return need.scope is Scope.OWN and one.namespace == need.right.namespace


def _is_used(one: Granted, need: Need) -> bool:
    """Wildcards and unnamed grants are more than what is needed, and so unused as they stand."""
    if "*" in (one.right.group, one.right.resource, one.right.verb) or not _is_same(one.right, need.right):
        return False
    return one.right.name == need.right.name and (not one.namespace or need.scope is not Scope.CLUSTER)


def _is_same(given: Right, wanted: Right) -> bool:
    pairs = ((given.group, wanted.group), (given.resource, wanted.resource), (given.verb, wanted.verb))
    return all(one in ("*", other) for one, other in pairs)


def _rights(role: Json, namespace: str) -> Iterator[Granted]:
    label = f"{role['kind']} {role['metadata']['name']}"
    for _, rule in rows(role.get("rules")):
        for verb in texts(rule.get("verbs")):
            for path in texts(rule.get("nonResourceURLs")):
                yield Granted(Right("", path, verb), namespace, label)
            for group in texts(rule.get("apiGroups")):
                for resource in texts(rule.get("resources")):
                    for name in texts(rule.get("resourceNames")) or [""]:
                        yield Granted(Right(group, resource, verb, name), namespace, label)


def _is_role(one: Json) -> bool:
    return one.get("kind") in ("Role", "ClusterRole")


def _is_binding(one: Json) -> bool:
    return one.get("kind") in ("RoleBinding", "ClusterRoleBinding") and "roleRef" in one


def _space(one: Json) -> str:
    return str(one["metadata"].get("namespace", "")) if one["kind"] in ("Role", "RoleBinding") else ""


def _account(subject: Mapping[str, Json]) -> str:
    if subject.get("kind") != "ServiceAccount":
        return ""
    return f"{subject.get('namespace', '')}/{subject.get('name', '')}"
