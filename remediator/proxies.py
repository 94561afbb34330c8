"""The environment's proxies for whoever opens connections with aiohttp, once and without a ~/.netrc.

aiohttp finds them by itself (`trust_env`), but asks two threads for that at every request, and sends what ~/.netrc has
for the host as credentials. Called by `kube/session.py`, `alertmanager/` and the webhook sink.
"""

from __future__ import annotations

from urllib.request import getproxies, proxy_bypass

from yarl import URL


def proxy_of_environment(url: URL | str) -> str | None:
    """By HTTPS_PROXY, HTTP_PROXY and NO_PROXY as they are now; None: it is asked directly. Raises ValueError for what
    is no URL."""
    url = URL(url)
    if url.host is None or proxy_bypass(url.host):
        return None
    return getproxies().get(url.scheme)
