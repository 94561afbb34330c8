"""Whether a request is let in: not sent by a page of another site, from somebody that is known, who may do that; where
nobody has to be known, not sent by a page whose name was made to point at us.

Asked before every handler by `application.py`. What a route needs follows from what it is, so that a new one that
nobody thought of here is for operators only.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog
from aiohttp import hdrs, web

from remediator.access.authenticate import Authenticator
from remediator.access.base import ANYONE, PRINCIPAL, May, Principal
from remediator.access.passwords import TooManyPasswords
from remediator.access.tls import names_of
from remediator.api.answers import problem
from remediator.api.hosts import Hosts, is_of_browser, name_of
from remediator.errors import cut

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ALWAYS_OPEN = frozenset({"/-/healthy", "/-/ready"})
"""For the kubelet, which has no credential. Nothing here is worth one."""
OWN_SITES = frozenset({"none", "same-origin"})
"""What `Sec-Fetch-Site` says of what the person typed, and of our own pages."""

_log = structlog.get_logger(__name__)


class Entrance:
    """`alert_paths` are those of the webhook, `hosts` the names by which a browser may come."""

    def __init__(self, authenticator: Authenticator, *, alert_paths: Collection[str], hosts: Hosts) -> None:
        self._authenticator = authenticator
        self._alert_paths = frozenset(alert_paths)
        self._hosts = hosts

    def need(self, request: web.Request) -> May | None:
        """What the sender must be allowed to do; None: nothing. To hear that there is no such route: to read."""
        route = route_of(request)
        if request.method in SAFE_METHODS or request.match_info.http_exception is not None:
            return None if route in ALWAYS_OPEN else May.READ
        return May.ALERT if route in self._alert_paths else May.OPERATE

    async def refusal(self, request: web.Request) -> web.Response | None:
        """The answer to who is not let in; None: it is, and `principal_of` says who it is."""
        if request.method not in SAFE_METHODS and is_of_another_site(request):
            return _refused(request, 403, "refused: the request was sent by a page of another site")
        need, access = self.need(request), self._authenticator.access
        if need is None or access.is_open(need):
            if need is not None and is_rebound(request, self._hosts):
                return _refused(request, 403, _unknown_host(request))
            request[PRINCIPAL] = ANYONE
            return None
        peer = None
        if access.web.tls is not None and request.transport is not None:
            peer = names_of(request.transport.get_extra_info("peercert"))
        try:
            principal = await self._authenticator.principal(request.headers.get(hdrs.AUTHORIZATION), peer)
        except TooManyPasswords as error:
            return _refused(request, 503, str(error))
        if principal is None:
            answer = _refused(request, 401, "unauthorized")
            answer.headers[hdrs.WWW_AUTHENTICATE] = self._challenge()
            return answer
        if not principal.credential.allows(need):
            return _refused(request, 403, _may_not(principal, need))
        request[PRINCIPAL] = principal
        return None

    def _challenge(self) -> str:
        access = self._authenticator.access
        schemes = ["Bearer"] if access.credentials.tokens or not access.web.users else []
        schemes += ["Basic"] if access.web.users else []
        return ", ".join(f'{scheme} realm="remediator"' for scheme in schemes)


def route_of(request: web.Request) -> str:
    """The path of the route as it was added (`/api/v1/incidents/{id}`); empty: there is none."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""


def principal_of(request: web.Request) -> Principal:
    """Who sent a request that was let in."""
    return request[PRINCIPAL]


def is_of_another_site(request: web.Request) -> bool:
    """Whether a browser says so. Other clients send neither header, and are asked for a credential only.

    Source: OWASP Cheat Sheet Series, "Cross-Site Request Forgery Prevention": Fetch Metadata, else Origin. A page
    cannot set either. Behind a proxy that changes Host, browsers without the first are refused. Of several headers,
    which no browser sends, each must be ours.
    """
    if sites := request.headers.getall("Sec-Fetch-Site", ()):
        return not OWN_SITES.issuperset(sites)
    # Without TLS of our own it may end at a proxy, and the page is of https.
    schemes = ("https",) if request.secure else ("http", "https")
    ours = {f"{scheme}://{request.host.lower()}" for scheme in schemes}
    return any(origin.lower() not in ours for origin in request.headers.getall(hdrs.ORIGIN, ()))


def is_rebound(request: web.Request, hosts: Hosts) -> bool:
    """Whether a browser sent it to a name that may be another's, whose page it would then be."""
    said = request.headers.getall(hdrs.HOST, ("",))
    return is_of_browser(request.headers) and not all(map(hosts.know, said))


def _unknown_host(request: web.Request) -> str:
    host = request.headers.get(hdrs.HOST, "")
    said = cut(name_of(host) or host, max_length=100)
    return (
        f"refused: a browser came by the name {said!r}, which may be another's, and nobody has to say who they are; "
        "if it is ours, add it to web_allowed_hosts"
    )


def _may_not(principal: Principal, need: May) -> str:
    may = ", ".join(sorted(principal.credential.may)) or "nothing"
    return f"credential {principal.credential.name} may not {need}; it may {may}"


def _refused(request: web.Request, status: int, why: str) -> web.Response:
    seen = {"method": request.method, "route": route_of(request), "peer": request.remote}
    _log.warning("request refused", status=status, why=why, **seen)
    answer = problem(status, why)
    answer.force_close()  # not to read the rest of what is not wanted
    return answer
