"""What findings are signs of: the predicates behind the table of `cause.py`. Pure.

Each gives the findings that it rests on, none where it does not hold. Texts are those of the kubelet, containerd and
the API server (kubernetes/kubernetes `pkg/kubelet/{events,images,kuberuntime}`, containerd `internal/cri/server`), in
older and newer wording; they stand in messages that were cut, so that no search is long.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from remediator.diagnose.patterns import first_said
from remediator.diagnose.seen import LOST_REASONS, Findings, Seen, container_of, pods_of
from remediator.model import Cause, Finding

Sign = Callable[[Seen], Findings]

IMAGE_REASONS = frozenset(
    {
        *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"),
        *("RegistryUnavailable", "SignatureValidationFailed"),
    }
)
START_REASONS = frozenset(
    {"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun", "PostStartHookError"}
)
CONFIG_REASONS = frozenset({"CreateContainerConfigError"})
NOT_EXECUTABLE = frozenset({126, 127})
KILLED = frozenset({137, 143})
"""Ended by SIGKILL or SIGTERM: somebody else's doing, so that without saying whose it proves nothing of the code."""

INJECTED = frozenset(
    {
        *("istio-proxy", "istio-init", "istio-validation", "linkerd-proxy", "linkerd-init", "kuma-sidecar", "daprd"),
        *("linkerd-network-validator", "vault-agent", "vault-agent-init", "consul-dataplane", "cloud-sql-proxy"),
    }
)
"""Containers that a webhook puts into pods: no template has them, so that going back to one does not mend them."""

_REGISTRY = re.compile(
    r"(?i)i/o timeout|TLS handshake timeout|connection (?:refused|reset)|no such host|server misbehaving"
    r"|(?:network is unreachable|no route to host)|Client\.Timeout|context (?:deadline exceeded|canceled)|x509:"
    r"|toomanyrequests|too many requests|pull QPS exceeded|\b50[0234] |unexpected EOF"
    # Refused credentials: an account or a pull secret, not the name of the image.
    r"|\b401 |\b403 |unauthorized:|no basic auth credentials|RegistryUnavailable|token has expired"
)
_NODE_TROUBLE = re.compile(
    r"(?i)no space left on device|disk quota exceeded|cannot allocate memory|too many open files|input/output error"
    r"|resource temporarily unavailable|failed to reserve (?:container|sandbox) name|(?:containerd|cri-dockerd?)\.sock"
    r"|transport is closing|no running task found|nvml error|unable to apply cgroup"
)
_STUCK_RUNTIME = re.compile(r"(?i)context deadline exceeded|DeadlineExceeded|timed out waiting")
_NOT_ROOT = re.compile(r"(?i)runAsNonRoot and image")
_CONFIG_OF_MOUNT = re.compile(r'(?i)(?:configmap|secret)s? "[^"]{1,253}" not found|non-existent (?:config|secret) key')
_NOT_SYNCED = re.compile(r"not registered|failed to sync \w{1,20} cache")
_PROBE = re.compile(r"(?i)(?:liveness|startup) probe")
_QUOTA = re.compile(r"(?:exceeded|failed) quota: ")
_WEBHOOK_AWAY = re.compile(r"failed calling webhook|failed to call webhook")

MOUNT_EVENTS = frozenset({"FailedMount", "FailedMapVolume", "FailedAttachVolume"})
CLAIM_EVENTS = frozenset({"ProvisioningFailed", "FailedBinding", "VolumeResizeFailed", "ClaimLost", "ClaimMisbound"})
NODE_EVENTS = frozenset(
    {"FailedCreatePodSandBox", "FailedCreatePodContainer", "NetworkNotReady", "NodeNotReady", "TaintManagerEviction"}
)
CUT_OFF = frozenset({"network-policy"})


# What never started.


def image_not_pulled(seen: Seen) -> Findings:
    return seen.waiting(IMAGE_REASONS)


def registry_away(seen: Seen) -> Findings:
    """The registry does not answer, or not us: the image may be right."""
    return _told(seen, IMAGE_REASONS, _REGISTRY)


def node_cannot_start(seen: Seen) -> Findings:
    """The node's disk, memory or runtime gives out under containers that are created, or its kubelet is behind."""
    troubled = _told(seen, IMAGE_REASONS | START_REASONS, _NODE_TROUBLE)
    stuck = _told(seen, START_REASONS, _STUCK_RUNTIME)
    late = [one for one in seen.waiting(CONFIG_REASONS) if _NOT_SYNCED.search(one.facts["message"])]
    ended = [
        one
        for one in seen.ended()
        if one.facts["reason"] in START_REASONS and _NODE_TROUBLE.search(one.facts["message"])
    ]
    return [*troubled, *(one for one in stuck if one not in troubled), *late, *ended]


