"""The description of the HTTP API (OpenAPI 3.1), derived from the models that the handlers use.

`application.py` serves it at `/openapi.json`. The table below is compared with the routes by a test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from remediator.access.base import May
from remediator.api.answers import EscalationEntry, IncidentDetail, Incidents, Problem, Readiness
from remediator.api.audit import AuditDone, AuditStatus, ConfirmRequest, RedactRequest
from remediator.api.budgets import Budgets
from remediator.api.control import (
    ApprovalDone,
    ApprovalRequest,
    ApprovalsAwaited,
    PauseRequest,
    PauseStatus,
    ResetDone,
    ResetRequest,
    Status,
)
from remediator.api.deployments import DeploymentDetail, Deployments
from remediator.api.escalations import AckRequest, OpenEscalations
from remediator.api.exporting import PARAMETERS as EXPORT_PARAMETERS
from remediator.api.exporting import PATH as EXPORT
from remediator.api.reports import HANDOFF, MONTHLY
from remediator.api.reports import PARAMETERS as REPORT_PARAMETERS
from remediator.api.score_answers import JudgeRequest, Promotion, Scorecard, ScoreEntry
from remediator.api.scorecard import PARAMETERS as SCORE_PARAMETERS

TEXT = "text/plain"
JSON = "application/json"
_MODELS: tuple[type[BaseModel], ...] = (
    AckRequest,
    ApprovalDone,
    ApprovalRequest,
    ApprovalsAwaited,
    AuditDone,
    AuditStatus,
    Budgets,
    ConfirmRequest,
    DeploymentDetail,
    Deployments,
    EscalationEntry,
    IncidentDetail,
    Incidents,
    JudgeRequest,
    OpenEscalations,
    PauseRequest,
    PauseStatus,
    Problem,
    Promotion,
    Readiness,
    RedactRequest,
    ResetDone,
    ResetRequest,
    ScoreEntry,
    Scorecard,
    Status,
)
_REQUESTS: Mapping[str, type[BaseModel]] = {
    "/api/v1/approvals/{id}/approve": ApprovalRequest,
    "/api/v1/approvals/{id}/deny": ApprovalRequest,
    "/api/v1/audit/confirm": ConfirmRequest,
    "/api/v1/audit/redact": RedactRequest,
    "/api/v1/escalations/{id}/ack": AckRequest,
    "/api/v1/pause": PauseRequest,
    "/api/v1/reset": ResetRequest,
    "/api/v1/scorecard/{id}/judge": JudgeRequest,
}
_ALERTS = "Alertmanager's webhook (version 4). Answered with 200 once every alert is stored."
_RELOAD = "Load all files again. Off unless web_enable_lifecycle is set."

# Path -> method -> summary, model of the answer (None: free JSON or text), other status codes besides those of the
# entrance, and what the sender must be allowed to do (None: nothing).
_PATHS: Mapping[str, Mapping[str, tuple[str, type[BaseModel] | None, tuple[int, ...], May | None]]] = {
    "/api/v1/alerts": {"post": (_ALERTS, None, (400, 413, 415, 503), May.ALERT)},
    "/api/v1/alertmanager": {"post": (_ALERTS, None, (400, 413, 415, 503), May.ALERT)},
    "/webhook": {"post": (_ALERTS, None, (400, 413, 415, 503), May.ALERT)},
    "/api/v1/incidents": {"get": ("Incidents, newest first.", Incidents, (400, 503), May.READ)},
    "/api/v1/incidents/{id}": {"get": ("One incident whole.", IncidentDetail, (400, 404, 503), May.READ)},
    "/api/v1/deployments": {"get": ("Rollouts under watch, newest first.", Deployments, (400, 503), May.READ)},
    "/api/v1/deployments/{namespace}/{name}": {
        "get": ("One Deployment: its rollouts, the baseline and now.", DeploymentDetail, (404, 503), May.READ)
    },
    "/api/v1/approvals": {"get": ("What waits for a person.", ApprovalsAwaited, (503,), May.READ)},
    "/api/v1/approvals/{id}/approve": {
        "post": ("Approve a plan as it was shown.", ApprovalDone, (400, 409, 415, 503), May.OPERATE)
    },
    "/api/v1/approvals/{id}/deny": {"post": ("Deny a plan.", ApprovalDone, (400, 409, 415, 503), May.OPERATE)},
    "/api/v1/audit": {"get": ("How the audit log stands.", AuditStatus, (503,), May.READ)},
    "/api/v1/audit/checkpoint": {"get": ("Its head as a signed note.", None, (503,), May.READ)},
    "/api/v1/audit/records/{seq}/proof": {"get": ("The proof of one record.", None, (400, 404, 503), May.READ)},
    "/api/v1/audit/confirm": {
        "post": ("Say that the log is the one it should be.", AuditDone, (400, 409, 415, 503), May.OPERATE)
    },
    "/api/v1/audit/redact": {
        "post": ("Take back the free content of a record.", AuditDone, (400, 404, 409, 415, 503), May.OPERATE)
    },
    "/api/v1/budgets": {"get": ("Budgets: used, by which remediation, next slot.", Budgets, (400, 503), May.READ)},
    "/api/v1/escalations": {"get": ("What people have to do.", OpenEscalations, (503,), May.READ)},
    "/api/v1/escalations/{id}/ack": {
        "post": ("Take an escalation on.", EscalationEntry, (400, 404, 409, 415, 503), May.OPERATE)
    },
    EXPORT: {"get": ("An incident's story, or the records of a time, as a file.", None, (400, 404, 503), May.READ)},
    HANDOFF: {"get": ("What the next person on call has to know, as a file.", None, (400, 503), May.READ)},
    MONTHLY: {"get": ("Each rule's month, as a file.", None, (400, 503), May.READ)},
    "/api/v1/pause": {
        "get": ("The kill switch and the pauses.", PauseStatus, (503,), May.READ),
        "post": ("Engage or release the kill switch or a pause.", PauseStatus, (400, 404, 415, 503), May.OPERATE),
    },
    "/api/v1/reset": {
        "post": ("Close a circuit breaker, or release a target.", ResetDone, (400, 415, 503), May.OPERATE)
    },
    "/api/v1/promotion/{rule}": {
        "get": ("What a rule has earned, and the change of its mode.", Promotion, (400, 404, 503), May.READ)
    },
    "/api/v1/scorecard": {"get": ("What happened after recommendations.", Scorecard, (400, 503), May.READ)},
    "/api/v1/scorecard/{id}/judge": {
        "post": ("Judge one recommendation.", ScoreEntry, (400, 404, 415, 503), May.OPERATE)
    },
    "/api/v1/status": {"get": ("What holds now, and why.", Status, (503,), May.READ)},
    "/api/v1/status/buildinfo": {"get": ("Version and platform.", None, (), May.READ)},
    "/api/v1/status/config": {"get": ("Settings in force.", None, (), May.READ)},
    "/api/v1/status/flags": {"get": ("Settings in force by flag.", None, (), May.READ)},
    "/-/healthy": {"get": ("The process answers.", None, (), None)},
    "/-/ready": {"get": ("What it depends on answers.", Readiness, (503,), None)},
    "/-/reload": {
        "post": (_RELOAD, None, (500,), May.OPERATE),
        "put": (_RELOAD, None, (500,), May.OPERATE),
    },
    "/metrics": {"get": ("Metrics for Prometheus.", None, (), May.READ)},
    "/openapi.json": {"get": ("This document.", None, (), May.READ)},
}
_ASKED = {EXPORT: EXPORT_PARAMETERS, **REPORT_PARAMETERS, **SCORE_PARAMETERS}
_AS_FILE = {
    EXPORT: ("application/json", "application/zip", "application/x-ndjson", "text/markdown", "text/html", "text/csv"),
    HANDOFF: ("application/json", "text/markdown", "text/html"),
    MONTHLY: ("application/json", "text/markdown", "text/html", "text/csv"),
    "/-/ready": ("application/json", "text/plain"),
}
"""What else the answer may be, by what is asked for."""
_BODY = "Alertmanager's body, version 4. Fields that are not named here are tolerated."
_WEBHOOK = {
    "type": "object",
    "required": ["version", "receiver", "groupKey", "alerts"],
    "properties": {
        "version": {"const": "4"},
        "receiver": {"type": "string", "maxLength": 4096},
        "groupKey": {"type": "string", "maxLength": 1_000_000},
        "truncatedAlerts": {"type": "integer", "minimum": 0},
        "alerts": {"type": "array", "items": {}, "description": "What cannot be used is set aside, one by one."},
    },
}
_AS_TEXT = ("/-/healthy", "/metrics", "/api/v1/audit/checkpoint", "/api/v1/audit/records/{seq}/proof")


def document(version: str) -> dict[str, Any]:
    """The whole description; `version` is the service's."""
    _, definitions = models_json_schema(
        [(model, "validation" if model in _REQUESTS.values() else "serialization") for model in _MODELS],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "remediator", "version": version},
        "paths": {
            path: {method: _operation(path, method, *row) for method, row in methods.items()}
            for path, methods in _PATHS.items()
        },
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
                "certificate": {"type": "mutualTLS"},
            },
        },
    }


