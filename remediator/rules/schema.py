"""The rule table as written: pydantic models of the YAML.

Names and parameters of actions, guards, checks and collectors come from their drawers' tables, so a new action needs
no change here. `load.py` makes these from files; `ruleset.py` is the table that they are together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializeAsAny,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    field_validator,
    model_validator,
)

from remediator.actions import ACTIONS
from remediator.checks import CHECKS
from remediator.diagnose import COLLECTORS
from remediator.diagnose.base import Dependency
from remediator.diagnose.queries import unknown_placeholder
from remediator.guards import GUARDS
from remediator.guards.freeze import Freeze
from remediator.model import Json, Mode
from remediator.rules.conditions import CONDITIONS
from remediator.rules.escalation import ContactRow, PaceTime
from remediator.rules.matcher import Matcher, parse_matchers
from remediator.rules.names import known
from remediator.rules.patterns import LogPatternRow
from remediator.rules.severity import LEAST, SeverityRow
from remediator.target.spec import KIND_OF_WORD, TargetSpec
from remediator.units import Duration, LimitText, between

PARAMETERS_OF_GUARDS: Mapping[str, type[BaseModel]] = {guard.name: guard.parameters for guard in GUARDS}

KINDS: tuple[str, ...] = tuple(KIND_OF_WORD.values())


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False, arbitrary_types_allowed=True)


def _http(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError("must begin with https:// or http://")
    return url


def _matchers(value: Any) -> Any:
    if not isinstance(value, str):
        if isinstance(value, tuple):
            return value
        raise ValueError("write each matcher as text in quotes, like 'alertname=\"KubePodCrashLooping\"'")
    found = parse_matchers(value)
    if not found:
        raise ValueError('no matcher in it; write label="value" with one of = != =~ !~')
    return found


def _promql(expression: str) -> str:
    if (found := unknown_placeholder(expression)) is not None:
        raise ValueError(f"unknown placeholder {found}: there are $namespace, $workload, $kind, $pod and $container")
    return expression


def _severity(value: Any) -> Any:
    if value != "from_label" and (type(value) is not int or not 1 <= value <= LEAST):
        raise ValueError("write 1, 2, 3 or 4, or from_label")
    return value


Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]
Url = Annotated[str, AfterValidator(_http), Field(max_length=2000)]
PromQL = Annotated[str, AfterValidator(_promql), Field(min_length=1, max_length=2000)]
MatcherLine = Annotated[
    tuple[Matcher, ...],
    BeforeValidator(_matchers),
    PlainSerializer(lambda line: ",".join(str(matcher) for matcher in line), return_type=str),
    WithJsonSchema({"type": "string", "examples": ['alertname="KubePodCrashLooping"', 'namespace!~"kube-.*"']}),
]


def _model(name: str, doc: str, fields: Mapping[str, Any]) -> type[Strict]:
    """A model whose fields come from a table."""
    return create_model(name, __base__=Strict, __doc__=doc, __module__=__name__, **fields)


When = _model(
    "When",
    "All conditions named must hold; evidence that is missing does not hold.",
    {name: (row.parameter | None, Field(None, description=row.description)) for name, row in CONDITIONS.items()},
)


def _field_name(guard: str) -> str:
    return guard.replace("-", "_")


GuardParameters = _model(
    "GuardParameters",
    "Guard -> its parameters. A guard that is not named runs with its defaults; none can be left out.",
    {_field_name(name): (model | None, Field(None, alias=name)) for name, model in PARAMETERS_OF_GUARDS.items()},
)


class ObjectReference(Strict):
    """One fixed object."""

    kind: Annotated[str, known("kind", KINDS)]
    namespace: str | None = Field(None, min_length=1, max_length=63, description="Its namespace; none for a Node.")
    name: str = Field(min_length=1, max_length=253)

    @model_validator(mode="after")
    def _has_a_namespace(self) -> Self:
        if (self.kind == "Node") is not (self.namespace is None):
            raise ValueError("name the namespace too" if self.namespace is None else "a Node is in no namespace")
        return self


class TargetSource(Strict):
    """Where the object to act on comes from: exactly one of the three."""

    from_: Literal["alert"] | None = Field(
        None, alias="from", description="`alert`: from the alert's own labels, as the upstream alerts set them."
    )
    node_scope: bool = Field(
        False, strict=True, description="With `from: alert`: the alert is about a node, not about a pod on it."
    )
    labels: Mapping[Annotated[str, known("kind", (*KINDS, "namespace"))], str] | None = Field(
        None,
        min_length=1,
        description="Kind -> label with its name, `namespace` -> label of the namespace (default `namespace`). "
        "For alerts with labels of their own, like `{Deployment: destination_workload}`.",
    )
    object: ObjectReference | None = Field(None, description="A fixed object, for alerts without labels of one.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(way is not None for way in (self.from_, self.labels, self.object)) != 1:
            raise ValueError("give exactly one of: from, labels, object")
        if self.labels is not None and set(self.labels) == {"namespace"}:
            raise ValueError("a namespace is no target; name a kind as well, like {Deployment: deployment}")
        if self.node_scope and self.from_ is None:
            raise ValueError("node_scope only says how to read the alert's own labels; use it with from: alert")
        return self

    def spec(self) -> TargetSpec:
        """The same as the value that `target.resolve` reads."""
        if self.object is not None:
            fixed = (self.object.kind.lower(), self.object.namespace or "", self.object.name)
            return TargetSpec(fixed=fixed)
        return TargetSpec(from_alert=self.from_ is not None, labels=self.labels or {}, node_scope=self.node_scope)


FROM_ALERT = TargetSource.model_validate({"from": "alert"})


class Row(Strict):
    """One response: when it applies, and what to do then."""

    when: When | None = Field(  # type: ignore[valid-type]  # made from a table
        None, description="Conditions of this row; none: always, so it must be the last row."
    )
    do: Annotated[str, known("action", ACTIONS)] = Field(description="Name of the action.")
    parameters: SerializeAsAny[BaseModel] = Field(
        default={}, alias="with", validate_default=True, description="The action's own parameters."
    )
    advice: str = Field("", max_length=2000, description="Told to people; `{...}` is plain substitution.")

    @field_validator("parameters", mode="plain", json_schema_input_type=dict[str, Any])
    @classmethod
    def _of_the_action(cls, value: Any, info: ValidationInfo) -> Any:
        action = ACTIONS.get(info.data.get("do", ""))
        if action is None or isinstance(value, action.parameters):
            return value  # an unknown action is complained of at `do`
        return action.parameters.model_validate(value)

    @property
    def asks(self) -> bool:
        """Whether it has a condition at all."""
        when: BaseModel | None = self.when
        return when is not None and bool(when.model_fields_set)

    @property
    def acts(self) -> bool:
        """Whether it can write to the cluster; an action that only speaks needs no permissions."""
        return bool(ACTIONS[self.do].permissions)


class DependsOn(Strict):
    """An object that the rule's targets need: looked at before their own release is blamed."""

    name: Name = Field(description="What people call it.")
    kind: Literal["Service", "Deployment", "StatefulSet"] = Field(description="Its kind.")
    namespace: str | None = Field(None, min_length=1, max_length=63, description="Default: the target's own.")
    object: str = Field(min_length=1, max_length=253, description="Its name.")
    contact: str = Field("", max_length=63, description="Row of the escalation matrix that owns it.")

    def value(self) -> Dependency:
        """The same as the value that the collector `dependencies` reads."""
        return Dependency(self.name, self.kind, self.namespace, self.object, self.contact)


