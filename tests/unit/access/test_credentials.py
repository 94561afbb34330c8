"""Credentials from files: what is known, what is refused with its place, and that no secret is repeated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from remediator.access.authenticate import bearer
from remediator.access.base import EVERYTHING, May
from remediator.access.credentials import Credentials, load_credentials
from remediator.access.tls import ClientAuth
from remediator.authority import UNLIMITED
from remediator.errors import ConfigError
from tests.unit.access.files import OPS, PAY, SHOP, digest, entry, token_file, written

OLD, NEW = "old-token-0123456789", "new-token-ü-0123456789"
ALL = "['.*']"


def known(
    file: Path | None, *token_files: Path, users: Sequence[str] = (), clients: ClientAuth = ClientAuth.NONE
) -> Credentials:
    return load_credentials(file, token_files, users=users, client_auth=clients)


def name_of(credentials: Credentials, header: str) -> str | None:
    token = bearer(header)
    found = None if token is None else credentials.of_token(token)
    return None if found is None else found.name


# -- plain token files


def test_without_files_nobody_is_asked() -> None:
    assert known(None).is_open
    assert known(None).authority_of("") == UNLIMITED
    assert known(None).authority_of("shop") is None, "a name that nobody has"


def test_plain_tokens_have_full_authority_and_the_names_of_their_files(tmp_path: Path) -> None:
    found = known(None, token_file(tmp_path, "a", OLD + "\n"), token_file(tmp_path, "b", NEW))
    assert name_of(found, f"Bearer {OLD}") == "file:a"
    assert name_of(found, f"bearer {NEW}") == "file:b"
    assert {(one.may, one.authority) for one in found.by_name.values()} == {(EVERYTHING, UNLIMITED)}
    assert not found.is_open
    assert found.authority_of("") is None, "what came before there were tokens"


def test_token_files_of_one_name_have_their_paths(tmp_path: Path) -> None:
    files = [token_file(tmp_path / folder, "token", text) for folder, text in (("a", OLD), ("b", NEW))]
    assert name_of(known(None, *files), f"Bearer {NEW}") == f"file:{files[1]}"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        OLD,
        f"Basic {OLD}",
        f"Bearer {OLD}x",
        f"Bearer{OLD}",
        "Bearer \udcff",
        "Bearer ü",
    ],
)
def test_anything_else_is_nobody(tmp_path: Path, header: str) -> None:
    assert name_of(known(None, token_file(tmp_path, "a", OLD)), header) is None


def test_a_header_that_is_no_text_at_all_is_nobody() -> None:
    assert bearer("Bearer \ud800") is None


@pytest.mark.parametrize("text", ["", "\n", "short", "two words 0123456789"])
def test_a_file_without_a_proper_token_is_refused(tmp_path: Path, text: str) -> None:
    """An empty file must never mean that an empty token is right."""
    with pytest.raises(ConfigError, match="at least 16 characters") as caught:
        known(None, token_file(tmp_path, "a", text))
    assert text.strip() == "" or text not in str(caught.value)


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing: cannot read the token"):
        known(None, tmp_path / "missing")


# -- the credentials file


def test_an_entry_says_what_its_token_may(tmp_path: Path) -> None:
    limits = {"receivers": "['shop/.*']", "namespaces": "[shop, 'shop-.*']", "rules": "[crash-loop]"}
    found = known(written(tmp_path, entry("shop", SHOP, **limits), entry("ops", OPS, may="[operate]")))
    one = found.of_token(SHOP.encode())
    assert one is not None
    assert (one.name, one.may) == ("shop", {May.ALERT})
    assert one.authority.outside(["shop"], "crash-loop") == ""
    assert one.authority.outside(["shop-eu"], "crash-loop") == ""
    assert one.authority.outside(["shop"], "other") == "rule 'other'"
    assert one.authority.outside(["workshop"]) == "namespace 'workshop'", "anchored"
    assert found.authority_of("shop") == one.authority
    assert found.authority_of("ops") is None, "it may not alert"
    assert found.of_token(PAY.encode()) is None


def test_two_tokens_of_an_entry_are_valid_at_once(tmp_path: Path) -> None:
    tokens = f"['{digest(OLD)}', '{digest(NEW).upper()}']"
    found = known(written(tmp_path, entry("shop", token_sha256=tokens, namespaces=ALL)))
    assert [name_of(found, f"Bearer {token}") for token in (OLD, NEW, SHOP)] == ["shop", "shop", None]


def test_every_name_said_out_loud_is_no_limit(tmp_path: Path) -> None:
    found = known(written(tmp_path, entry("shop", SHOP, namespaces=ALL)))
    assert found.authority_of("shop") == UNLIMITED


def test_who_may_operate_may_read_and_who_may_alert_may_not(tmp_path: Path) -> None:
    found = known(written(tmp_path, entry("shop", SHOP, namespaces=ALL), entry("ops", OPS, may="[operate]")))
    assert [found.by_name[name].allows(May.READ) for name in ("shop", "ops")] == [False, True]
    assert [found.by_name[name].allows(May.OPERATE) for name in ("shop", "ops")] == [False, True]
    assert not found.names_readers


def test_plain_tokens_stand_beside_the_entries(tmp_path: Path) -> None:
    found = known(written(tmp_path, entry("shop", SHOP, namespaces=ALL)), token_file(tmp_path, "a", OLD))
    assert [name_of(found, f"Bearer {token}") for token in (SHOP, OLD)] == ["shop", "file:a"]


def test_without_a_file_users_and_clients_have_full_authority(tmp_path: Path) -> None:
    """As with Prometheus; a certificate alone only where nothing else is asked for."""
    assert known(None, users=["ada"]).users["ada"].may == EVERYTHING
    assert known(None, users=["ada"]).authority_of("user:ada") == UNLIMITED
    assert known(None, clients=ClientAuth.REQUIRED).any_client
    assert known(None, clients=ClientAuth.REQUIRED).authority_of("client:am.shop.svc") == UNLIMITED
    assert not known(None, users=["ada"], clients=ClientAuth.REQUIRED).any_client
    assert known(None, clients=ClientAuth.OPTIONAL).is_open, "who shows none is let in"


def test_with_a_file_users_and_clients_may_what_it_says(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        entry("ada", basic_auth_user="ada", may="[operate]"),
        entry("am", client_name="am.shop.svc", namespaces="[shop]"),
    )
    found = known(file, users=["ada", "bob"], clients=ClientAuth.OPTIONAL)
    assert found.users["ada"].may == {May.OPERATE}
    assert found.users["bob"].may == frozenset(), "somebody, who may nothing"
    assert found.clients["am.shop.svc"].name == "am"
    assert not found.any_client
    assert found.authority_of("user:bob") is None


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ("", "error: expected a list, got nothing"),
        (entry("shop"), "2:5: error: give exactly one of token_sha256, basic_auth_user and client_name"),
        (entry("shop", SHOP, client_name="a", namespaces=ALL), "2:5: error: give exactly one of"),
        (entry("shop", SHOP), r"2:5: error: who may alert needs namespaces: a list like \[shop"),
        (entry("shop", SHOP, namespaces="[]"), "error: must not be empty"),
        (entry("shop", SHOP, namespaces="['[a']"), "error: bad regular expression"),
        (entry("shop", SHOP, namespaces="[a, '(']"), "error: bad regular expression"),
        (entry("shop", SHOP, namespaces=str([f".*{n}.{{9}}" for n in range(40)])), "too many for one credential"),
        (entry("shop", SHOP, namespace="[a]"), r"unknown field 'namespace' \(did you mean 'namespaces'\?\)"),
        (entry("Shop", SHOP, namespaces=ALL), "expected lower-case letters"),
        (entry("shop", SHOP, namespaces=ALL, may="[alerts]"), r"unknown may 'alerts' \(did you mean 'alert'\?\)"),
        (entry("shop", SHOP, namespaces=ALL, may="[]"), "must not be empty"),
        (entry("shop", SHOP, may="[read]", namespaces="[shop]"), "do not limit reading"),
        (entry("shop", SHOP, may="[operate]", receivers="[shop]"), "receivers limit what may alert"),
        (entry("shop", SHOP, namespaces=ALL) + entry("shop", PAY, namespaces=ALL), r"3:12: .*first in .*yaml:2"),
        (entry("shop", SHOP, namespaces=ALL) + entry("pay", SHOP, namespaces=ALL), "3:31: error: a second credential"),
        (entry("shop", OPS, namespaces=ALL), r"with this token_sha256 \(first in file:ops\)"),
        (entry("shop", basic_auth_user="bob", namespaces=ALL), "2:35: error: no such user"),
        (entry("shop", client_name="a", namespaces=ALL), "2:31: error: .*verifies no client certificates"),
        ("  - &a {name: x}\n", "anchors are not allowed"),
        ("  - {name: a, name: b}\n", r"duplicate field 'name' \(first given in line 2\)"),
        ("  - [\n", "not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, entries: str, said: str) -> None:
    file = written(tmp_path, entries)
    with pytest.raises(ConfigError) as caught:
        known(file, token_file(tmp_path, "ops", OPS), users=["ada"])
    assert str(caught.value).startswith(f"{file}:")
    assert re.search(said, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        SHOP,
        f"token: {SHOP}\n",
        f"- {SHOP}\n",
        f"credentials:\n  - {{name: shop, token_sha256: {SHOP}, namespaces: ['.*']}}\n",
        f"credentials:\n  - {{name: shop, token_sha256: ['{SHOP}'], namespaces: ['.*']}}\n",
        f"credentials:\n  - {{name: shop, token_sha256: ['{digest(SHOP)}', '{SHOP}', ''], namespaces: ['.*']}}\n",
        f"credentials:\n  - {{name: shop, token_sha256: ['{SHOP}'\n",
        f"credentials:\n  - {{name: shop, name: shop, token_sha256: ['{SHOP}']}}\n",
    ],
)
def test_a_token_written_by_mistake_is_not_repeated(tmp_path: Path, text: str) -> None:
    """Messages end in logs and in the answer to a reload."""
    file = tmp_path / "credentials.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        known(file)
    assert SHOP not in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        known(written(tmp_path, entry("shop", SHOP), entry("pay", PAY, namespaces="['(']")))
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_credentials_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml: cannot be read"):
        known(tmp_path / "missing.yaml")


def test_who_vouches_for_what_alertmanager_lists(tmp_path: Path) -> None:
    """The one that may alert; of several the one that is named; where nobody is asked, nobody."""
    may_alert, reads = entry("shop", SHOP, namespaces="['.*']"), entry("ops", OPS, may="[read]")
    one = load_credentials(written(tmp_path, may_alert, reads), ())
    found = one.only_sender(None)
    assert found is not None
    assert (found.name, one.only_sender("ops"), one.only_sender("nobody")) == ("shop", None, None)
    two = load_credentials(written(tmp_path, may_alert, entry("pay", PAY, namespaces="[pay]")), ())
    named = two.only_sender("pay")
    assert named is not None
    assert (two.only_sender(None), named.name) == (None, "pay")
    anyone = Credentials().only_sender(None)
    assert anyone is not None
    assert (anyone.name, Credentials().only_sender("shop")) == ("", None)
    assert Credentials(any_client=True).only_sender(None) is None
