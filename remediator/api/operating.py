"""What operators and Prometheus ask of the process: health, readiness, reload, metrics, status.

Beside the way of an alert. `application.py` adds the routes. Paths and words are Prometheus' and Alertmanager's own
where they have them (prometheus/prometheus `docs/management_api.md`).
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiohttp import hdrs, web

from remediator.api.answers import BuildInfo, Part, PartStatus, Readiness, answer, problem
from remediator.errors import ConfigError
from remediator.settings import Settings
from remediator.store.base import StoreUnavailable
from remediator.telemetry import Telemetry

READY_TIMEOUT_SECONDS = 5.0
GAUGES_TIMEOUT_SECONDS = 2.0

_log = structlog.get_logger(__name__)


class OperatingRoutes:
    """Handlers over the parts that `app.py` wires. `refresh` (of what only the store knows), `readiness` and `reload`
    are its own; `reload` raises ConfigError, `refresh` StoreUnavailable."""

    def __init__(
        self,
        *,
        settings: Settings,
        telemetry: Telemetry,
        refresh: Callable[[], Awaitable[None]],
        readiness: Callable[[], Awaitable[Sequence[Part]]],
        reload: Callable[[], Awaitable[None]],
        version: str,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._refresh = refresh
        self._readiness = readiness
        self._reload = reload
        self._version = version

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/-/healthy", self.healthy),
            web.get("/-/ready", self.ready),
            web.post("/-/reload", self.reload),
            web.put("/-/reload", self.reload),
            web.get("/metrics", self.metrics),
            web.get("/api/v1/status/buildinfo", self.build_info),
            web.get("/api/v1/status/config", self.config),
            web.get("/api/v1/status/flags", self.flags),
        ]

    async def healthy(self, _: web.Request) -> web.Response:
        """The process answers; says nothing about what it depends on."""
        return web.Response(text="remediator is healthy.\n")

    async def ready(self, request: web.Request) -> web.Response:
        """Which part is ready and which is not, as text lines or, if the client asks for it, JSON. 503 if not ready."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS):
                parts = await self._readiness()
        except TimeoutError:
            parts = [Part("readiness", is_ready=False, detail=f"not known within {READY_TIMEOUT_SECONDS:g} s")]
        is_ready = all(part.is_ready for part in parts if part.is_required)
        status = 200 if is_ready else 503
        if "application/json" in request.headers.get(hdrs.ACCEPT, ""):
            shown = [PartStatus.model_validate(part) for part in parts]
            return answer(Readiness(ready=is_ready, parts=shown), status=status)
        lines = ["remediator is ready." if is_ready else "remediator is not ready."]
        lines += [_line(part) for part in parts]
        return web.Response(text="\n".join(lines) + "\n", status=status)

    async def reload(self, _: web.Request) -> web.Response:
        """Load all files again; what has an error stays as it was and the answer says where it is."""
        if not self._settings.web_enable_lifecycle:
            return problem(403, "reloading over HTTP is off (web_enable_lifecycle); SIGHUP reloads as well")
        try:
            await self._reload()
        except ConfigError as error:
            return problem(500, str(error))
        return answer({"status": "success"})

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text. What only the store knows is read now; a store that does not answer leaves it as it was."""
        try:
            async with asyncio.timeout(GAUGES_TIMEOUT_SECONDS):
                await self._refresh()
        except (StoreUnavailable, TimeoutError) as error:
            _log.warning("gauges not refreshed", problem=str(error) or type(error).__name__)
        content_type, text = self._telemetry.exposition(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: content_type})

    async def build_info(self, _: web.Request) -> web.Response:
        info = BuildInfo(version=self._version, python=platform.python_version(), platform=platform.platform())
        return answer({"status": "success", "data": info.model_dump()})

    async def config(self, _: web.Request) -> web.Response:
        """The settings in force, whatever they came from; credentials are not shown."""
        return answer({"status": "success", "data": self._settings.shown()})

    async def flags(self, _: web.Request) -> web.Response:
        """The settings in force under the names of their flags, as text."""
        shown = self._settings.shown()
        return answer({"status": "success", "data": {name.replace("_", "-"): _flag(v) for name, v in shown.items()}})


def _line(part: Part) -> str:
    word = "ready" if part.is_ready else "not ready" if part.is_required else "not ready (not required)"
    return f"{part.name}: {word}" + (f": {part.detail}" if part.detail else "")


def _flag(value: object) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
