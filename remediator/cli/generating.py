"""The wiring of `remediator generate ...` and `completion`: what the commands take; `artefacts.py` does it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from remediator.cli.options import OutputOption
from remediator.cli.output import Output

generate_app = typer.Typer(help="Make what an installation needs.", no_args_is_help=True, rich_markup_mode=None)

SERVICE = "http://remediator.remediator.svc:9095/api/v1/alerts"


class Shape(StrEnum):
    BESIDE = "beside"
    CHILD = "child"
    OPERATOR = "alertmanagerconfig"


class Form(StrEnum):
    OPERATOR = "prometheusrule"
    PLAIN = "plain"
    TESTS = "tests"


class Kind(StrEnum):
    RULES = "rules"
    SETTINGS = "settings"
    CREDENTIALS = "credentials"


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


RulesOption = Annotated[
    list[Path] | None, typer.Option("--rules", help="Rule file or folder; repeat. None: the shipped table.")
]
FormOption = Annotated[
    Form,
    typer.Option(
        "--form", help="An object for the Prometheus Operator, a plain rule file, or promtool's unit tests for it."
    ),
]
PlaceOption = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the object.")]
LabelsOption = Annotated[
    list[str] | None,
    typer.Option("--label", help="NAME=VALUE that the Prometheus selects rules by; repeat. Default: kube-prometheus'."),
]


@generate_app.command("alertmanager-route")
def alertmanager_route(
    shape: Annotated[
        Shape,
        typer.Option(
            "--shape",
            help="A whole file with remediator beside people; parts for a tree that exists; objects for the operator.",
        ),
    ] = Shape.BESIDE,
    into: Annotated[
        Path | None, typer.Option("--into", help="Print this alertmanager.yml with the parts in it, comments kept.")
    ] = None,
    rules: RulesOption = None,
    url: Annotated[str, typer.Option("--webhook-url", help="Where Alertmanager posts to.")] = SERVICE,
    receiver: Annotated[str, typer.Option("--receiver", help="Name of the receiver.")] = "remediator",
    people: Annotated[str, typer.Option("--people", help="Name of the receiver that people are told by.")] = "people",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Of the AlertmanagerConfig.")] = "monitoring",
    token_file: Annotated[
        str | None, typer.Option("--token-file", help="File with the token, where Alertmanager runs.")
    ] = None,
    token_secret: Annotated[
        str | None, typer.Option("--token-secret", help="NAME/KEY of a Secret beside the AlertmanagerConfig.")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option("--config.file", help="Settings: which alert is the watchdog, how soon it is missed.")
    ] = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Print the route and receiver by which every alert of the rules, and the watchdog, reaches remediator, and people
    still hear it.

    Example: remediator generate alertmanager-route --shape child --people pager
    """
    if token_file is not None and shape is Shape.OPERATOR:
        raise typer.BadParameter(
            "--token-file is a path; an AlertmanagerConfig names a Secret: --token-secret NAME/KEY"
        )
    if token_secret is not None and shape is not Shape.OPERATOR:
        raise typer.BadParameter("--token-secret is for --shape alertmanagerconfig; else give --token-file PATH")
    if into is not None and shape is Shape.OPERATOR:
        raise typer.BadParameter("--into is for an alertmanager.yml; the operator puts its objects in by itself")
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter(f"--webhook-url {url!r}: expected http:// or https://")
    from remediator.cli.artefacts import alertmanager_route as run
    from remediator.generate.route import Shape as As
    from remediator.generate.route import Wanted

    wanted = Wanted(url, receiver, people, namespace, token_file, token_secret)
    raise typer.Exit(run(rules or [], output, shape=As(shape.value), wanted=wanted, settings_file=settings, into=into))


@generate_app.command("prometheus-rules")
def prometheus_rules(
    form: FormOption = Form.OPERATOR,
    rules: RulesOption = None,
    namespace: PlaceOption = "monitoring",
    labels: LabelsOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Print the alerts that the rules wait for and kubernetes-mixin has none for, with their recording rules.

    Example: remediator generate prometheus-rules --form plain > remediator.rules.yaml
    """
    from remediator.cli.artefacts import labels_of
    from remediator.cli.artefacts import prometheus_rules as run
    from remediator.generate.alerts import Form as As
    from remediator.generate.alerts import Placed

    try:
        placed = Placed("remediator", namespace, labels_of(labels or []))
    except ValueError as error:
        raise typer.BadParameter(f"--label {error}") from error
    raise typer.Exit(run(rules or [], output, form=As(form.value), placed=placed))


@generate_app.command("mixin")
def mixin(
    form: FormOption = Form.OPERATOR,
    rules: RulesOption = None,
    namespace: PlaceOption = "monitoring",
    labels: LabelsOption = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Print the alerts about remediator itself, each with its runbook: down, deaf, cannot store or prove, unanswered.

    Example: remediator generate mixin --label release=kps | kubectl apply -f -
    """
    from remediator.cli.artefacts import labels_of
    from remediator.cli.artefacts import mixin as run
    from remediator.generate.alerts import Form as As
    from remediator.generate.alerts import Placed

    try:
        placed = Placed("remediator-itself", namespace, labels_of(labels or []))
    except ValueError as error:
        raise typer.BadParameter(f"--label {error}") from error
    raise typer.Exit(run(rules or [], output, form=As(form.value), placed=placed))


@generate_app.command("schema")
def schema(
    kind: Annotated[Kind, typer.Argument(help="Which file: rules, settings or credentials.")],
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Print the JSON Schema of a kind of file, for editors: `# yaml-language-server: $schema=FILE` on its first line.

    Example: remediator generate schema settings > settings.schema.json
    """
    from remediator.cli.artefacts import schema as run

    del output  # it is JSON either way
    raise typer.Exit(run(kind.value))


@generate_app.command("completion")
def completion(
    shell: Annotated[Shell, typer.Argument(help="Which shell.")], output: OutputOption = Output.SIMPLE
) -> None:
    """Print the script by which a shell completes our commands. No file of yours is touched.

    Example: remediator completion bash > ~/.local/share/bash-completion/completions/remediator
    """
    from remediator.cli.completion import script

    raise typer.Exit(script(shell.value, output))


@generate_app.command("token")
def generate_token(
    name: Annotated[str, typer.Argument(help="What records and metrics call the credential.")],
    may: Annotated[
        list[str] | None, typer.Option("--may", help="alert, operate or read; repeat. Default: alert.")
    ] = None,
    namespaces: Annotated[
        list[str] | None, typer.Option("--namespace", "-n", help="It may speak of this one (a regex); repeat.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="A new file for the token, instead of printing it.")
    ] = None,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Make a token, and its entry for the credentials file, which holds only its hash.

    Example: remediator generate token shop-alertmanager --namespace shop
    """
    from remediator.cli.generate import token

    allowed = may or ["alert"]
    if unknown := set(allowed) - {"alert", "operate", "read"}:
        raise typer.BadParameter(f"--may {sorted(unknown)[0]}: expected alert, operate or read")
    raise typer.Exit(token(name, output, may=allowed, namespaces=namespaces or [], token_file=token_file))
