"""What a credential may speak of: receivers, namespaces and rules, each anchored, and nothing by default."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.authority import UNLIMITED, Authority, unquoted
from remediator.rules.automaton import compile_pattern

SHOP = Authority(namespaces=compile_pattern("shop|shop-.*"))
GO_QUOTES = r"\.+*?()|[]{}^$"


@pytest.mark.parametrize(
    ("labels", "outside"),
    [
        ({"namespace": "shop"}, ""),
        ({"namespace": "shop-eu"}, ""),
        ({"namespace": "shop", "exported_namespace": "shop-eu"}, ""),
        ({"exported_namespace": "shop"}, ""),
        ({"namespace": "shop", "exported_namespace": ""}, ""),
        ({"namespace": "pay"}, "namespace 'pay'"),
        ({"namespace": "workshop"}, "namespace 'workshop'"),
        ({"namespace": "shop\n"}, "namespace 'shop '"),
        ({"namespace": "Shop"}, "namespace 'Shop'"),
        ({"namespace": "shop", "exported_namespace": "pay"}, "namespace 'pay'"),
        ({"namespace": "pay", "exported_namespace": "shop"}, "namespace 'pay'"),
        ({}, "what is in no namespace"),
        ({"namespace": ""}, "what is in no namespace"),
        ({"kubernetes_namespace": "shop"}, "what is in no namespace"),
    ],
)
def test_all_namespaces_of_an_alert_must_lie_inside(labels: dict[str, str], outside: str) -> None:
    assert SHOP.outside_of_alert("any", labels) == outside
    assert UNLIMITED.outside_of_alert("any", labels) == ""


def test_an_expression_that_matches_nothing_at_all_is_no_leave_for_an_alert_without_a_namespace() -> None:
    assert Authority(namespaces=compile_pattern("(?:shop)?")).outside_of_alert("any", {}) == "what is in no namespace"


@pytest.mark.parametrize(
    ("receiver", "is_inside"), [(r"shop/am\.one/remediator", True), ("shop/am.one/remediator", True), ("pay/x", False)]
)
def test_a_receiver_is_meant_as_people_wrote_it(receiver: str, is_inside: bool) -> None:
    of_shop = Authority(receivers=compile_pattern(r"shop/am\.one/.*"))
    assert (of_shop.outside_of_alert(receiver, {}) == "") is is_inside


@given(st.text(alphabet=GO_QUOTES + "ab/-é"))
def test_what_alertmanager_quotes_is_unquoted(name: str) -> None:
    quoted = "".join(f"\\{char}" if char in GO_QUOTES else char for char in name)
    assert unquoted(quoted) == name


def test_everything_at_once_needs_no_limit() -> None:
    """A pause of all, or of one rule wherever it acts."""
    of_rule = Authority(rules=compile_pattern("crash-loop"))
    assert SHOP.outside((), "") == "what is in no namespace"
    assert SHOP.outside(("shop",), "") == ""
    assert of_rule.outside(("shop",), "") == "every rule"
    assert of_rule.outside((), "crash-loop") == ""
    assert UNLIMITED.outside((), "") == ""
    assert [one.is_limited for one in (SHOP, of_rule, UNLIMITED)] == [True, True, False]
