"""The `remediator` command. Exit codes as promtool's: 0 good, 1 failed, 2 misuse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from remediator.cli.export_commands import export, report_app
from remediator.cli.output import Output
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
check_app = typer.Typer(help="Check files before they are used.", no_args_is_help=True, rich_markup_mode=None)
incidents_app = typer.Typer(help="Look at incidents of a running service.", no_args_is_help=True, rich_markup_mode=None)
deployments_app = typer.Typer(
    help="Look at the rollouts that a running service watches.", no_args_is_help=True, rich_markup_mode=None
)
audit_app = typer.Typer(
    help="Verify the audit log offline, and look after it.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(audit_app, name="audit")
app.add_typer(check_app, name="check")
app.add_typer(incidents_app, name="incidents")
app.add_typer(deployments_app, name="deployments")
app.add_typer(report_app, name="report")
app.command("export")(export)

OutputOption = Annotated[Output, typer.Option("-o", "--output", help="Form of the output.")]
UrlOption = Annotated[
    str, typer.Option("--url", envvar="REMEDIATOR_URL", help="Address of the running service.", show_envvar=True)
]
DEFAULT_URL = "http://127.0.0.1:9095"


@app.command()
def serve(
    config_file: Annotated[Path | None, typer.Option("--config.file", help="Settings file (YAML).")] = None,
    rules: Annotated[list[Path] | None, typer.Option("--rules", help="Rule file or folder; repeat for more.")] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="Most that any rule may do: off, silent, active.")] = None,
    listen: Annotated[str | None, typer.Option("--web.listen-address", help="host:port to serve HTTP on.")] = None,
    lifecycle: Annotated[bool | None, typer.Option("--web.enable-lifecycle", help="Answer POST /-/reload.")] = None,
    tokens: Annotated[list[Path] | None, typer.Option("--web.token-file", help="Bearer token file; repeat.")] = None,
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
    from remediator.cli.serve import run

    overrides: dict[str, Any] = {
        "rules": tuple(rules) if rules else None,
        "mode": mode,
        "web_listen_address": listen,
        "web_enable_lifecycle": lifecycle,
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


@check_app.command("rules")
def check_rules(
    paths: Annotated[list[Path] | None, typer.Argument(help="Rule files or folders; none: the shipped table.")] = None,
    output: OutputOption = Output.SIMPLE,
    table: Annotated[bool, typer.Option("--table", help="Print the rules as a Markdown table.")] = False,
) -> None:
    """Check rule files: every mistake with its place, and what was probably meant.

    Example: remediator check rules rules/
    """
    from remediator.cli.check import rules

    raise typer.Exit(rules(paths or [], output, as_table=table))


@app.command()
def explain(
    labels: Annotated[str, typer.Argument(help="Labels in matcher syntax, a webhook body's file, or - for stdin.")],
    rules: Annotated[Path | None, typer.Option("--rules", help="Rule file or folder; none: the shipped table.")] = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Say for each rule, in order, why it would answer an alert or not.

    Example: remediator explain 'alertname="KubePodCrashLooping",namespace="shop",pod="web-1"'
    """
    from remediator.cli.explain import explain as run

    raise typer.Exit(run(labels, rules, output))


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


CommentOption = Annotated[str, typer.Option("--comment", help="Why. Required, and kept.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who. Default: the user of this machine.")]
TokenOption = Annotated[
    str | None, typer.Option("--token-file", envvar="REMEDIATOR_TOKEN_FILE", help="File with the bearer token.")
]
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
    raise typer.Exit(
        run(url, output, comment=comment, subject=subject, lasts=lasts, by=by, token_file=token_file)
    )


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
    raise typer.Exit(
        run(url, output, comment=comment, engaged=False, subject=subject, by=by, token_file=token_file)
    )


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
    raise typer.Exit(
        run(url, output, what=what, subject=subject, comment=comment, by=by, token_file=token_file)
    )


@app.command()
def approvals(url: UrlOption = DEFAULT_URL, output: OutputOption = Output.SIMPLE) -> None:
    """List what waits for a person: the exact change, the dry run, what it costs and until when.

    Example: remediator approvals
    """
    from remediator.cli.control import approvals as run

    raise typer.Exit(run(url, output))


RemediationArgument = Annotated[str, typer.Argument(metavar="ID", help="Number of the remediation, as 7 or R-7.")]
HashOption = Annotated[
    str | None, typer.Option("--plan-hash", help="Of the plan that was looked at. Default: the one that waits now.")
]


@app.command()
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


@app.command()
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
def audit_checkpoint(url: UrlOption = DEFAULT_URL) -> None:
    """Print the log's head as a signed note, to be kept somewhere else.

    Example: remediator audit checkpoint > checkpoint
    """
    from remediator.cli.audit import checkpoint as run

    raise typer.Exit(run(url))


@audit_app.command("proof")
def audit_proof(
    seq: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Number of the record.")],
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Print the proof that one record is in the log, as C2SP tlog-proof.

    Example: remediator audit proof 17 > record-17.tlog-proof
    """
    from remediator.cli.audit import proof as run

    raise typer.Exit(run(url, seq))


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