class Verify(Strict):
    """What proves that an action helped."""

    expect: tuple[Annotated[str, known("check", CHECKS)], ...] = Field(
        min_length=1, description="Checks that must all pass."
    )
    within: Annotated[Duration, between(timedelta(seconds=30), timedelta(hours=6))] = Field(
        timedelta(minutes=10), description="Time for it, 30s to 6h. Default 10m (Kubernetes' progress deadline)."
    )
    stable_for: Annotated[Duration, between(timedelta(0), timedelta(hours=1))] = Field(
        timedelta(minutes=2), description="How long they must pass without a break, 0 to 1h. Default 2m."
    )
    otherwise: Literal["revert", "escalate"] = Field(
        "escalate", description="After a failure: `revert` restores the object once and escalates; `escalate` does not."
    )

    @model_validator(mode="after")
    def _has_time(self) -> Self:
        if self.stable_for >= self.within:
            raise ValueError("stable_for must be shorter than within, or it can never be proved")
        return self


class Rule(Strict):
    """One row of the table: which alerts, which object, what to do, and how to know that it helped."""

    name: Name = Field(description="Unique over all files; in metrics, records and messages.")
    description: str = Field("", max_length=2000, description="One or two sentences for people.")
    runbook_url: Url | None = Field(None, description="Shown with every message about this rule.")
    match: tuple[MatcherLine, ...] = Field(
        min_length=1,
        description="Alertmanager matchers; all must hold. Expressions are anchored, a missing label is empty.",
    )
    severity: Annotated[int | Literal["from_label"], BeforeValidator(_severity)] = Field(
        description="1 (acts at once) to 4, see `severities`; or `from_label`: by the alert's own label `severity`, "
        "see `severity_labels`. Annotation `remediator.io/severity` on workload or namespace can only lower it."
    )
    target: TargetSource = Field(FROM_ALERT, description="The object to act on. Default: from the alert.")
    diagnose: tuple[Annotated[str, known("collector", COLLECTORS)], ...] = Field(
        (), description="Collectors that run before anything is decided."
    )
    queries: Mapping[Name, PromQL] = Field(
        default={},
        max_length=10,
        description="Name -> PromQL for `when: {query: ...}`. `$namespace`, `$workload`, `$kind`, `$pod` and "
        "`$container` are filled in, escaped; one number must come back.",
    )
    depends_on: tuple[DependsOn, ...] = Field((), max_length=10, description="What its targets need to work.")
    respond: tuple[Row, ...] = Field(min_length=1, description="The first row whose `when` holds is taken.")
    verify: Verify | None = Field(None, description="Required if a row can act.")
    limits: tuple[LimitText, ...] = Field((), description="Most actions of this rule in each window, like `3 per 1h`.")
    contact: Name | None = Field(None, description="Row of the escalation matrix. Default: the matrix' own default.")
    mode: Mode = Field(
        Mode.SILENT, description="Most that this rule may do. Default silent: a rule earns active by its score."
    )
    guards: GuardParameters = Field(  # type: ignore[valid-type]  # made from a table
        GuardParameters(), description="Guard -> its parameters, where they differ from the guard's defaults."
    )

    @cached_property
    def matchers(self) -> tuple[Matcher, ...]:
        """All matchers, in the order of the file."""
        return tuple(matcher for line in self.match for matcher in line)

    def as_json(self) -> Json:
        """The rule as loaded, defaults included, as JSON; what a record keeps of it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the rule as loaded, in hexadecimal."""
        return digest_of(self.as_json())

    @cached_property
    def sense(self) -> str:
        """The digest of what it decides and does: without what is only said of it, whom it calls, and how far it may
        go. Texts of one sense share one score."""
        said = ("description", "runbook_url", "contact", "mode")
        return digest_of({name: value for name, value in self.as_json().items() if name not in said})

    @property
    def acts(self) -> bool:
        return any(row.acts for row in self.respond)

    @cached_property
    def collectors(self) -> tuple[str, ...]:
        """`diagnose`, and the collectors that what the rule asks for cannot do without."""
        implied = [name for name, given in (("queries", self.queries), ("dependencies", self.depends_on)) if given]
        return tuple(dict.fromkeys([*self.diagnose, *implied]))

    def guard_parameters(self, guard: str) -> BaseModel:
        """The parameters for a guard: the rule's, or the guard's defaults."""
        given: BaseModel | None = getattr(self.guards, _field_name(guard))
        return given if given is not None else PARAMETERS_OF_GUARDS[guard]()


