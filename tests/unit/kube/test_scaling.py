"""The request that sets replicas: bound to the object and to its old number, also where that is zero."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.kube.scaling import scale_request
from remediator.model import Target
from remediator.simulate.answers import Refused
from remediator.simulate.patching import patched

WEB = Target("lab", "StatefulSet", "shop", "web", "s-1")


def scale(replicas: int, uid: str = "s-1") -> Any:
    """As the API server shows it: zero is left out."""
    return {"metadata": {"name": "web", "uid": uid}, "spec": {"replicas": replicas} if replicas else {}}


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 2), (2, 0), (0, 2)])
def test_it_leads_there_and_back_and_nowhere_else(before: int, after: int) -> None:
    there, back = scale_request(WEB, before, after), scale_request(WEB, after, before)

    done = patched(scale(before), there.body, there.content_type)

    assert done["spec"].get("replicas", 0) == after
    assert patched(scale(after), back.body, back.content_type)["spec"].get("replicas", 0) == before
    for other in (scale(before + 1), scale(after), scale(before, uid="s-2")):
        with pytest.raises(Refused):
            patched(other, there.body, there.content_type)


def test_it_goes_to_the_scale_subresource() -> None:
    assert scale_request(WEB, 1, 2).path == "/apis/apps/v1/namespaces/shop/statefulsets/web/scale"
