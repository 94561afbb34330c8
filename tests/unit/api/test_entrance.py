"""Who is let in, and what for: every role at every route; who a record names; what a limited operator may set."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from structlog.testing import capture_logs

from remediator.access.loading import Access, AccessFiles, load_access
from remediator.api.openapi import document
from remediator.model import RemediationId, State
from remediator.receive.server import PATHS
from remediator.store.base import Change, Record
from tests.unit.access.files import OPS, PAY, SHOP, entry, token_file, written
from tests.unit.api.service import NOW, Service, running
from tests.unit.receive.bodies import body
from tests.unit.store.examples import brought_to, firing, plan, queued, target

READER, FULL = "read-token-0123456789abcdef", "full-token-0123456789abcdef"
EVERY_ROUTE = sorted((path, method.upper()) for path, methods in document("1")["paths"].items() for method in methods)
JSON = {"Content-Type": "application/json"}


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


ROLES: Mapping[str, tuple[str | None, set[str]]] = {
    "nobody": (None, set()),
    "a wrong token": ("Bearer wrong", set()),
    "an unknown scheme": ("Digest x", set()),
    "a wrong password": (basic("ada", "wrong"), set()),
    "an unknown user": (basic("eve", "right"), set()),
    "half a header": ("Basic !", set()),
    "alert": (f"Bearer {SHOP}", {"alert"}),
    "read": (f"Bearer {READER}", {"read"}),
    "operate": (f"Bearer {OPS}", {"operate", "read"}),
    "a person who operates": (basic("ada", "right"), {"operate", "read"}),
    "a user without an entry": (basic("bob", "right"), set()),
    "a plain token": (f"Bearer {FULL}", {"alert", "operate", "read"}),
}
KNOWN = ("alert", "read", "operate", "a person who operates", "a user without an entry", "a plain token")
"""Roles that are somebody: what they may not is 403, and not 401."""


def files(folder: Path, *, with_users: bool = True, with_reader: bool = True) -> Access:
    entries = [
        entry("shop", SHOP, namespaces="['.*']"),
        entry("ops", OPS, may="[operate]"),
        *([entry("grafana", READER, may="[read]")] if with_reader else []),
        *([entry("ada", basic_auth_user="ada", may="[operate]")] if with_users else []),
    ]
    web = folder / "web.yaml"
    right = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    web.write_text(f"basic_auth_users: {{ada: {right}, bob: {right}}}" if with_users else "", encoding="utf-8")
    return load_access(AccessFiles(written(folder, *entries), [token_file(folder, "token", FULL)], web))


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with running(access=files(tmp_path), web_enable_lifecycle=True) as service:
        yield service


MORE: Mapping[str, Mapping[str, Any]] = {
    "/pause": {"engaged": True},
    "/reset": {"what": "rule", "subject": "crash-loop"},
    "/approvals": {"plan_hash": "ab" * 32},
    "/judge": {"judged": "right"},
    "/audit/confirm": {"size": 0, "root": "A" * 43 + "="},
    "/audit/redact": {"seq": 1, "fields": ["annotations"]},
}
"""What the body of a route holds beside who and why."""


QUERIES: Mapping[str, Mapping[str, str]] = {"/api/v1/export": {"since": "24h"}}
"""What a route must be asked with."""


def needed(path: str, method: str) -> str:
    if path in ("/-/healthy", "/-/ready"):
        return "nothing"
    return "read" if method == "GET" else "alert" if path in PATHS else "operate"


def wanted(path: str) -> Any:
    """A body that would be heeded."""
    said = {"comment": "x", "by": "eve"}
    for end, more in MORE.items():
        if end in path:
            return said | more
    return said


async def answered(service: Service, path: str, method: str, header: str | None) -> int:
    data = body() if path in PATHS else None
    async with service.client.request(
        method,
        re.sub(r"\{\w+\}", "1", path),
        params=QUERIES.get(path),
        headers=({} if header is None else {"Authorization": header}) | (JSON if data else {}),
        **({"data": data} if data else {} if method == "GET" else {"json": wanted(path)}),
    ) as answer:
        assert (await answer.read()) is not None
        return answer.status


async def changes(service: Service) -> list[str]:
    return [record.kind for record in await service.store.records(after=0, limit=1000)]


@pytest.mark.parametrize("role", ROLES)
async def test_every_role_at_every_route(service: Service, role: str) -> None:
    header, allowed = ROLES[role]
    for path, method in EVERY_ROUTE:
        before = (await changes(service), service.reloads)
        status = await answered(service, path, method, header)
        need = needed(path, method)
        if need == "nothing" or need in allowed:
            assert status in (200, 404, 409), (path, method, status)
        else:
            assert status == (403 if role in KNOWN else 401), (path, method)
            assert (await changes(service), service.reloads) == before, "a refusal changes nothing"


@pytest.mark.parametrize(("with_reader", "status"), [(True, 401), (False, 200)])
async def test_reading_is_open_where_nobody_says_who_may(tmp_path: Path, with_reader: bool, status: int) -> None:
    async with running(access=files(tmp_path, with_users=False, with_reader=with_reader)) as service:
        for header in (None, "Bearer wrong"):
            assert await answered(service, "/api/v1/incidents", "GET", header) == status
            assert await answered(service, "/api/v1/pause", "POST", header) == 401


async def test_everything_is_open_where_nobody_is_known() -> None:
    async with running(access=Access(), web_enable_lifecycle=True) as service:
        for path, method in EVERY_ROUTE:
            assert await answered(service, path, method, None) in (200, 404, 409), (path, method)
        assert (await service.store.kill_switch()).by == "eve"


async def test_with_passwords_also_what_is_not_there_is_not_told(service: Service) -> None:
    assert [await answered(service, path, "GET", None) for path in ("/nothing", "/webhook")] == [401, 401]
    header = ROLES["read"][0]
    assert [await answered(service, path, "GET", header) for path in ("/nothing", "/webhook")] == [404, 405]


async def test_who_is_nobody_is_told_how_to_be_somebody(tmp_path: Path) -> None:
    asked: dict[bool, str] = {}
    for with_users in (True, False):
        async with (
            running(access=files(tmp_path, with_users=with_users)) as service,
            service.client.post("/api/v1/pause", json={}) as answer,
        ):
            asked[with_users] = answer.headers["WWW-Authenticate"]
            assert await answer.json() == {"error": "unauthorized"}
            assert answer.headers["Connection"] == "close", "the rest of the body is not wanted"
    assert asked == {True: 'Bearer realm="remediator", Basic realm="remediator"', False: 'Bearer realm="remediator"'}


async def test_a_refused_webhook_is_counted_and_named_and_its_token_is_not(service: Service) -> None:
    with capture_logs() as log:
        await answered(service, "/webhook", "POST", "Bearer guessed-0123456789")
        await answered(service, "/webhook", "POST", ROLES["read"][0])
    _, text = await service.text("/metrics", headers={"Authorization": f"Bearer {READER}"})
    assert 'remediator_webhook_requests_total{code="401"} 1.0' in text
    assert 'remediator_webhook_requests_total{code="403"} 1.0' in text
    assert [line["why"] for line in log] == ["unauthorized", "credential grafana may not alert; it may read"]
    assert "guessed" not in str(log)


async def test_the_headers_of_the_web_configuration_file_are_on_every_answer(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(
        "http_server_config: {headers: {Strict-Transport-Security: max-age=9, Content-Security-Policy: default-src x}}"
    )
    access = load_access(AccessFiles(web_config=tmp_path / "web.yaml"))
    async with running(access=access) as service:
        for path in ("/-/healthy", "/nothing"):
            async with service.client.get(path) as answer:
                assert answer.headers["Strict-Transport-Security"] == "max-age=9"
                assert answer.headers.getall("Content-Security-Policy") == ["default-src x"]


# -- who it was


@pytest.mark.parametrize(
    ("role", "said", "by"),
    [
        ("operate", "eve", "eve (credential ops)"),
        ("a plain token", "eve", "eve (credential file:token)"),
        ("a person who operates", "eve", "ada"),
        ("a person who operates", None, "ada"),
    ],
)
async def test_a_record_names_who_was_proved_whatever_is_said(
    service: Service, role: str, said: str | None, by: str
) -> None:
    wanted = {"engaged": True, "comment": "x"} | ({} if said is None else {"by": said})
    headers = {"Authorization": str(ROLES[role][0])}
    status, _ = await service.ask("POST", "/api/v1/pause", json=wanted, headers=headers)
    assert (status, (await service.store.kill_switch()).by) == (200, by)


async def test_a_token_that_many_may_hold_has_to_say_who(service: Service) -> None:
    wanted = {"engaged": True, "comment": "x"}
    headers = {"Authorization": f"Bearer {OPS}"}
    assert await service.ask("POST", "/api/v1/pause", json=wanted, headers=headers) == (
        400,
        {"error": "by: Field required"},
    )


async def waiting(service: Service, *paths: str) -> None:
    """A rollback of shop/api that waits for a person; its requests go to these paths."""
    [remediation] = await queued(service.store, firing(1))
    planned = await brought_to(service.store, remediation, State.PLANNED, on=target())
    asked = {"target": str(target()), "plan_hash": "ab" * 32, "requests": [{"path": path} for path in paths]}
    change = Change(rule="crash-loop", plan=plan(target()), due_at=NOW.replace(hour=13), scored="sense")
    record = Record("decision.awaiting-approval", asked)
    await service.store.advance(planned, to=State.AWAITING_APPROVAL, record=record, at=NOW, change=change)


async def test_a_credential_that_may_alert_approves_and_pauses_nothing(service: Service) -> None:
    await waiting(service)
    headers = {"Authorization": f"Bearer {SHOP}"}
    for path in ("approvals/R-1/approve", "approvals/R-1/deny", "pause", "reset"):
        assert await answered(service, f"/api/v1/{path}", "POST", headers["Authorization"]) == 403
    assert await service.store.approval(RemediationId(1)) is None
    assert not (await service.store.kill_switch()).engaged


async def test_an_approval_names_the_person(service: Service) -> None:
    await waiting(service)
    said = {"comment": "yes", "by": "the boss", "plan_hash": "ab" * 32}
    headers = {"Authorization": str(ROLES["a person who operates"][0])}
    status, told = await service.ask("POST", "/api/v1/approvals/R-1/approve", json=said, headers=headers)
    assert (status, told["by"]) == (200, "ada")


# -- what a limited operator may set

LIMITS = {"namespaces": "[shop]", "rules": "[crash-loop]"}
AT_SHOP = "/apis/apps/v1/namespaces/shop/deployments/api"


@pytest.mark.parametrize(
    ("limits", "path", "fields", "outside"),
    [
        ({"namespaces": "[shop]"}, "pause", {"namespace": "shop"}, ""),
        ({"namespaces": "[shop]"}, "pause", {"target": "shop/deployment/api"}, ""),
        ({"namespaces": "[shop]"}, "pause", {"namespace": "pay"}, "namespace 'pay'"),
        ({"namespaces": "[shop]"}, "pause", {"target": "pay/deployment/shop"}, "namespace 'pay'"),
        ({"namespaces": "[shop]"}, "pause", {}, "what is in no namespace"),
        ({"namespaces": "[shop]"}, "pause", {"rule": "crash-loop"}, "what is in no namespace"),
        ({"rules": "[crash-loop]"}, "pause", {"rule": "crash-loop"}, ""),
        ({"rules": "[crash-loop]"}, "pause", {"rule": "other"}, "rule 'other'"),
        ({"rules": "[crash-loop]"}, "pause", {"namespace": "shop"}, "every rule"),
        ({"rules": "[crash-loop]"}, "pause", {}, "every rule"),
        ({"namespaces": "[shop]"}, "reset", {"what": "target", "subject": "lab/shop/Deployment/api"}, ""),
        ({"namespaces": "[shop]"}, "reset", {"what": "target", "subject": "shop/pay/Deployment/api"}, "'pay'"),
        ({"namespaces": "[shop]"}, "reset", {"what": "target", "subject": "shop"}, "what is in no namespace"),
        ({"namespaces": "[shop]"}, "reset", {"what": "cluster", "subject": "shop"}, "what is in no namespace"),
        ({"rules": "[crash-loop]"}, "reset", {"what": "rule", "subject": "crash-loop"}, ""),
        ({"rules": "[crash-loop]"}, "reset", {"what": "rule", "subject": "other"}, "rule 'other'"),
        (LIMITS, "approvals/R-1/approve", {}, ""),
        (LIMITS, "approvals/R-1/deny", {}, ""),
        ({"namespaces": "[pay]"}, "approvals/R-1/approve", {}, "namespace 'shop'"),
        ({"rules": "[other]"}, "approvals/R-1/approve", {}, "rule 'crash-loop'"),
        (LIMITS, "scorecard/R-1/judge", {}, ""),
        ({"namespaces": "[pay]"}, "scorecard/R-1/judge", {}, "namespace 'shop'"),
        ({"rules": "[other]"}, "scorecard/R-1/judge", {}, "rule 'crash-loop'"),
    ],
)
async def test_a_limited_operator_sets_only_what_lies_inside(
    tmp_path: Path, limits: dict[str, str], path: str, fields: dict[str, str], outside: str
) -> None:
    access = load_access(AccessFiles(written(tmp_path, entry("ops", OPS, may="[operate]", **limits))))
    async with running(access=access) as service:
        await waiting(service, AT_SHOP)
        before = await changes(service)
        more: dict[str, Any] = {"pause": {"engaged": True}, "reset": {}, "scorecard/R-1/judge": {"judged": "right"}}
        extra = more.get(path, {"plan_hash": "ab" * 32})
        said = {"comment": "x", "by": "eve", **extra, **fields}
        status, told = await service.ask(
            "POST", f"/api/v1/{path}", json=said, headers={"Authorization": f"Bearer {OPS}"}
        )
        if outside:
            assert status == 403
            assert told["error"].startswith("credential ops may not speak of ")
            assert outside in told["error"]
            assert await changes(service) == before
        else:
            assert (status, len(await changes(service))) == (200, len(before) + 1)


async def test_an_approval_is_of_everything_that_the_plan_touches(tmp_path: Path) -> None:
    """`shed` takes room from workloads elsewhere."""
    access = load_access(AccessFiles(written(tmp_path, entry("ops", OPS, may="[operate]", namespaces="[shop]"))))
    async with running(access=access) as service:
        await waiting(service, AT_SHOP, "/apis/apps/v1/namespaces/pay/deployments/batch/scale")
        said = {"comment": "x", "by": "eve", "plan_hash": "ab" * 32}
        for word in ("approve", "deny"):
            status, told = await service.ask(
                "POST", f"/api/v1/approvals/1/{word}", json=said, headers={"Authorization": f"Bearer {OPS}"}
            )
            assert (status, "namespace 'pay'" in told["error"]) == (403, True)


async def test_a_token_of_another_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    """Two tenants, two tokens: each is told its own name."""
    access = load_access(
        AccessFiles(written(tmp_path, entry("shop", SHOP, namespaces="[shop]"), entry("pay", PAY, namespaces="[pay]")))
    )
    async with running(access=access) as service:
        for token, name in ((SHOP, "shop"), (PAY, "pay")):
            headers = {"Authorization": f"Bearer {token}"}
            _, told = await service.ask("POST", "/api/v1/pause", json={}, headers=headers)
            assert told["error"] == f"credential {name} may not operate; it may alert"
