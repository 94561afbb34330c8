"""`network`: whether traffic can reach the pods: Services, their endpoints, selectors, ports, network policies.

Endpoints are counted from EndpointSlices, over all slices and address families of a Service. Which Service is meant,
where none selects the pods, is taken from the alert's `service` label or from its having the workload's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from remediator.diagnose.base import Scene, attempt, words
from remediator.kube.base import path_of, selector_text
from remediator.kube.permissions import to
from remediator.kube.quantities import is_sidecar
from remediator.kube.selecting import is_routed, is_selected, labels_of
from remediator.model import Finding, Json
from remediator.together import together

MAX_SERVICES = 10
MAX_LISTED = 1000
SERVICE_NAME = "kubernetes.io/service-name"


class Network:
    name = "network"
    permissions = (to("Service", "list"), to("NetworkPolicy", "list"), to("EndpointSlice", "list"))

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        space = scene.target.namespace
        if not space:
            return []
        services, policies = await together(
            attempt(self.name, "Services", scene.cluster.list(path_of("Service", namespace=space), limit=MAX_LISTED)),
            attempt(
                self.name,
                "network policies",
                scene.cluster.list(path_of("NetworkPolicy", namespace=space), limit=MAX_LISTED),
            ),
        )
        findings = [one for one in (services, policies) if isinstance(one, Finding)]
        if isinstance(services, Finding):
            return findings
        meant = _meant(scene, services)[:MAX_SERVICES]
        if not meant:
            return [*findings, _no_service(scene)]
        names = [service["metadata"]["name"] for service in meant]
        slices = await attempt(
            self.name,
            f"endpoints of {', '.join(names)}",
            scene.cluster.list(
                path_of("EndpointSlice", namespace=space),
                label_selector=selector_text(
                    {"matchExpressions": [{"key": SERVICE_NAME, "operator": "In", "values": names}]}
                ),
                limit=MAX_LISTED,
            ),
        )
        if isinstance(slices, Finding):
            return [*findings, slices]
        known = () if isinstance(policies, Finding) else policies
        findings += [_of_service(scene, service, slices, known) for service in meant]
        return findings


def _meant(scene: Scene, services: Sequence[Json]) -> list[Json]:
    """Services that select the pods; else those that the alert or the workload's name point at."""
    labels = labels_of(scene.workload.template)
    chosen = [item for item in services if is_routed(item["spec"].get("selector"), labels)]
    if chosen:
        return chosen
    names = {scene.target.name, scene.alert.labels.get("service", "")}
    return [item for item in services if item["metadata"]["name"] in names]


def _no_service(scene: Scene) -> Finding:
    asked = scene.alert.labels.get("service", "")
    text = f"no Service {words(asked)}" if asked else f"no Service selects the pods of {scene.target}"
    facts = {"service": words(asked), "ready": 0, "not_ready": 0, "problem": "no-service"}
    return Finding("endpoints", text, facts)


@dataclass(frozen=True, slots=True)
class Counted:
    ready: int
    not_ready: int
    resolved_ports: frozenset[str]
    """Names of the Service's ports that lead to a port of some pod; the name of a single port may be empty."""


def _of_service(scene: Scene, service: Json, slices: Sequence[Json], policies: Sequence[Json]) -> Finding:
    name = service["metadata"]["name"]
    own = [part for part in slices if labels_of(part).get(SERVICE_NAME) == name]
    counted = _count(own)
    problem, why = _problem(scene, service, counted, policies)
    text = f"Service {name}: {counted.ready} ready, {counted.not_ready} not ready" + (f"; {why}" if why else "")
    facts = {"service": name, "ready": counted.ready, "not_ready": counted.not_ready, "problem": problem}
    return Finding("endpoints", words(text), facts)


def _count(slices: Sequence[Json]) -> Counted:
    """A pod with two address families stands in two slices; it counts once."""
    ready: dict[str, bool] = {}
    ports: set[str] = set()
    for part in slices:
        endpoints = part.get("endpoints") or ()
        for endpoint in endpoints:
            key = (endpoint.get("targetRef") or {}).get("uid") or "/".join(endpoint.get("addresses") or ())
            # Absent means ready (`discovery/v1` types).
            is_one = (endpoint.get("conditions") or {}).get("ready") is not False
            ready[key] = ready.get(key, False) or is_one
        if endpoints:
            ports |= {port.get("name") or "" for port in part.get("ports") or () if port.get("port")}
    return Counted(sum(ready.values()), sum(not one for one in ready.values()), frozenset(ports))


