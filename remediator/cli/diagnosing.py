"""The wiring of `remediator doctor`: what the command takes; `doctor.py` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from remediator.cli.options import OutputOption, TokenOption
from remediator.cli.output import Output


def doctor(
    config_file: Annotated[Path | None, typer.Option("--config.file", help="Settings file (YAML).")] = None,
    rules: Annotated[list[Path] | None, typer.Option("--rules", help="Rule file or folder; repeat for more.")] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="As for `serve`: off, silent, approve, active.")] = None,
    storage: Annotated[str | None, typer.Option("--storage.url", help="Database URL. It is not opened.")] = None,
    audit_key: Annotated[Path | None, typer.Option("--audit.key-file", help="Key that signs the audit log.")] = None,
    audit_anchor: Annotated[
        Path | None, typer.Option("--audit.anchor-file", help="File that remembers the log's newest checkpoint.")
    ] = None,
    prometheus: Annotated[str | None, typer.Option("--prometheus.url", help="Base URL of Prometheus.")] = None,
    alertmanager: Annotated[
        list[str] | None, typer.Option("--alertmanager.url", help="Base URL of an Alertmanager; repeat for replicas.")
    ] = None,
    kubeconfig: Annotated[Path | None, typer.Option("--kubeconfig", help="Kubeconfig file.")] = None,
    context: Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")] = None,
    namespaces: Annotated[
        list[str] | None, typer.Option("--namespace", "-n", help="Ask for the right to act in this one; repeat.")
    ] = None,
    receiver: Annotated[
        str | None, typer.Option("--receiver", help="Our receiver in Alertmanager, if its name does not say so.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", envvar="REMEDIATOR_URL", help="Address of a running service, to be asked too."),
    ] = None,
    token_file: TokenOption = None,
    lasts: Annotated[str, typer.Option("--timeout", help="For all that is tried, side by side.")] = "15s",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what each answer consists of.")] = False,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Try every integration, read-only: what works, what does not, and what to do about it. The most important first.

    Nothing is changed anywhere: rights are asked for by SelfSubjectAccessReview, a `create` that stores nothing; the
    database is not opened; nothing is posted. Settings are found as `serve` finds them. Exit code 1: something that is
    needed failed.

    Example: remediator doctor --config.file remediator.yaml --url http://127.0.0.1:9095
    """
    from remediator.cli.doctor import Where
    from remediator.cli.doctor import run as examine

    overrides: dict[str, Any] = {
        "rules": tuple(rules) if rules else None,
        "mode": mode,
        "storage_url": storage,
        "audit_key_file": audit_key,
        "audit_anchor_file": audit_anchor,
        "prometheus_url": prometheus,
        "alertmanager_urls": tuple(alertmanager) if alertmanager else None,
        "kubeconfig": kubeconfig,
        "kube_context": context,
    }
    where = Where(url, token_file, tuple(namespaces or ()), receiver)
    raise typer.Exit(examine(config_file, overrides, output, where=where, lasts=lasts, is_verbose=verbose))
