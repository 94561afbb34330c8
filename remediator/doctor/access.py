"""Who may come in: whether the files can be used, and whether anyone could cause an action."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from remediator.access.base import Credential
from remediator.access.loading import AccessFiles, load_access
from remediator.doctor.base import Asked, Examination, Result, failed, ok, warning
from remediator.errors import ConfigError
from remediator.model import Mode
from remediator.settings import Settings

NAME = "credentials"
MAKE = "make one for each sender with `remediator generate token NAME`, and set web_credentials_file"


async def run(asked: Asked) -> AsyncIterator[Result]:
    yield await asyncio.to_thread(examine, asked.settings)


def examine(settings: Settings) -> Result:
    """Reads the files as `serve` would."""
    files = AccessFiles(settings.web_credentials_file, settings.web_token_files, settings.web_config_file)
    try:
        access = load_access(files)
    except ConfigError as error:
        first, _, rest = str(error).partition("\n")
        return failed(NAME, first, "correct it: the service does not start", lines=tuple(rest.splitlines()))
    known = access.credentials
    if known.is_open:
        told = "nobody is asked who he is: whoever reaches the port can post alerts, approve and pause"
        acts = settings.mode in (Mode.APPROVE, Mode.ACTIVE)
        return (failed if acts else warning)(NAME, told, MAKE)
    lines = tuple(map(_shown, known.by_name.values()))
    tls = "" if access.web.tls is not None else "; without TLS, tokens are seen by whoever sees the traffic"
    return ok(NAME, f"{len(known.by_name) or 'any verified client'} known{tls}", lines=lines)


def _shown(one: Credential) -> str:
    where = "every namespace" if one.authority.namespaces is None else "its namespaces"
    return f"{one.name}: may {', '.join(sorted(one.may)) or 'nothing'}, in {where}"


ACCESS = Examination((NAME,), run)