def _told(seen: Seen, reasons: frozenset[str], text: re.Pattern[str]) -> Findings:
    """Containers that wait for one of the reasons, where the kubelet's own words or its last event say the text."""
    found: list[Finding] = []
    for waiting in seen.waiting(reasons):
        said = [one for one in seen.events(frozenset({"Failed"}), about=pods_of([waiting])) if _is_told(one)]
        told = [one for one in (waiting, *said[-1:]) if text.search(one.facts["message"])]
        found += [waiting, *(one for one in told if one is not waiting)] if told else []
    return found


def _is_told(event: Finding) -> bool:
    """`Error: ImagePullBackOff` only repeats the reason."""
    return not re.fullmatch(r"Error: \w{1,40}", event.facts["message"])


def config_missing(seen: Seen) -> Findings:
    """The kubelet names a ConfigMap, Secret or key of it that is not there."""
    waiting = [one for one in seen.waiting(CONFIG_REASONS) if one.facts.get("missing")]
    named = seen.of("config-missing")
    mounts = [
        one for one in seen.events_of_waiting(MOUNT_EVENTS) if _CONFIG_OF_MOUNT.search(one.facts["message"])
    ]
    if waiting or (mounts and (named or seen.is_unready())):
        return [*waiting, *named, *mounts]
    return []


def cannot_start(seen: Seen) -> Findings:
    """The container as it is declared does not start: its command, its mounts, its user, its hook."""
    refused = [one for one in seen.waiting(CONFIG_REASONS) if _NOT_ROOT.search(one.facts["message"])]
    ended = [
        one
        for one in seen.ended()
        if one.facts["reason"] in START_REASONS or one.facts["exit_code"] in NOT_EXECUTABLE
    ]
    hooks = seen.events(frozenset({"FailedPostStartHook"}), about=pods_of(seen.crashed()))
    return [*seen.waiting(START_REASONS), *refused, *ended, *hooks]


# What started and ended.


def out_of_memory(seen: Seen) -> Findings:
    return [one for one in seen.ended() if one.facts["reason"] == "OOMKilled"]


def probe_killed(seen: Seen) -> Findings:
    """The kubelet ended it for a probe. It may well have ended in order then (exit 0), or with a code of its own."""
    found: list[Finding] = []
    for ended in seen.crashed():
        about = pods_of([ended])
        killings = seen.events(frozenset({"Killing"}), about=about)
        said = [one for one in killings if ended.facts["container"] in one.facts["message"]]
        if ended.facts["exit_code"] in KILLED:
            said += seen.events(frozenset({"Unhealthy"}), about=about)
        said = [one for one in said if _PROBE.search(one.facts["message"])]
        found += [ended, *said] if said else []
    return found


def code_crashes(seen: Seen) -> Findings:
    """It ends by itself, again and again; also with code 0, which no main process of a workload should."""
    return [one for one in seen.crashed() if one.facts["exit_code"] not in KILLED]


def only_injected_crash(seen: Seen) -> Findings:
    """All that crash were put into the pods by a webhook, and the template declares no container of that name."""
    crashed = seen.crashed()
    declared = {name for one in seen.of("rollout") for name in one.facts["images"]}
    return crashed if {one.facts["container"] for one in crashed} <= INJECTED - declared else []


def crash_on_bad_node(seen: Seen) -> Findings:
    """What crashes runs on nodes that are not well; or all on one node, while pods of the same revision are well."""
    crashed, faults = seen.crashed(), seen.of("node-fault")
    nodes = {one.facts.get("node") for one in crashed}
    if crashed and nodes <= {one.facts["node"] for one in faults}:
        return [*crashed, *faults]
    shared = [one for one in seen.of("shared-node") if nodes == {one.facts["node"]}]
    some_well = any(one.facts["pods"] > one.facts["not_ready"] for one in seen.of("readiness"))
    return [*crashed, *shared] if crashed and shared and some_well else []


def log_says(cause: Cause) -> Sign:
    """What crashed wrote last, not what others wrote: a proxy says "connection refused" of the very application."""

    def sign(seen: Seen) -> Findings:
        crashed = seen.crashed()
        own = {container_of(one) for one in crashed}
        patterns = [one for one in seen.patterns if one.cause is cause]
        lines = [
            one for one in seen.of("log") if container_of(one) in own and first_said(one.facts["text"], patterns)
        ]
        return [*crashed, *lines] if lines else []

    return sign


