import pytest

from remediator.simulate.answers import Refused
from remediator.simulate.selectors import field_test, label_tests, matches_labels


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier=db", True),
        ("app!=web", False),
        ("other!=web", True),
        ("other=", False),
        ("app in (web, api)", True),
        ("app in (api)", False),
        ("app notin (api)", True),
        ("other notin (api)", True),
        ("app", True),
        ("!app", False),
        ("!other", True),
        ("app.kubernetes.io/name=x-1_2", True),
        ("app=web,app!=web", False),
    ],
)
def test_label_selectors(selector: str, matches: bool) -> None:
    labels = {"app": "web", "tier": "db", "app.kubernetes.io/name": "x-1_2"}
    assert all(test(labels) for test in label_tests(selector)) is matches


@pytest.mark.parametrize("selector", ["a in (b", "a in b", ",", "a,", "=b", "a b", "!", "a in ((b))"])
def test_label_selectors_that_cannot_be_parsed(selector: str) -> None:
    with pytest.raises(Refused) as refused:
        label_tests(selector)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("selector", "plural", "matches"),
    [
        ("metadata.name=a", "deployments", True),
        ("metadata.name!=a", "deployments", False),
        ("metadata.name=a,metadata.namespace=b", "pods", False),
        ("spec.nodeName=n1", "pods", True),
        ("status.phase==Running", "pods", True),
        ("status.podIP=", "pods", True),
        ("involvedObject.uid=u-1,reason!=Pulled", "events", True),
        ("involvedObject.uid=u-2", "events", False),
    ],
)
def test_field_selectors(selector: str, plural: str, matches: bool) -> None:
    item = {
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Running"},
        "involvedObject": {"uid": "u-1"},
        "reason": "BackOff",
    }
    assert field_test(selector, plural)(item) is matches


@pytest.mark.parametrize("selector", ["status.phase=Running", "metadata.name"])
def test_a_field_that_the_resource_does_not_offer_is_refused(selector: str) -> None:
    with pytest.raises(Refused):
        field_test(selector, "configmaps")


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ({"key": "app", "operator": "In", "values": ["web"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["web"]}, False),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
    ],
)
def test_selectors_of_a_spec(expression: dict[str, object], matches: bool) -> None:
    assert (
        matches_labels({"matchLabels": {"x": "y"}, "matchExpressions": [expression]}, {"app": "web", "x": "y"})
        is matches
    )
