"""The real writes of `rollback`: done once, bound to what was decided on, undone only while it is ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from remediator.actions.write import read_back
from remediator.clock import SystemClock
from remediator.errors import PermanentError
from remediator.kube.base import Conflict
from remediator.kube.client import KubernetesCluster
from remediator.kube.ownership import LAST_ACTION
from remediator.kube.workload import read_workload
from remediator.model import Answer
from remediator.reasons import Reason
from tests.cluster.credentials import ACTIVE
from tests.cluster.plans import BAD, CHANGE_CAUSE, GOOD, act, bad_release, planned, undo
from tests.cluster.steps import MERGE_PATCH, App, Object
from tests.cluster.waiting import wait_for_async


async def test_the_write_changes_the_object_once_and_says_so(app: App, cluster: KubernetesCluster) -> None:
    """Old pods come back, the marks name us, and the controller copies the change-cause for `rollout history`."""
    bad_release(app)
    plan = await planned(app, cluster)

    written = await act(plan, 0, cluster=cluster)
    again = await act(plan, 0, cluster=cluster)

    app.settle()
    live = app.live()
    assert (written.answer, again.answer) == (Answer.APPLIED, Answer.APPLIED)
    assert written.generation == again.generation == live["metadata"]["generation"] == plan.generation + 1
    assert app.images() == [GOOD]
    annotations = live["metadata"]["annotations"]
    assert annotations[LAST_ACTION] == plan.action_id
    assert annotations[CHANGE_CAUSE].startswith("rolled back from revision 2 to 1 by remediator: crash-loop, action ")
    assert app.revisions() == {2: [BAD], 3: [GOOD]}
    history = app.kubectl("rollout", "history", "deployment/shop").stdout
    assert annotations[CHANGE_CAUSE] in history


async def test_a_write_leaves_no_trace_in_the_template(app: App, cluster: KubernetesCluster) -> None:
    """What was restored is the old ReplicaSet itself, hash label and all: no third kind of pod appears."""
    bad_release(app)
    before = {rs["metadata"]["name"] for rs in app.replica_sets()}
    plan = await planned(app, cluster)

    await act(plan, 0, cluster=cluster)

    app.settle()
    assert {rs["metadata"]["name"] for rs in app.replica_sets()} == before
    assert app.live()["spec"]["template"] == plan.after


def scale(app: App) -> None:
    app.kubectl("scale", "deployment/shop", "--replicas=3")


def apply_a_fix(app: App) -> None:
    app.control_plane.apply(app.manifest("shop:1.7"))


def annotate(app: App) -> None:
    app.kubectl("annotate", "deployment/shop", "team=checkout")


@pytest.mark.parametrize("meanwhile", [scale, apply_a_fix, annotate])
async def test_a_change_between_read_and_write_wins(
    app: App, cluster: KubernetesCluster, meanwhile: Callable[[App], None]
) -> None:
    """The generation is another: nothing is written, neither by a dry run nor by the write."""
    bad_release(app)
    plan = await planned(app, cluster)
    meanwhile(app)
    before = app.live()

    with pytest.raises(Conflict):
        await cluster.send(plan.steps[0].request, dry_run=True)
    written = await act(plan, 0, cluster=cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.CONFLICT)
    assert spec_and_annotations(app.live()) == spec_and_annotations(before)


async def test_status_churn_between_read_and_write_does_not_block(app: App, cluster: KubernetesCluster) -> None:
    """The status of a crash-looping Deployment changes all the time; its generation does not."""
    bad_release(app)
    plan = await planned(app, cluster)
    read = app.live()
    churn = {"status": {"conditions": [{"type": "Churn", "status": "True", "reason": "Test", "message": ""}]}}
    app.control_plane.request("PATCH", f"{app.path}/status", churn, content_type=MERGE_PATCH)
    assert app.live()["metadata"]["resourceVersion"] != read["metadata"]["resourceVersion"]

    assert (await act(plan, 0, cluster=cluster)).answer is Answer.APPLIED
    assert app.images() == [GOOD]


async def test_another_object_of_that_name_is_not_written(app: App, cluster: KubernetesCluster) -> None:
    """Deleted and made again meanwhile, at the same generation: only its uid tells it from the one decided on."""
    bad_release(app)
    plan = await planned(app, cluster)
    app.kubectl("delete", "deployment", "shop")
    gone = await act(plan, 0, cluster=cluster)
    bad_release(app)
    before = app.live()
    assert before["metadata"]["generation"] == plan.generation

    written = await act(plan, 0, cluster=cluster)

    assert (gone.answer, gone.reason) == (Answer.NOT_APPLIED, Reason.TARGET_NOT_FOUND)
    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.CONFLICT)
    assert (await read_back(plan, 0, cluster=cluster)).reason is Reason.TARGET_CHANGED
    assert await read_workload(plan.target, cluster, SystemClock()) is None
    assert spec_and_annotations(app.live()) == spec_and_annotations(before)


@pytest.fixture
def frozen(app: App) -> Iterator[str]:
    """An admission policy that lets the service change no Deployment of this namespace; its name."""
    name, place = app.namespace, "/apis/admissionregistration.k8s.io/v1"
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], "operations": ["UPDATE"]}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [
            {"expression": f"request.userInfo.username != '{ACTIVE}'", "message": "frozen until the sale is over"}
        ],
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": app.namespace}}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}
    parts = {"validatingadmissionpolicies": policy, "validatingadmissionpolicybindings": binding}
    for plural, spec in parts.items():
        app.control_plane.request("POST", f"{place}/{plural}", {"metadata": {"name": name}, "spec": spec})
    yield name
    for plural in parts:
        app.control_plane.request("DELETE", f"{place}/{plural}/{name}")


async def test_an_admission_policy_that_denies_it_is_named(app: App, cluster: KubernetesCluster, frozen: str) -> None:
    """The dry run meets the policy first; the write, too, is refused for good and leaves the object alone."""
    bad_release(app)
    plan = await planned(app, cluster)

    async def is_denied() -> bool:
        try:
            await cluster.send(plan.steps[0].request, dry_run=True)
        except PermanentError as error:
            return "frozen until the sale is over" in str(error)
        return False

    await wait_for_async(is_denied, timeout_seconds=20, what="the policy is in force")
    before = app.live()

    written = await act(plan, 0, cluster=cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.REFUSED_BY_API)
    assert f"ValidatingAdmissionPolicy '{frozen}'" in written.detail
    assert "frozen until the sale is over" in written.detail
    assert spec_and_annotations(app.live()) == spec_and_annotations(before)


async def test_the_inverse_restores_the_former_template(app: App, cluster: KubernetesCluster) -> None:
    """While our mark and template stand; what else was changed meanwhile stays."""
    app.deploy(GOOD)
    app.kubectl("annotate", "deployment/shop", f"{CHANGE_CAUSE}=release 1.6")
    app.release(BAD)
    plan = await planned(app, cluster)
    await act(plan, 0, cluster=cluster)
    app.kubectl("scale", "deployment/shop", "--replicas=1")

    written = await undo(plan, 0, cluster=cluster)
    again = await undo(plan, 0, cluster=cluster)

    live = app.live()
    assert (written.answer, again.answer) == (Answer.APPLIED, Answer.APPLIED)
    assert again.generation == live["metadata"]["generation"]
    assert live["spec"]["template"] == plan.before
    assert live["spec"]["replicas"] == 1
    assert live["metadata"]["annotations"][CHANGE_CAUSE] == "release 1.6"
    assert live["metadata"]["annotations"][LAST_ACTION] == f"{plan.action_id}.revert"


def undo_with_kubectl(app: App) -> None:
    """Takes our mark off, too: it is an annotation that the old ReplicaSet does not have."""
    app.settle()
    app.kubectl("rollout", "undo", "deployment/shop")


@pytest.mark.parametrize("meanwhile", [apply_a_fix, undo_with_kubectl])
async def test_the_inverse_is_refused_after_someone_else_changed_the_template(
    app: App, cluster: KubernetesCluster, meanwhile: Callable[[App], None]
) -> None:
    """Their template wins: there is nothing of ours left to take back."""
    bad_release(app)
    plan = await planned(app, cluster)
    await act(plan, 0, cluster=cluster)
    meanwhile(app)
    before = app.live()

    written = await undo(plan, 0, cluster=cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.CONFLICT)
    assert spec_and_annotations(app.live()) == spec_and_annotations(before)


async def test_the_inverse_is_refused_without_our_mark(app: App, cluster: KubernetesCluster) -> None:
    """The same template under another action's mark is that action's doing: only it may take it back."""
    bad_release(app)
    plan = await planned(app, cluster)
    await act(plan, 0, cluster=cluster)
    app.kubectl("annotate", "--overwrite", "deployment/shop", f"{LAST_ACTION}=another")

    written = await undo(plan, 0, cluster=cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.CONFLICT)
    assert app.images() == [GOOD]


def spec_and_annotations(item: Object) -> Object:
    """What people write; the controller's own revision number may still be on its way."""
    own = "deployment.kubernetes.io/"
    said = {key: text for key, text in item["metadata"]["annotations"].items() if not key.startswith(own)}
    return {"spec": item["spec"], "annotations": said}
