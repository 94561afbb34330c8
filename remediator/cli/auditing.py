"""The wiring of `remediator audit ...`: what the commands take; `audit.py` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remediator.cli.options import DEFAULT_URL, ByOption, CommentOption, OutputOption, TokenOption, UrlOption
from remediator.cli.output import Output

audit_app = typer.Typer(
    help="Verify the audit log offline, and look after it.", no_args_is_help=True, rich_markup_mode=None
)


@audit_app.command("verify")
def audit_verify(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A bundle, or the database of a stopped service.")],
    trusted_keys: Annotated[
        Path | None, typer.Option("--trusted-keys", help="File with one key a line: KEY [SINCE [UNTIL]].")
    ] = None,
    anchor: Annotated[
        Path | None, typer.Option("--anchor", help="File with checkpoints that were kept outside the database.")
    ] = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Verify a bundle or a database, offline. Exit code 0 verified, 1 tampered, 3 and 4 something is not proven.

    Example: remediator audit verify incident-7.zip --trusted-keys keys.txt --anchor checkpoint
    """
    from remediator.cli.audit import verify as run

    raise typer.Exit(run(path, output, keys=trusted_keys, anchor=anchor))


@audit_app.command("keygen")
def audit_keygen(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key is written; must not exist.")],
    name: Annotated[str, typer.Option("--name", help="Name of the key, as audit_key_name.")] = "remediator",
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Make a key that signs the audit log; prints the line that verifiers put on their list.

    Example: remediator audit keygen audit-key.pem >> keys.txt
    """
    from remediator.cli.audit import keygen as run

    raise typer.Exit(run(path, output, name=name))


@audit_app.command("status")
def audit_status(url: UrlOption = DEFAULT_URL, output: OutputOption = Output.SIMPLE) -> None:
    """Say how the audit log stands, and why nothing may be done on the strength of it.

    Example: remediator audit status
    """
    from remediator.cli.audit import status as run

    raise typer.Exit(run(url, output))


@audit_app.command("checkpoint")
def audit_checkpoint(url: UrlOption = DEFAULT_URL, output: OutputOption = Output.SIMPLE) -> None:
    """Print the log's head as a signed note, to be kept somewhere else.

    Example: remediator audit checkpoint > checkpoint
    """
    from remediator.cli.audit import checkpoint as run

    raise typer.Exit(run(url, output))


@audit_app.command("proof")
def audit_proof(
    seq: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Number of the record.")],
    url: UrlOption = DEFAULT_URL,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Print the proof that one record is in the log, as C2SP tlog-proof.

    Example: remediator audit proof 17 > record-17.tlog-proof
    """
    from remediator.cli.audit import proof as run

    raise typer.Exit(run(url, seq, output))


@audit_app.command("confirm")
def audit_confirm(
    comment: CommentOption,
    root: Annotated[str | None, typer.Option("--root", help="Root that was looked at. Default: as it is.")] = None,
    by: ByOption = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Say that the log is the one it should be, where no anchor can; or go on as a new log after a restore.

    Example: remediator audit confirm --comment 'new disk, first start'
    """
    from remediator.cli.audit import confirm as run

    raise typer.Exit(run(url, output, comment=comment, by=by, token_file=token_file, root=root))


@audit_app.command("redact")
def audit_redact(
    seq: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Number of the record.")],
    comment: CommentOption,
    fields: Annotated[list[str], typer.Option("--field", help="Name of a field; repeat.")],
    by: ByOption = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Take back what people or programs wrote into a record. The proofs stay valid.

    Example: remediator audit redact 17 --field evidence --comment 'a customer name, ticket 4711'
    """
    from remediator.cli.audit import redact as run

    raise typer.Exit(run(url, output, seq=seq, fields=fields, comment=comment, by=by, token_file=token_file))