class Document(Strict):
    """One file of the rule table."""

    rules: tuple[Rule, ...] = Field((), description="Tried in order; the first whose matchers hold is taken.")
    severities: Mapping[Annotated[int, Field(strict=True, ge=1, le=4)], SeverityRow] = Field(
        default={}, description="Severity -> policy. Given in one file at most."
    )
    severity_labels: Mapping[str, Annotated[int, Field(strict=True, ge=1, le=4)]] = Field(
        default={},
        description="Value of the alert's label `severity` -> severity, for rules with `severity: from_label`. One "
        "that is not named is 4. Given in one file at most. Default: critical 1, error 2, warning 3, info and none 4.",
    )
    log_patterns: tuple[LogPatternRow, ...] = Field(
        (), max_length=200, description="What crashed containers write last, beside the patterns that are shipped."
    )
    freezes: tuple[Freeze, ...] = Field((), max_length=200, description="Times in which nothing is changed.")
    contacts: Mapping[Name, ContactRow] = Field(
        default={},
        max_length=200,
        description="The escalation matrix: row -> who is told that people are needed. One is `default`, for whatever "
        "names no row. Given in one file at most.",
    )
    pace: Mapping[Annotated[int, Field(strict=True, ge=1, le=4)], PaceTime] = Field(
        default={},
        description="Severity -> time without an acknowledgement until the next of the row is told, 1m to 7d. Given in "
        "one file at most. Default: 1: 5m, 2: 15m, 3: 1h, 4: 8h.",
    )


def digest_of(value: Json) -> str:
    """SHA-256 of the value as canonical JSON, in hex."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