def _problem(scene: Scene, service: Json, counted: Counted, policies: Sequence[Json]) -> tuple[str, str]:
    """The word of the finding and what it means here; two empty strings where nothing is wrong."""
    spec, pods = service["spec"], scene.workload.pods
    selector: Mapping[str, str] = spec.get("selector") or {}
    if spec.get("type") == "ExternalName" or not selector:
        return "", "its endpoints are not pods that it selects"
    if not is_routed(selector, labels_of(scene.workload.template)):
        if counted.ready + counted.not_ready:
            return "", "it selects other pods than those of the workload"
        asked = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
        return "selector-matches-nothing", f"its selector {asked} matches no pod"
    if not pods:
        return "no-pods", "there are no pods"
    if not counted.ready:
        return "pods-not-ready", "no pod is ready"
    if (wrong := _wrong_port(service, pods, counted)) is not None:
        return "port-mismatch", wrong
    return _denied(service, pods, policies)


def _wrong_port(service: Json, pods: Sequence[Json], counted: Counted) -> str | None:
    declared = [port for pod in pods for port in _ports(pod)]
    numbers = {port["containerPort"] for port in declared}
    for port in service["spec"].get("ports") or ():
        target = port.get("targetPort", port.get("port"))
        if isinstance(target, str) and not target.isdigit():
            if (port.get("name") or "") not in counted.resolved_ports:
                return f"no container has a port called {target}"
        elif numbers and int(target) not in numbers:
            # Ports need not be declared; where some are and this one is not, the Service most likely is wrong.
            listed = ", ".join(map(str, sorted(numbers)))
            return f"it sends to port {target}, the containers declare {listed}"
    return None


def _ports(pod: Json) -> Iterator[Json]:
    spec = pod["spec"]
    for container in [*(spec.get("containers") or ()), *filter(is_sidecar, spec.get("initContainers") or ())]:
        yield from container.get("ports") or ()


def _denied(service: Json, pods: Sequence[Json], policies: Sequence[Json]) -> tuple[str, str]:
    """Whether no policy lets anyone in. From whom it lets in is not judged: clients are not known here."""
    labels = labels_of(pods[0])
    selecting = [
        policy
        for policy in policies
        if "Ingress" in (policy["spec"].get("policyTypes") or ("Ingress",))
        and is_selected(policy["spec"].get("podSelector") or {}, labels)
    ]
    if not selecting:
        return "", ""
    rules = [rule for policy in selecting for rule in policy["spec"].get("ingress") or ()]
    targets = [_resolved(port, pods) for port in service["spec"].get("ports") or ()]
    if any(_admits(rule, target) for rule in rules for target in targets):
        return "", ""
    names = ", ".join(policy["metadata"]["name"] for policy in selecting)
    return "network-policy", f"network policies let nothing in to its ports: {names}"


def _resolved(port: Json, pods: Sequence[Json]) -> tuple[int | None, str, str]:
    """(number, name, protocol) of the port of the pods that a port of the Service leads to."""
    target, protocol = port.get("targetPort", port.get("port")), port.get("protocol", "TCP")
    for one in (each for pod in pods for each in _ports(pod)):
        if target in (one.get("name"), one["containerPort"]):
            return one["containerPort"], one.get("name") or "", protocol
    return (int(target), "", protocol) if str(target).isdigit() else (None, str(target), protocol)


def _admits(rule: Json, target: tuple[int | None, str, str]) -> bool:
    number, name, protocol = target
    allowed = rule.get("ports")
    if not allowed:
        return True
    for one in allowed:
        if one.get("protocol", "TCP") != protocol:
            continue
        first = one.get("port")
        if first is None or first in (name, number):
            return True
        if number is not None and isinstance(first, int) and first <= number <= one.get("endPort", first):
            return True
    return False
