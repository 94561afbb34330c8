"""The `remediator` command. Exit codes as promtool's: 0 good, 1 failed, 2 misuse."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from remediator.cli.auditing import audit_app
from remediator.cli.backtest import backtest
from remediator.cli.check_commands import check_app
from remediator.cli.diagnosing import doctor
from remediator.cli.export_commands import export, report_app
from remediator.cli.generating import completion, generate_app
from remediator.cli.options import DEFAULT_URL, ByOption, CommentOption, OutputOption, TokenOption, UrlOption
from remediator.cli.output import Output
from remediator.cli.people import people_app
from remediator.cli.score_commands import score_app
from remediator.cli.simulate_command import simulate
from remediator.errors import RemediatorError

app = typer.Typer(
    name="remediator",
    help="Auto-remediation for Kubernetes that proves, limits, verifies and records what it does.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain text in pipes and logs
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
incidents_app = typer.Typer(help="Look at incidents of a running service.", no_args_is_help=True, rich_markup_mode=None)
deployments_app = typer.Typer(
    help="Look at the rollouts that a running service watches.", no_args_is_help=True, rich_markup_mode=None
)
test_app = typer.Typer(help="Test what rules decide.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(audit_app, name="audit")
app.add_typer(people_app)
app.add_typer(score_app)
app.add_typer(check_app, name="check")
app.add_typer(test_app, name="test")
app.add_typer(generate_app, name="generate")
app.add_typer(incidents_app, name="incidents")
app.add_typer(deployments_app, name="deployments")
app.add_typer(report_app, name="report")
app.command("export")(export)
app.command("simulate")(simulate)
app.command("completion")(completion)
app.command("doctor")(doctor)
app.command("backtest")(backtest)


@app.command()
def serve(
    config_file: Annotated[Path | None, typer.Option("--config.file", help="Settings file (YAML).")] = None,
    rules: Annotated[list[Path] | None, typer.Option("--rules", help="Rule file or folder; repeat for more.")] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="Most that any rule may do: off, silent, active.")] = None,
    listen: Annotated[str | None, typer.Option("--web.listen-address", help="host:port to serve HTTP on.")] = None,
    lifecycle: Annotated[bool | None, typer.Option("--web.enable-lifecycle", help="Answer POST /-/reload.")] = None,
    web_config: Annotated[
        Path | None, typer.Option("--web.config.file", help="TLS and passwords, in the Prometheus format (YAML).")
    ] = None,
    credentials: Annotated[
        Path | None, typer.Option("--web.credentials-file", help="File of credentials and their limits (YAML).")
    ] = None,
    tokens: Annotated[
        list[Path] | None, typer.Option("--web.token-file", help="Bearer token file, without limits; repeat.")
    ] = None,
    storage: Annotated[str | None, typer.Option("--storage.url", help="Database URL.")] = None,
    audit_key: Annotated[
        Path | None, typer.Option("--audit.key-file", help="Key that signs the audit log; see `audit keygen`.")
    ] = None,
    audit_previous_key: Annotated[
        Path | None, typer.Option("--audit.previous-key-file", help="The key before, when it is changed.")
    ] = None,
    audit_anchor: Annotated[
        Path | None, typer.Option("--audit.anchor-file", help="File that remembers the log's newest checkpoint.")
    ] = None,
    audit_anchor_configmap: Annotated[
        str | None, typer.Option("--audit.anchor-configmap", help="NAMESPACE/NAME of a ConfigMap that does so.")
    ] = None,
    prometheus: Annotated[str | None, typer.Option("--prometheus.url", help="Base URL of Prometheus.")] = None,
    alertmanager: Annotated[
        list[str] | None, typer.Option("--alertmanager.url", help="Base URL of an Alertmanager; repeat for replicas.")
    ] = None,
    kubeconfig: Annotated[Path | None, typer.Option("--kubeconfig", help="Kubeconfig file.")] = None,
    context: Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")] = None,
    events: Annotated[bool | None, typer.Option("--events/--no-events", help="Write Kubernetes Events.")] = None,
    log_level: Annotated[str | None, typer.Option("--log.level", help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option("--log.format", help="logfmt, json or console.")] = None,
) -> None:
    """Run the service. Without --mode it only recommends.

    Example: remediator serve --prometheus.url http://prometheus:9090 --web.listen-address :9095
    """
    gc.disable()  # until it serves: to look over again and again what stays takes a fifth of the start
    from remediator.cli.serve import run

    overrides: dict[str, Any] = {
        "rules": tuple(rules) if rules else None,
        "mode": mode,
        "web_listen_address": listen,
        "web_enable_lifecycle": lifecycle,
        "web_config_file": web_config,
        "web_credentials_file": credentials,
        "web_token_files": tuple(tokens) if tokens else None,
        "storage_url": storage,
        "audit_key_file": audit_key,
        "audit_previous_key_file": audit_previous_key,
        "audit_anchor_file": audit_anchor,
        "audit_anchor_configmap": audit_anchor_configmap,
        "prometheus_url": prometheus,
        "alertmanager_urls": tuple(alertmanager) if alertmanager else None,
        "kubeconfig": kubeconfig,
        "kube_context": context,
        "events": events,
        "log_level": log_level,
        "log_format": log_format,
    }
    run(config_file, overrides)


@app.command()
def demo(
    mode: Annotated[str, typer.Option("--mode", help="silent, active, or both one after the other.")] = "both",
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Show the whole loop on an embedded cluster: no cluster, no configuration, no account needed.

    Example: remediator demo --mode active
    """
    from remediator.cli.demo import run

    raise typer.Exit(run(mode, output))




