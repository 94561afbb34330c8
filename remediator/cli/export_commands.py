"""The commands `export` and `report`, as `main.py` adds them to the command line."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from remediator.cli.options import DEFAULT_URL, TokenOption, UrlOption

TO = Annotated[
    str | None,
    typer.Option("-o", "--output", help="File, or - for stdout. Default: stdout into a pipe, else a file."),
]
ZONE = Annotated[str | None, typer.Option("--tz", help="Zone whose time is given beside UTC, like Europe/Berlin.")]

report_app = typer.Typer(help="Reports of what was done, and what not.", no_args_is_help=True, rich_markup_mode=None)


class ReportForm(StrEnum):
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


FORM = Annotated[ReportForm, typer.Option("--format", help="Form of the report.")]


def export(
    incident: Annotated[str | None, typer.Argument(help="As 7 or inc-7. Without one give --since.")] = None,
    form: Annotated[
        str, typer.Option("--format", help="markdown, html, csv, jsonl, cloudevents, json or bundle.")
    ] = "markdown",
    since: Annotated[str | None, typer.Option("--since", help="Begin: 24h, or 2026-11-23T12:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="End, in the same way. Default: now.")] = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Only what this rule decided.")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Only what is in this namespace.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything, not only what is worth a line.")] = False,
    tz: ZONE = None,
    to: TO = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
) -> None:
    """Export the story of an incident, or the incidents and records of a time. The service goes on meanwhile.

    Example: remediator export inc-7 --format html -o post-mortem.html
    """
    from remediator.cli.export import export as run

    query = {
        "incident": incident,
        "since": since,
        "until": until,
        "rule": rule,
        "namespace": namespace,
        "format": form,
        "all": "true" if everything else None,
        "tz": tz,
    }
    raise typer.Exit(run(url, query=query, to=to, token_file=token_file))


@report_app.command("handoff")
def handoff(
    since: Annotated[str, typer.Option("--since", help="Begin of the shift: 8h, or a time.")] = "8h",
    form: FORM = ReportForm.MARKDOWN,
    tz: ZONE = None,
    to: TO = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
) -> None:
    """What the next person on call has to know: what is open, what was done, what is held and why.

    Example: remediator report handoff --since 8h
    """
    from remediator.cli.export import report as run

    query = {"since": since, "format": form, "tz": tz}
    raise typer.Exit(run(url, "handoff", query=query, to=to, token_file=token_file))


@report_app.command("monthly")
def monthly(
    month: Annotated[str | None, typer.Option("--month", help="Like 2026-11 (UTC). Default: this one.")] = None,
    form: FORM = ReportForm.MARKDOWN,
    to: TO = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
) -> None:
    """Each rule's month: incidents, actions, what they led to, what was noisy or nearly went wrong, and suggestions.

    Example: remediator report monthly --month 2026-11 --format html -o november.html
    """
    from remediator.cli.export import report as run

    raise typer.Exit(run(url, "monthly", query={"month": month, "format": form}, to=to, token_file=token_file))
