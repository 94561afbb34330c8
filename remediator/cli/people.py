"""The commands for what waits for people: approvals and escalations. Part of the `remediator` command."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from remediator.cli.options import DEFAULT_URL, ByOption, CommentOption, OutputOption, TokenOption, UrlOption
from remediator.cli.output import Output

people_app = typer.Typer()


@people_app.command()
def approvals(url: UrlOption = DEFAULT_URL, output: OutputOption = Output.SIMPLE) -> None:
    """List what waits for a person: the exact change, the dry run, what it costs and until when.

    Example: remediator approvals
    """
    from remediator.cli.control import approvals as run

    raise typer.Exit(run(url, output))


@people_app.command()
def escalations(url: UrlOption = DEFAULT_URL, output: OutputOption = Output.SIMPLE) -> None:
    """List what people have to do: why, who was told, and who is told next and when.

    Example: remediator escalations
    """
    from remediator.cli.escalations import escalations as run

    raise typer.Exit(run(url, output))


@people_app.command()
def ack(
    escalation: Annotated[str, typer.Argument(metavar="ID", help="The escalation, as E-3, or the incident, as inc-7.")],
    comment: CommentOption,
    closes: Annotated[bool, typer.Option("--close", help="It is over as well, whatever fires.")] = False,
    by: ByOption = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Take an escalation on: nobody further is told. It ends with its alerts.

    Example: remediator ack E-3 --comment 'the disk is full, I make room'
    """
    from remediator.cli.escalations import ack as run

    given: dict[str, Any] = {"comment": comment, "closes": closes, "by": by, "token_file": token_file}
    raise typer.Exit(run(url, output, escalation=escalation, **given))


RemediationArgument = Annotated[str, typer.Argument(metavar="ID", help="Number of the remediation, as 7 or R-7.")]
HashOption = Annotated[
    str | None, typer.Option("--plan-hash", help="Of the plan that was looked at. Default: the one that waits now.")
]


@people_app.command()
def approve(
    remediation: RemediationArgument,
    comment: CommentOption,
    plan_hash: HashOption = None,
    by: ByOption = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Approve one plan, as it is shown. A plan that changed since needs a new approval.

    Example: remediator approve R-7 --comment 'agreed with the shop team'
    """
    from remediator.cli.control import approve as run

    given: dict[str, Any] = {"comment": comment, "plan_hash": plan_hash, "by": by, "token_file": token_file}
    raise typer.Exit(run(url, output, remediation=remediation, is_granted=True, **given))


@people_app.command()
def deny(
    remediation: RemediationArgument,
    comment: CommentOption,
    plan_hash: HashOption = None,
    by: ByOption = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Deny one plan; it is not asked for again for this alert.

    Example: remediator deny R-7 --comment 'we fix it forward'
    """
    from remediator.cli.control import approve as run

    given: dict[str, Any] = {"comment": comment, "plan_hash": plan_hash, "by": by, "token_file": token_file}
    raise typer.Exit(run(url, output, remediation=remediation, is_granted=False, **given))