@test_app.command("rules")
def run_rule_tests(
    files: Annotated[list[str], typer.Argument(help="Story files, folders of them, or patterns.")],
    output: OutputOption = Output.SIMPLE,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write a JUnit report to this file.")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what differs as a diff.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Print incident, cause, response, reason and writes.")] = False,
    jobs: Annotated[
        int | None, typer.Option("--parallel", "--jobs", min=1, help="Processes. Default: as many as CPUs.")
    ] = None,
) -> None:
    """Play stories on an embedded cluster and compare what the rules decide and write with what is expected.

    Example: remediator test rules tests/data/rules --junit report.xml
    """
    from remediator.cli.testing import rules as run

    raise typer.Exit(run(files, output, junit=junit, as_diff=diff, as_table=table, jobs=jobs))


@app.command()
def explain(
    labels: Annotated[
        str | None, typer.Argument(help="Labels in matcher syntax, a webhook body's file, or - for stdin.")
    ] = None,
    incident: Annotated[
        str | None, typer.Option("--incident", help="inc-7 of the running service, or a bundle's file: as recorded.")
    ] = None,
    rules: Annotated[Path | None, typer.Option("--rules", help="Rule file or folder; none: the shipped table.")] = None,
    shows_all: Annotated[bool, typer.Option("--all", help="The rows of rules for other alerts too.")] = False,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Say for each rule, in order, why it would answer an alert or not: each matcher, and each condition of its rows.

    Example: remediator explain 'alertname="KubePodCrashLooping",namespace="shop",pod="web-1"'
    """
    from remediator.cli.explain import explain as run
    from remediator.cli.explain import explain_incident

    if (labels is None) == (incident is None):
        raise typer.BadParameter("give labels (or a body's file), or --incident")
    if incident is not None:
        code = explain_incident(incident, rules, output, url=url, token_file=token_file, shows_all=shows_all)
        raise typer.Exit(code)
    raise typer.Exit(run(labels, rules, output, shows_all=shows_all))


@incidents_app.command("list")
def list_incidents(
    url: UrlOption = DEFAULT_URL,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Most incidents to list.")] = 50,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not closed.")] = False,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """List incidents, newest first.

    Example: remediator incidents list --open
    """
    from remediator.cli.incidents import list_incidents as run

    raise typer.Exit(run(url, output, limit=limit, only_open=open_only))


@incidents_app.command("show")
def show_incident(
    incident: Annotated[str, typer.Argument(help="Number of the incident, as 3 or inc-3.")],
    url: UrlOption = DEFAULT_URL,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Show one incident: what was seen, decided and done, and why.

    Example: remediator incidents show inc-3
    """
    from remediator.cli.incidents import show_incident as run

    raise typer.Exit(run(url, incident, output))


@deployments_app.command("list")
def list_deployments(
    url: UrlOption = DEFAULT_URL,
    limit: Annotated[int, typer.Option("--limit", min=1, max=5000, help="Most deployments to list.")] = 500,
    watched: Annotated[bool, typer.Option("--watched", help="Only those within two hours of their rollout.")] = False,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """List the present rollouts, newest first.

    Example: remediator deployments list --watched
    """
    from remediator.cli.deployments import list_deployments as run

    raise typer.Exit(run(url, output, limit=limit, only_watched=watched))


@deployments_app.command("show")
def show_deployment(
    deployment: Annotated[str, typer.Argument(metavar="NAMESPACE/NAME", help="Which Deployment.")],
    url: UrlOption = DEFAULT_URL,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Show one Deployment: its rollout, how it did before and does now, and the rollouts before.

    Example: remediator deployments show shop/checkout
    """
    from remediator.cli.deployments import show_deployment as run

    raise typer.Exit(run(url, deployment, output))


RuleOption = Annotated[str | None, typer.Option("--rule", help="Only what this rule does.")]
NamespaceOption = Annotated[str | None, typer.Option("--namespace", "-n", help="Only what is in this namespace.")]
TargetOption = Annotated[str | None, typer.Option("--target", help="Only this one: namespace/kind/name.")]


@app.command()
def status(url: UrlOption = DEFAULT_URL, output: OutputOption = Output.SIMPLE) -> None:
    """Say whether anything is written now, and what holds it back.

    Example: remediator status
    """
    from remediator.cli.control import status as run

    raise typer.Exit(run(url, output))


@app.command()
def budgets(
    url: UrlOption = DEFAULT_URL,
    shadow: Annotated[bool, typer.Option("--shadow", help="As silent mode would have used them.")] = False,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Show each budget: used, by which remediation, next slot.

    Example: remediator budgets --shadow
    """
    from remediator.cli.control import budgets as run

    raise typer.Exit(run(url, output, shadow=shadow))


@app.command()
def pause(
    comment: CommentOption,
    rule: RuleOption = None,
    namespace: NamespaceOption = None,
    target: TargetOption = None,
    lasts: Annotated[str | None, typer.Option("--for", help="For how long, like 1h. Default: until resumed.")] = None,
    by: ByOption = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Stop all writes (the kill switch), or those of one rule, namespace or target. Diagnostics go on.

    Example: remediator pause --namespace shop --for 2h --comment 'migration of the database'
    """
    from remediator.cli.control import pause as run

    subject = _subject(rule, namespace, target)
    raise typer.Exit(run(url, output, comment=comment, subject=subject, lasts=lasts, by=by, token_file=token_file))


@app.command()
def resume(
    comment: CommentOption,
    rule: RuleOption = None,
    namespace: NamespaceOption = None,
    target: TargetOption = None,
    by: ByOption = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Release the kill switch, or the pause of one rule, namespace or target.

    Example: remediator resume --comment 'the storm is over'
    """
    from remediator.cli.control import pause as run

    subject = _subject(rule, namespace, target)
    raise typer.Exit(run(url, output, comment=comment, engaged=False, subject=subject, by=by, token_file=token_file))


@app.command()
def reset(
    comment: CommentOption,
    rule: Annotated[str | None, typer.Option("--rule", help="The circuit breaker of this rule.")] = None,
    cluster: Annotated[str | None, typer.Option("--cluster", help="The circuit breaker of this cluster.")] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="The attempts on this one: cluster/namespace/Kind/name.")
    ] = None,
    by: ByOption = None,
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Close a circuit breaker, or release a target, after a look at why it did not help.

    Example: remediator reset --rule crash-loop --comment 'the probe was wrong, fixed in 1.6'
    """
    from remediator.cli.control import reset as run

    given = {"rule": rule, "cluster": cluster, "target": target}
    named = [(what, subject) for what, subject in given.items() if subject is not None]
    if len(named) != 1:
        raise typer.BadParameter("give exactly one of --rule, --cluster and --target")
    [(what, subject)] = named
    raise typer.Exit(run(url, output, what=what, subject=subject, comment=comment, by=by, token_file=token_file))


def _subject(rule: str | None, namespace: str | None, target: str | None) -> dict[str, str]:
    given = {"rule": rule, "namespace": namespace, "target": target}
    named = {what: subject for what, subject in given.items() if subject is not None}
    if len(named) > 1:
        raise typer.BadParameter("give at most one of --rule, --namespace and --target")
    return named


@app.command()
def version(output: OutputOption = Output.SIMPLE) -> None:
    """Print the version.

    Example: remediator version -o json
    """
    import json
    import platform
    from importlib.metadata import version as version_of

    number = version_of("remediator")
    if output is Output.JSON:
        print(json.dumps({"version": number, "python": platform.python_version()}))
    else:
        print(f"remediator {number} (Python {platform.python_version()})")


def main() -> None:
    """Run the command; a fault that we name is one line and exit code 1, never a stack trace."""
    try:
        app()
    except RemediatorError as error:
        print(f"remediator: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing to tell, and no trace to print at exit.
        sys.stdout = None
        raise SystemExit(1) from None
