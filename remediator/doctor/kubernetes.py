"""The API server: whether it answers, its version, how far our clocks are apart, and what this account may do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from remediator.doctor.base import Asked, Examination, Result, failed, ok, skipped, warning
from remediator.doctor.reaching import cluster_of
from remediator.doctor.rights import AT_ALL, acts, events, may, reads
from remediator.errors import ConfigError, RemediatorError, cut
from remediator.kube.base import Cluster
from remediator.lint.rights import Need, Right
from remediator.model import Mode

CLUSTER, CLOCK, READS, EVENT, ACTS = (
    "kubernetes",
    "kubernetes-clock",
    "permissions-read",
    "permissions-events",
    "permissions-act",
)
OLDEST = (1, 29)
"""ReadWriteOncePod of the shipped volume; what is older is not tried."""

APART_SECONDS, FAR_APART_SECONDS = 5.0, 60.0
"""The API server's `Date` has a resolution of a second. What began with a rollout is judged by the minute."""

CONSENT = "kubectl create rolebinding remediator-rollback -n NAMESPACE --clusterrole=remediator-rollback"
HOW = "asked by SelfSubjectAccessReview, which changes nothing"


async def run(asked: Asked) -> AsyncIterator[Result]:
    try:
        async with cluster_of(asked) as cluster:
            try:
                version = await cluster.get("/version")
            except RemediatorError as error:
                remedy = "kubectl get --raw /version with the same kubeconfig; then network policy and certificates"
                yield failed(CLUSTER, cut(str(error)), remedy)
                return
            yield _version(cluster.name, str((version or {}).get("gitVersion", "")))
            yield _clock(cluster.clock_offset_seconds)
            yield await _reads(cluster, asked)
            yield await _events(cluster, asked)
            yield await _acts(cluster, asked)
    except ConfigError as error:
        yield failed(CLUSTER, cut(str(error)), "give --kubeconfig, or run it as a pod with a ServiceAccount")


def _version(name: str, said: str) -> Result:
    found = re.match(r"v(\d+)\.(\d+)", said)
    if found is None:
        return warning(CLUSTER, f"cluster {name} answers, version {said or 'unknown'}", "is this an API server?")
    if (int(found[1]), int(found[2])) < OLDEST:
        return warning(CLUSTER, f"cluster {name} is {said}", f"nothing older than {OLDEST[0]}.{OLDEST[1]} is tried")
    return ok(CLUSTER, f"cluster {name} answers, {said}")


def _clock(offset: float | None) -> Result:
    if offset is None:
        return skipped(CLOCK, "the API server did not say what time it is")
    told = f"our clock is {abs(offset):g} s {'ahead of' if offset > 0 else 'behind'} the API server's"
    remedy = "set both by NTP: what began with a rollout is judged by both clocks"
    if abs(offset) > FAR_APART_SECONDS:
        return failed(CLOCK, told, remedy)
    if abs(offset) > APART_SECONDS:
        return warning(CLOCK, told, remedy)
    return ok(CLOCK, told)


async def _reads(cluster: Cluster, asked: Asked) -> Result:
    answers = await _answers(cluster, reads(asked.rules, asked.settings))
    denied = [need for need, allowed in answers if not allowed]
    if not denied:
        return ok(READS, f"{len(answers)} rights to read, {HOW}")
    remedy = "apply deploy/kustomize/base/reader.yaml and bind ClusterRole remediator-reader to this account"
    needed = any(need.right.resource in AT_ALL for need in denied)
    told = f"{len(denied)} of {len(answers)} rights to read are missing ({HOW})"
    return (failed if needed else warning)(READS, f"{told}: {_few(denied)}", remedy, lines=_lines(denied))


async def _events(cluster: Cluster, asked: Asked) -> Result:
    wanted = events(asked.settings)
    if not wanted:
        return skipped(EVENT, "Events are switched off (events: false)")
    denied = [need for need, allowed in await _answers(cluster, wanted) if not allowed]
    if not denied:
        return ok(EVENT, f"may {_few(wanted)}")
    remedy = "bind ClusterRole remediator-events, or set events: false"
    return warning(EVENT, f"may not {_few(denied)}: nothing is shown by `kubectl describe`", remedy)


async def _acts(cluster: Cluster, asked: Asked) -> Result:
    """In silent mode no right to write is needed; the dry run that proves a recommendation is a choice."""
    mode = asked.settings.mode
    if asked.rules is None:
        return skipped(ACTS, "the rules cannot be loaded")
    if mode not in (Mode.APPROVE, Mode.ACTIVE):
        right = Right("apps", "deployments", "patch")
        if await may(cluster, right):
            told = f"may {right}, which mode {mode} needs for dry runs only"
            return ok(ACTS, f"{told}; let deploy/kustomize/components/dry-run refuse the rest")
        return ok(ACTS, f"no right to write, and mode {mode} needs none; recommendations are not proven by a dry run")
    wanted = acts(asked.rules, mode)
    if not wanted:
        return warning(
            ACTS, f"mode {mode}, and no rule may do more than recommend", "set `mode` of a rule that earned it"
        )
    return await _acting(cluster, wanted, asked.namespaces)


async def _acting(cluster: Cluster, wanted: Sequence[Need], namespaces: Sequence[str]) -> Result:
    everywhere = await _answers(cluster, wanted)
    missing = [need for need, allowed in everywhere if not allowed]
    if not missing:
        return ok(ACTS, f"{len(wanted)} rights to act, in all namespaces, {HOW}")
    if not namespaces:
        told = f"not in all namespaces ({HOW}): {_few(missing)}"
        return warning(ACTS, told, f"name those that consent with --namespace to have them asked, or {CONSENT}")
    asked = [replace(need, right=replace(need.right, namespace=one)) for one in namespaces for need in missing]
    denied = [need for need, allowed in await _answers(cluster, asked) if not allowed]
    if not denied:
        return ok(ACTS, f"{len(wanted)} rights to act in {', '.join(namespaces)}, {HOW}")
    told = f"{len(denied)} of {len(asked)} rights to act are missing ({HOW}): {_few(denied)}"
    return (failed if len(denied) == len(asked) else warning)(ACTS, told, CONSENT, lines=_lines(denied))


async def _answers(cluster: Cluster, needs: Sequence[Need]) -> Sequence[tuple[Need, bool]]:
    """Side by side; the client itself sends no more at once than it may."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(may(cluster, need.right)) for need in needs]
    return [(need, task.result()) for need, task in zip(needs, tasks, strict=True)]


def _few(needs: Sequence[Need]) -> str:
    return _first([str(need.right) for need in needs])


def _lines(needs: Sequence[Need]) -> tuple[str, ...]:
    return tuple(f"{need.right}: needed by {_first(need.why, 2)}" for need in needs)


def _first(words: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"


KUBERNETES = Examination((CLUSTER, CLOCK, READS, EVENT, ACTS), run)
