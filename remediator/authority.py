"""What a credential may speak of: which receivers, namespaces and rules. A pure value, and the questions about it.

Made by `access/` from the credentials file. Asked where an alert comes in (step 1), before its target is read (step 3),
by the guard `scope` (step 6), and by the API for what a person sets. Labels are what a sender writes; this is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from remediator.errors import cut

NAMESPACE_LABELS = ("namespace", "exported_namespace")
"""Either may be the truth (`target/labels.py`), so that both must lie inside."""

_QUOTED = re.compile(r"\\([\\.+*?()|\[\]{}^$])")


class Names(Protocol):
    """Some names, by an anchored expression."""

    def matches(self, value: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Authority:
    """None: any. What has no namespace, an alert or a Node, lies inside only where any namespace does."""

    receivers: Names | None = None
    namespaces: Names | None = None
    rules: Names | None = None

    @property
    def is_limited(self) -> bool:
        return self.receivers is not None or self.namespaces is not None or self.rules is not None

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels is one that it may speak of, whoever delivered it."""
        return not self.outside(namespaces_of(labels))

    def outside_of_alert(self, receiver: str, labels: Mapping[str, str]) -> str:
        """What of an alert lies outside, in words; empty: nothing does. `receiver` as the webhook's body has it."""
        if self.receivers is not None and not self.receivers.matches(unquoted(receiver)):
            return f"receiver {shown(unquoted(receiver))}"
        return self.outside(namespaces_of(labels))

    def outside(self, namespaces: Iterable[str], rule: str | None = None) -> str:
        """What of these lies outside, in words; empty: nothing does.

        No namespaces, or an empty one: all, or an object in none. `rule` empty: every rule; None: not known yet.
        """
        if self.namespaces is not None:
            for name in list(namespaces) or [""]:
                if not name or not self.namespaces.matches(name):
                    return f"namespace {shown(name)}" if name else "what is in no namespace"
        if self.rules is not None and rule is not None and not (rule and self.rules.matches(rule)):
            return f"rule {shown(rule)}" if rule else "every rule"
        return ""


class _NoNames:
    """None at all."""

    def matches(self, value: str) -> bool:
        return False


UNLIMITED = Authority()
NOTHING = Authority(namespaces=_NoNames())


def namespaces_of(labels: Mapping[str, str]) -> list[str]:
    """All that an alert's labels name; none: it names none."""
    return [label for name in NAMESPACE_LABELS if (label := labels.get(name))]


def unquoted(receiver: str) -> str:
    r"""The receiver's name as people wrote it: Alertmanager sends `team\.a/default` for `team.a/default`.

    Source: prometheus/alertmanager `template/template.go` `Data` (Go's `regexp.QuoteMeta`).
    """
    return _QUOTED.sub(r"\1", receiver) if "\\" in receiver else receiver


def shown(name: str) -> str:
    return repr(cut(name, max_length=80))
