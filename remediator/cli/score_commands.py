"""The commands of the scorecard: what silent mode would have been worth. Part of the `remediator` command."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from remediator.cli.options import DEFAULT_URL, ByOption, CommentOption, OutputOption, TokenOption, UrlOption
from remediator.cli.output import Output

score_app = typer.Typer()


class Verdict(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"


@score_app.command()
def scorecard(
    rule: Annotated[str | None, typer.Option("--rule", help="Only of this rule, with its newest decisions.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only what was decided since: 30d, or a time (RFC 3339).")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Show for each rule what happened after its recommendations without us, and whether they would have been right.

    Example: remediator scorecard --rule crash-loop --since 30d
    """
    from remediator.cli.scorecard import scorecard as run

    raise typer.Exit(run(url, output, rule=rule, since=since, token_file=token_file))


@score_app.command()
def judge(
    remediation: Annotated[str, typer.Argument(metavar="ID", help="Number of the remediation, as 7 or R-7.")],
    verdict: Annotated[Verdict, typer.Argument(help="Whether doing it would have been right.")],
    comment: CommentOption,
    harmful: Annotated[bool, typer.Option("--harmful", help="It would have made things worse.")] = False,
    by: ByOption = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Judge a recommendation. Your word beats what was judged by itself; a later word takes its place.

    Example: remediator judge R-7 right --comment 'we rolled back an hour later'
    """
    from remediator.cli.scorecard import judge as run

    given: dict[str, Any] = {"comment": comment, "harmful": harmful, "by": by, "token_file": token_file}
    raise typer.Exit(run(url, output, remediation=remediation, verdict=verdict.value, **given))


@score_app.command()
def promote(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Name of the rule.")],
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Print the change that gives a rule its next mode, if it has earned that; else what is missing, and exit with 1.

    It edits nothing. Example: remediator promote crash-loop | patch -p0
    """
    from remediator.cli.scorecard import promote as run

    raise typer.Exit(run(url, output, rule=rule, token_file=token_file))
