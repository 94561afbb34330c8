"""The command `simulate`. Part of the `remediator` command; `simulate.py` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remediator.cli.options import OutputOption
from remediator.cli.output import Output


def simulate(
    bodies: Annotated[
        list[Path] | None, typer.Argument(help="Recorded webhook bodies, /api/v2/alerts answers, or folders of them.")
    ] = None,
    rules: Annotated[
        list[Path] | None, typer.Option("--rules", help="Rule file or folder; repeat. Default: the shipped table.")
    ] = None,
    cluster: Annotated[
        list[Path] | None, typer.Option("--cluster", help="What kubectl get -o yaml wrote; repeat for more files.")
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Kinds and namespaces that the dump has nothing of do not exist.")
    ] = False,
    from_alertmanager: Annotated[
        list[str] | None, typer.Option("--from-alertmanager", help="URL of an Alertmanager: what fires now; repeat.")
    ] = None,
    prometheus: Annotated[str | None, typer.Option("--prometheus", help="Base URL of a Prometheus to ask.")] = None,
    alertmanager_token: Annotated[
        Path | None, typer.Option("--alertmanager.token-file", help="File with a bearer token for Alertmanager.")
    ] = None,
    alertmanager_ca: Annotated[
        Path | None, typer.Option("--alertmanager.ca-file", help="CA bundle (PEM) for Alertmanager.")
    ] = None,
    prometheus_token: Annotated[
        Path | None, typer.Option("--prometheus.token-file", help="File with a bearer token for Prometheus.")
    ] = None,
    prometheus_ca: Annotated[
        Path | None, typer.Option("--prometheus.ca-file", help="CA bundle (PEM) for Prometheus.")
    ] = None,
    assume_firing: Annotated[
        bool, typer.Option("--assume-firing", help="Without a Prometheus: take the alerts for firing as they say.")
    ] = False,
    mode: Annotated[
        str | None, typer.Option("--mode", help="off, silent, approve or active, for every rule. Default: silent.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="The time, RFC 3339. Default: the newest in the files.")
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="All files come at once. Default: each as if nothing else had come.")
    ] = False,
    output: OutputOption = Output.SIMPLE,
) -> None:
    """Decide on recorded alerts as the service would, and say why: rule, target, cause, rows, plan, guards.

    Nothing is touched. What --cluster reads is written by kubectl; what it leaves out is taken for unknown:

    \b
      kubectl get -A -o yaml ns,nodes,deploy,rs,sts,ds,controllerrevisions > 1.yaml
      kubectl get -A -o yaml po,svc,endpointslices,events,hpa,pdb,netpol > 2.yaml
      kubectl get -A -o yaml cm,pvc,sa,quota,limits > 3.yaml

    Example: remediator simulate alerts/*.json --cluster 1.yaml --cluster 2.yaml
    """
    from remediator.cli.simulate import Wanted, run

    wanted = Wanted(
        bodies=tuple(bodies or ()),
        rules=tuple(rules or ()),
        dumps=tuple(cluster or ()),
        is_complete=complete,
        alertmanagers=tuple(from_alertmanager or ()),
        alertmanager_token=alertmanager_token,
        alertmanager_ca=alertmanager_ca,
        prometheus=prometheus,
        prometheus_token=prometheus_token,
        prometheus_ca=prometheus_ca,
        assumes_firing=assume_firing,
        mode=mode,
        at=at,
        is_together=together,
    )
    raise typer.Exit(run(wanted, output))
