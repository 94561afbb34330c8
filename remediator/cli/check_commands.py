"""`remediator check rules|config|rbac|alertmanager`: the flags of each; `check.py` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remediator.cli.output import Report, Rights

check_app = typer.Typer(help="Check files before they are used.", no_args_is_help=True, rich_markup_mode=None)

ReportOption = Annotated[Report, typer.Option("-o", "--output", help="Form of the output.")]
FatalOption = Annotated[bool, typer.Option("--lint-fatal", help="Exit with 3 when there are warnings.")]
RulesOption = Annotated[
    list[Path] | None, typer.Option("--rules", help="Rule file or folder; repeat. None: the shipped table.")
]


@check_app.command("rules")
def check_rules(
    paths: Annotated[list[Path] | None, typer.Argument(help="Rule files or folders; none: the shipped table.")] = None,
    output: ReportOption = Report.SIMPLE,
    table: Annotated[bool, typer.Option("--table", help="Print the rules as a Markdown table.")] = False,
    lint_fatal: FatalOption = False,
) -> None:
    """Check rule files: every mistake with its place and what was probably meant, and what can never happen, has no
    bound or proves nothing.

    Example: remediator check rules rules/ --lint-fatal -o sarif > rules.sarif
    """
    from remediator.cli.check import rules

    raise typer.Exit(rules(paths or [], output, as_table=table, is_fatal=lint_fatal))


@check_app.command("config")
def check_config(
    files: Annotated[list[Path], typer.Argument(help="Settings, credentials or web configuration files.")],
    kind: Annotated[
        str | None, typer.Option("--kind", help="settings, credentials or web. Default: as the fields say.")
    ] = None,
    output: ReportOption = Report.SIMPLE,
    lint_fatal: FatalOption = False,
) -> None:
    """Check the files that say how the service runs, and those that they name in turn.

    Example: remediator check config remediator.yaml credentials.yaml
    """
    from remediator.cli.check import config
    from remediator.lint.settings import KINDS

    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"--kind {kind}: expected {', '.join(KINDS)}")
    raise typer.Exit(config(files, output, kind=kind, is_fatal=lint_fatal))


@check_app.command("rbac")
def check_rbac(
    rules: RulesOption = None,
    mode: Annotated[str, typer.Option("--mode", help="silent, or active: with every row that acts.")] = "silent",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With the rights that silent mode needs to prove what it recommends.")
    ] = False,
    settings: Annotated[
        Path | None, typer.Option("--config.file", help="Settings: kill switch, audit anchor, Events, watch.")
    ] = None,
    events: Annotated[bool, typer.Option("--events/--no-events", help="Whether Kubernetes Events are written.")] = True,
    manifests: Annotated[
        list[Path] | None, typer.Option("--manifests", help="Compare with these: a file, or a folder and those below.")
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="NAMESPACE/NAME of the ServiceAccount, where there are several.")
    ] = None,
    bound: Annotated[
        list[str] | None, typer.Option("--bound", help="ClusterRole that namespaces bind by themselves; repeat.")
    ] = None,
    output: Annotated[Rights, typer.Option("-o", "--output", help="Form of the output.")] = Rights.SIMPLE,
    lint_fatal: Annotated[bool, typer.Option("--lint-fatal", help="Exit with 3 when more is granted.")] = False,
) -> None:
    """Say which permissions the rules need and what for, as a table or as roles (-o yaml), or what manifests lack and
    what they grant beyond it.

    Example: remediator check rbac --mode active --manifests deploy/ --account remediator/remediator-active
    """
    from remediator.cli.check import rbac

    if mode not in ("silent", "active"):
        raise typer.BadParameter(f"--mode {mode}: expected silent or active")
    code = rbac(
        rules or [],
        output,
        mode=mode,
        proves=dry_run,
        settings_file=settings,
        has_events=events,
        manifests=manifests or [],
        account=account,
        also=bound or [],
        is_fatal=lint_fatal,
    )
    raise typer.Exit(code)


@check_app.command("alertmanager")
def check_alertmanager(
    file: Annotated[Path | None, typer.Argument(help="Alertmanager's configuration file.")] = None,
    url: Annotated[str | None, typer.Option("--url", help="Ask a running Alertmanager for it instead.")] = None,
    rules: RulesOption = None,
    prometheus_rules: Annotated[
        list[str] | None,
        typer.Option("--prometheus-rules", help="Rule files of Prometheus: file, folder or pattern; repeat."),
    ] = None,
    receiver: Annotated[
        str | None, typer.Option("--receiver", help="Which receiver is ours. Default: those that post to remediator.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option("--token-file", help="Bearer token for --url.")] = None,
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", help="CA bundle (PEM) for --url. Default: the system's.")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option("--config.file", help="Settings: which alert is the watchdog, how soon it is missed.")
    ] = None,
    output: ReportOption = Report.SIMPLE,
    lint_fatal: FatalOption = False,
) -> None:
    """Read Alertmanager's configuration with our rules and Prometheus': does each alert reach us, soon and whole, and
    do people still hear of it, and does the watchdog come often enough? Without --prometheus-rules, what
    kube-prometheus raises is known.

    Example: remediator check alertmanager alertmanager.yml --rules rules/ --prometheus-rules 'prometheus/*.yaml'
    """
    from remediator.cli.check import alertmanager

    if (file is None) is (url is None):
        raise typer.BadParameter("give either a file or --url")
    if url is None and ca_file is not None:
        raise typer.BadParameter("--ca-file is for --url")
    code = alertmanager(
        file,
        output,
        url=url,
        rule_paths=rules or [],
        prometheus_rules=prometheus_rules or [],
        receiver=receiver,
        token_file=token_file,
        ca_file=ca_file,
        settings_file=settings,
        is_fatal=lint_fatal,
    )
    raise typer.Exit(code)
