"""By which names browsers may come where nobody has to say who they are: against DNS rebinding.

A page of evil.example whose name is made to point at the service is of the same origin as the service for its browser,
so that nothing which tells foreign pages from ours tells this one. Its name does: nobody's page can be of an address,
of localhost, or of a name that no registry gives away. Asked by `entrance.py`; only of browsers, since no other client
runs what a page says, and since Alertmanager, Prometheus and the commands come by any name that people gave a Service.
Source: prior art with the same rule is Vite's `server.allowedHosts`, Django's `ALLOWED_HOSTS`, geth's `--http.vhosts`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aiohttp import hdrs

ANY = "*"
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:/@\s]+))(?::[0-9]*)?", re.IGNORECASE)
_SERVICE = ("svc", "svc.cluster.local")


@dataclass(frozen=True, slots=True)
class Hosts:
    """`names` are those of the settings, in lower case: of a host, of all below a domain (`.example.org`), or `*`.
    `namespace` is our own, None: not in a cluster."""

    names: Collection[str] = ()
    namespace: str | None = None

    def know(self, host: str) -> bool:
        """Whether a page with this `Host` header can only be ours. The port does not matter."""
        if ANY in self.names:
            return True
        if (name := name_of(host)) is None:
            return False
        if _is_address(name) or "." not in name or name.endswith(".localhost"):
            return True  # a name without a dot is localhost, this machine or a Service beside us: no page is of one
        if self.namespace is not None and name.partition(".")[2] in [f"{self.namespace}.{end}" for end in _SERVICE]:
            return True
        return any(name == one or (one.startswith(".") and name.endswith(one)) for one in self.names)


def name_of(host: str) -> str | None:
    """The name or address in a `Host` header, in lower case; None: it is none."""
    found = _HOST.fullmatch(host)
    return None if found is None else (found[1] or found[2]).lower().removesuffix(".") or None


def is_of_browser(headers: Mapping[str, str]) -> bool:
    """Whether a browser sent it. Where a page is not encrypted its own GET has neither `Origin` nor Fetch Metadata, but
    always a language and the browser's own name; a page may say others of some browsers, and take none away."""
    if hdrs.ORIGIN in headers or hdrs.ACCEPT_LANGUAGE in headers:
        return True
    if any(name.lower().startswith("sec-fetch-") for name in headers):
        return True
    return headers.get(hdrs.USER_AGENT, "").lower().startswith("mozilla/")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