def _operation(
    path: str, method: str, summary: str, model: type[BaseModel] | None, codes: tuple[int, ...], need: May | None
) -> dict[str, Any]:
    schema = {JSON: _reference(model) if model else {}}
    kinds = _AS_FILE.get(path, (TEXT if path in _AS_TEXT else JSON,))
    good = {kind: {"schema": schema.get(kind, {})} for kind in kinds}
    responses: dict[str, Any] = {"200": {"description": "OK", "content": good}}
    for code in sorted({*codes, *((401, 403) if need else ())}):
        failure = model if model is Readiness else Problem
        told = {JSON: {"schema": _reference(failure)}} | ({TEXT: {"schema": {}}} if model is Readiness else {})
        responses[str(code)] = {"description": "Failed", "content": told}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if need is not None:
        operation["security"] = [{"bearer": []}, {"basic": []}, {"certificate": []}, {}]
        operation["description"] = f"Needs a credential that may {need}, where credentials are asked for."
    if path in _REQUESTS and method == "post":
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": _reference(_REQUESTS[path])}}}
    if need is May.ALERT:
        body = {"required": True, "description": _BODY, "content": {JSON: {"schema": _WEBHOOK}}}
        operation["requestBody"] = body
    if path == "/api/v1/incidents":
        operation["parameters"] = [
            {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
            {"name": "open", "in": "query", "schema": {"type": "boolean"}},
        ]
    if path == "/api/v1/budgets":
        operation["parameters"] = [{"name": "shadow", "in": "query", "schema": {"type": "boolean"}}]
    if path == "/api/v1/deployments":
        operation["parameters"] = [
            {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 5000}},
            {"name": "watched", "in": "query", "schema": {"type": "boolean"}},
        ]
    if path in _ASKED:
        operation["parameters"] = [
            {"name": name, "in": "query", "description": description, "schema": schema}
            for name, (description, schema) in _ASKED[path].items()
        ]
    if names := re.findall(r"\{(\w+)\}", path):
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    return operation


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
