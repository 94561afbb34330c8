"""Where the address of an API server and the right to use it come from: a URL, a kubeconfig, or the pod's own account.

Called by `kube/session.py` at start, when a file changed and after a 401. Each load is complete and from scratch, so
that a rotated token, CA or client certificate needs no code of its own.
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from remediator.errors import ConfigError, cut
from remediator.kube.library import ConfigException, Configuration, InClusterConfigLoader, load_kube_config

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts a pod's token and CA."""

SERVICE_HOST = "KUBERNETES_SERVICE_HOST"
"""Set by the kubelet in every container."""


@dataclass(frozen=True, slots=True)
class Source:
    """One of three: `server` (a URL without authentication), `kubeconfig` (paths as in KUBECONFIG), or the pod's own.

    `strict_tls` False accepts certificates without key identifiers, which Python 3.13 and newer refuse.
    """

    server: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    service_account: Path = SERVICE_ACCOUNT
    strict_tls: bool = True

    @property
    def has_credentials(self) -> bool:
        return self.server is None

    def __str__(self) -> str:
        if self.server is not None:
            return self.server
        if self.kubeconfig is not None:
            return f"kubeconfig {self.kubeconfig}" + (f", context {self.context}" if self.context else "")
        return f"service account in {self.service_account}"


@dataclass(frozen=True, slots=True)
class Access:
    """A loaded source: the library's settings, and the files whose change makes them stale."""

    configuration: Any
    files: tuple[Path, ...]


def find_source(
    *,
    kubeconfig: Path | None,
    context: str | None,
    server: str | None,
    service_account: Path = SERVICE_ACCOUNT,
    strict_tls: bool = True,
) -> Source:
    """The first that exists: `server`, `kubeconfig`, $KUBECONFIG, the pod's service account, ~/.kube/config.

    A `context` can only be one of a kubeconfig, so with it the service account is passed over.
    Raises ConfigError that lists what was tried.
    """
    if server is not None:
        if not server.startswith(("http://", "https://")):
            raise ConfigError(f"not a URL of an API server: {cut(server)!r}; write http://host:port or https://host:port")
        return Source(server=server.rstrip("/"), strict_tls=strict_tls)
    if kubeconfig is not None:
        if not kubeconfig.is_file():
            raise ConfigError(f"kubeconfig {kubeconfig} does not exist; give the path of a kubeconfig file")
        return Source(kubeconfig=str(kubeconfig), context=context, strict_tls=strict_tls)
    tried = []
    listed = os.environ.get("KUBECONFIG", "")
    if any(path.is_file() for path in _paths(listed)):
        return Source(kubeconfig=listed, context=context, strict_tls=strict_tls)
    tried.append(f"$KUBECONFIG ({listed})" if listed else "$KUBECONFIG (not set)")
    if context is None:
        token = service_account / "token"
        if token.is_file() and os.environ.get(SERVICE_HOST):
            return Source(service_account=service_account, strict_tls=strict_tls)
        tried.append(f"the pod's service account ({token} and ${SERVICE_HOST})")
    home = Path.home() / ".kube" / "config"
    if home.is_file():
        return Source(kubeconfig=str(home), context=context, strict_tls=strict_tls)
    tried.append(str(home))
    raise ConfigError(f"no cluster to talk to; tried {', '.join(tried)}; give a kubeconfig or run inside a pod")


async def load(source: Source, *, limit_seconds: float) -> Access:
    """Read the source anew, running its credential plugin if it has one.

    Raises ConfigError. The library's texts can hold the whole user entry with its token, so they are cut before it.
    """
    configuration: Any = Configuration()
    try:
        async with asyncio.timeout(limit_seconds):
            await _fill(configuration, source)
    except TimeoutError as error:
        raise ConfigError(f"{source}: no credentials within {limit_seconds:g} s (credential plugin)") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{source}: not valid YAML{place}") from None
    except (ConfigException, OSError, AssertionError, KeyError, TypeError, ValueError, AttributeError) as error:
        # The library answers an incomplete file with whatever went wrong inside it; `from None` since the chain would
        # print the same secrets.
        raise ConfigError(f"{source}: cannot be used: {_without_entries(error)}") from None
    configuration.disable_strict_ssl_verification = not source.strict_tls
    return Access(configuration, _files(source, configuration))


async def _fill(configuration: Any, source: Source) -> None:
    if source.server is not None:
        configuration.host = source.server
    elif source.kubeconfig is not None:
        # Never write to the user's file: a refreshed token stays in this process.
        await load_kube_config(
            config_file=source.kubeconfig,
            context=source.context,
            client_configuration=configuration,
            persist_config=False,
        )
    else:
        # Its own refresh would read the token at most once a minute, and never after a 401.
        InClusterConfigLoader(
            token_filename=str(source.service_account / "token"),
            cert_filename=str(source.service_account / "ca.crt"),
            try_refresh_token=False,
        ).load_and_set(configuration)
    token = configuration.api_key.get("BearerToken")
    if token is not None:
        # A token file commonly ends in a newline, which is no part of a header.
        scheme, _, value = token.partition(" ")
        if not value.strip() or not value.strip().isprintable():
            raise ConfigError(f"{source}: does not hold one token")
        configuration.api_key["BearerToken"] = f"{scheme} {value.strip()}"


def _files(source: Source, configuration: Any) -> tuple[Path, ...]:
    found: list[Path] = []
    if source.kubeconfig is not None:
        found += _paths(source.kubeconfig)
    elif source.server is None:
        found.append(source.service_account / "token")
    for name in (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file):
        if name is not None:
            found.append(Path(name))
    return tuple(found)


def _paths(listed: str) -> list[Path]:
    return [Path(part).expanduser() for part in listed.split(os.pathsep) if part]


def _without_entries(error: Exception) -> str:
    text = re.sub(r"[{\[].*", "…", str(error), flags=re.DOTALL)
    return f"{type(error).__name__}: {cut(text)}"