def crash_after_config_change(seen: Seen) -> Findings:
    """Its last words are of its configuration, and a ConfigMap that it uses changed lately."""
    changed, said = seen.of("config-changed"), log_says(Cause.CHANGED_CONFIG)(seen)
    return [*said, *changed] if changed and said else []


def crash_without_dependency(seen: Seen) -> Findings:
    crashed, away = seen.crashed(), dependency_away(seen)
    return [*crashed, *away] if crashed and away else []


def former_too(sign: Sign) -> Sign:
    """Pods of a former revision fail alike and none of them is well: the present one is not what brought it."""

    def both(seen: Seen) -> Findings:
        now, before = sign(seen), sign(seen.former())
        is_well = any(one.facts["old_ready"] for one in seen.of("readiness"))
        return [*now, *before] if now and before and not is_well else []

    return both


def only_former_fails(seen: Seen) -> Findings:
    """Pods of the former revision fail while those of the present one, if there are any yet, are ready."""
    before = seen.former()
    return [] if seen.is_unready() else [*before.of("container-waiting"), *before.crashed(), *before.of("scheduling")]


# What surrounds the pods.


def dependency_away(seen: Seen) -> Findings:
    """Something that the rule says the workload needs is known not to be well."""
    return seen.of("dependency", healthy=frozenset({False}))


def webhook_away(seen: Seen) -> Findings:
    """No pod is created because a webhook that must be asked does not answer."""
    return [one for one in seen.events(frozenset({"FailedCreate"})) if _WEBHOOK_AWAY.search(one.facts["message"])]


def node_gone_bad(seen: Seen) -> Findings:
    """The kubelet put pods out or lost them, their node is not well, or it cannot set up their network."""
    failed, lost = seen.of("pod-failed"), seen.of("container-terminated", reason=LOST_REASONS)
    late = [one for one in seen.events_of_waiting(MOUNT_EVENTS) if _NOT_SYNCED.search(one.facts["message"])]
    events = [*seen.events_of_waiting(NODE_EVENTS), *late] if seen.is_unready() else []
    return [*failed, *lost, *seen.of("node-fault"), *events]


def quota_used_up(seen: Seen) -> Findings:
    events = [one for one in seen.events(frozenset({"FailedCreate"})) if _QUOTA.search(one.facts["message"])]
    return [*seen.of("quota-exceeded"), *events]


def not_placed(*classes: str) -> Sign:
    """Pods for which one of these classes covers every node, and which no preemption is making room for."""
    wanted = frozenset(classes)

    def sign(seen: Seen) -> Findings:
        return [one for one in seen.of("scheduling", **{"class": wanted}) if not one.facts.get("nominated_node")]

    return sign


def volume_not_ready(seen: Seen) -> Findings:
    """Volumes are not bound, attached or mounted; what a missing ConfigMap does to a mount is not meant."""
    mounts = [
        one
        for one in seen.events_of_waiting(MOUNT_EVENTS)
        if not _CONFIG_OF_MOUNT.search(one.facts["message"]) and not _NOT_SYNCED.search(one.facts["message"])
    ]
    unready = [*mounts, *seen.events(CLAIM_EVENTS)] if seen.is_unready() else []
    return [*not_placed("volume")(seen), *unready]


def not_placed_otherwise(seen: Seen) -> Findings:
    """Pods are not placed for several reasons, none that is known, or they wait for a gate or for preemption."""
    return [*seen.of("scheduling"), *seen.of("pod-not-scheduled")]


def cut_off(seen: Seen) -> Findings:
    """The pods are well and nothing may reach them."""
    return seen.of("endpoints", problem=CUT_OFF)


# What the figures say.


def memory_course(shape: str) -> Sign:
    return lambda seen: seen.of("memory-trend", shape=frozenset({shape}))


def began_with_rollout(seen: Seen) -> Findings:
    return seen.of("began-with-rollout", began=frozenset({True}))


def config_changed_with_rollout(seen: Seen) -> Findings:
    """Both changed, and nothing tells them apart; a rollback restores the template only."""
    began, changed = began_with_rollout(seen), seen.of("config-changed")
    return [*began, *changed] if began and changed else []


def saturated(seen: Seen) -> Findings:
    return seen.of("saturation", is_saturated=frozenset({True}))
