"""The command `backtest`, as `main.py` adds it to the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remediator.cli.options import OutputOption
from remediator.cli.output import Output


def backtest(
    rules: Annotated[list[Path] | None, typer.Argument(help="Rule files or folders; none: the shipped table.")] = None,
    url: Annotated[str | None, typer.Option("--prometheus.url", help="Base URL of Prometheus.")] = None,
    token_file: Annotated[
        Path | None, typer.Option("--prometheus.token-file", help="File with its bearer token.")
    ] = None,
    ca_file: Annotated[Path | None, typer.Option("--prometheus.ca-file", help="CA of its certificate.")] = None,
    recorded: Annotated[
        Path | None, typer.Option("--from", help="A recorded history, instead of Prometheus: nothing is asked.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option("--record", help="Keep what Prometheus told in this file, for --from.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Begin: 30d, or 2026-11-01T00:00:00Z. Default: 30d, or all of --from.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="End, in the same way. Default: now.")] = None,
    step: Annotated[str, typer.Option("--step", help="How exact the times of alerts are, 1s to 1h.")] = "1m",
    fact_step: Annotated[str, typer.Option("--fact-step", help="How exact those of the cluster are.")] = "5m",
    external: Annotated[
        list[str] | None, typer.Option("--external-label", help="NAME=VALUE that every alert gets; repeat.")
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="Another table: what changes from it to RULES; repeat.")
    ] = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Say what a rule table would have done in the past, by rule and day; what history does not tell is named.

    Alerts come from Prometheus (ALERTS, ALERTS_FOR_STATE), the cluster from the series of kube-state-metrics. Nothing
    but Prometheus is asked, and nothing is changed.

    Example: remediator backtest rules/ --prometheus.url http://127.0.0.1:9090 --since 30d --against rules-before/
    """
    from remediator.cli.backtesting import Asked
    from remediator.cli.backtesting import backtest as run

    if (url is None) is (recorded is None):
        raise typer.BadParameter("give one of --prometheus.url and --from")
    if recorded is not None and record is not None:
        raise typer.BadParameter("--record keeps what Prometheus told: it does not go with --from")
    asked = Asked(
        url=url,
        token_file=token_file,
        ca_file=ca_file,
        recorded=recorded,
        record=record,
        since=since,
        until=until,
        step=step,
        fact_step=fact_step,
        external=tuple(external or ()),
    )
    raise typer.Exit(run(rules or [], output, asked=asked, against=against or []))
