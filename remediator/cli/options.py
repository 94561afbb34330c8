"""The options that many commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from remediator.cli.output import Output

OutputOption = Annotated[Output, typer.Option("-o", "--output", help="Form of the output.")]
UrlOption = Annotated[
    str, typer.Option("--url", envvar="REMEDIATOR_URL", help="Address of the running service.", show_envvar=True)
]
DEFAULT_URL = "http://127.0.0.1:9095"
CommentOption = Annotated[str, typer.Option("--comment", help="Why. Required, and kept.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who. Default: the user of this machine.")]
TokenOption = Annotated[
    str | None, typer.Option("--token-file", envvar="REMEDIATOR_TOKEN_FILE", help="File with the bearer token.")
]
