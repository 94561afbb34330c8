"""The one HTTP application: the receiver's routes and this package's, behind one middleware.

`app.py` calls `build_application` with the parts it has wired and serves the result with `server.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import cache, partial

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry.trace import SpanKind

from remediator.access.authenticate import Authenticator
from remediator.access.base import May
from remediator.api.answers import SECURITY_HEADERS, problem
from remediator.api.audit import AuditRoutes
from remediator.api.budgets import BudgetRoutes
from remediator.api.connections import BodyTooSlow, request_answered, request_arrived
from remediator.api.control import ControlRoutes
from remediator.api.deployments import DeploymentRoutes
from remediator.api.entrance import Entrance, route_of
from remediator.api.escalations import EscalationRoutes
from remediator.api.exporting import ExportRoutes
from remediator.api.hosts import Hosts
from remediator.api.openapi import document
from remediator.api.operating import OperatingRoutes
from remediator.api.reading import IncidentRoutes
from remediator.api.reports import ReportRoutes
from remediator.api.scorecard import ScoreRoutes
from remediator.store.base import StoreUnavailable
from remediator.telemetry import Telemetry

_log = structlog.get_logger(__name__)


def build_application(
    receiver_routes: Sequence[web.RouteDef],
    *,
    operating: OperatingRoutes,
    control: ControlRoutes,
    audit: AuditRoutes,
    budgets: BudgetRoutes,
    incidents: IncidentRoutes,
    deployments: DeploymentRoutes,
    authenticator: Authenticator,
    escalations: EscalationRoutes,
    exports: ExportRoutes,
    reports: ReportRoutes,
    scores: ScoreRoutes,
    hosts: Hosts,
    telemetry: Telemetry,
    max_body_bytes: int,
    version: str,
) -> web.Application:
    """The application of the whole service. No redirect is ever sent: a redirected POST loses its alert."""
    entrance = Entrance(authenticator, alert_paths=[route.path for route in receiver_routes], hosts=hosts)
    around = _middleware(entrance, authenticator, telemetry)
    application = web.Application(middlewares=[around], client_max_size=max_body_bytes)
    described = cache(partial(_description, version))  # few ask, and a start need not wait for it

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=await asyncio.to_thread(described), content_type="application/json")

    application.add_routes(
        [
            *receiver_routes,
            *operating.routes(),
            *control.routes(),
            *audit.routes(),
            *budgets.routes(),
            *incidents.routes(),
            *deployments.routes(),
            *escalations.routes(),
            *exports.routes(),
            *reports.routes(),
            *scores.routes(),
            web.get("/openapi.json", openapi),
        ]
    )
    return application


def _description(version: str) -> bytes:
    return json.dumps(document(version)).encode()


def _middleware(entrance: Entrance, authenticator: Authenticator, telemetry: Telemetry) -> Middleware:
    """A span per request that joins the caller's trace; faults as JSON; headers that browsers heed."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_arrived(request)
        is_delivery = False
        try:
            response = await traced(request, handler)
            is_delivery = response.status == 200 and entrance.need(request) is May.ALERT
        finally:
            request_answered(request, is_delivery=is_delivery)
        for name, value in authenticator.access.web.headers.items():
            response.headers[name] = value
        for name, value in SECURITY_HEADERS:
            response.headers.setdefault(name, value)
        return response

    async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = route_of(request)
        attributes = {"http.request.method": request.method, "http.route": route}
        with telemetry.span(
            f"{request.method} {route}".strip(), headers=request.headers, kind=SpanKind.SERVER, attributes=attributes
        ) as span:
            refusal = await entrance.refusal(request)
            if refusal is not None and entrance.need(request) is May.ALERT:
                telemetry.webhook_answered(refusal.status)
            response = refusal or await _answered(request, handler)
            span.set_attribute("http.response.status_code", response.status)
        return response

    return around


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except StoreUnavailable as error:
        _log.error("store unavailable", path=request.path, problem=str(error))
        return problem(503, "the store cannot answer now")
    except BodyTooSlow as error:
        answer = problem(408, str(error))
        answer.force_close()
        return answer
    except web.HTTPException as error:
        answer = problem(error.status, error.reason)
        if allow := error.headers.get(hdrs.ALLOW):
            answer.headers[hdrs.ALLOW] = allow
        if error.status == 413:
            answer.force_close()
        return answer
