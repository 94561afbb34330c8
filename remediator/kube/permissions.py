"""What a request needs, as RBAC names it. Declared beside whatever sends requests; `check rbac` adds it up.

A test compares the declarations with what is really sent, and the shipped roles with both.
"""

from __future__ import annotations

from dataclasses import dataclass

from remediator.kube.base import RESOURCES


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission (`resource` may hold a subresource). `names`: only of the objects so called, empty: of any.

    A resource that begins with `/` is a path of the API server that is no resource (`nonResourceURLs`).
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


def to(kind: str, *verbs: str, subresource: str = "", names: tuple[str, ...] = ()) -> Permission:
    """The permission to do that to objects of a kind."""
    place = RESOURCES[kind]
    resource = f"{place.plural}/{subresource}" if subresource else place.plural
    return Permission(place.group, resource, verbs, names)
