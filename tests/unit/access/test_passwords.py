"""Passwords are verified apart from the event loop, remembered once they were right, and tell nothing by their time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from unittest import mock

import bcrypt
import pytest

from remediator.access.passwords import MAX_REMEMBERED, MAX_WAITING, Passwords, TooManyPasswords


def hashed(password: bytes, *, cost: int = 4) -> bytes:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost))


USERS = {"ada": hashed(b"right"), "bob": hashed(b"other", cost=5)}


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


@pytest.fixture
def verified() -> Iterator[list[bytes]]:
    """The hashes that bcrypt is asked for."""
    asked: list[bytes] = []
    check = bcrypt.checkpw

    def counted(password: bytes, known: bytes) -> bool:
        asked.append(known)
        return check(password, known)

    with mock.patch.object(bcrypt, "checkpw", counted):
        yield asked


@pytest.mark.parametrize(
    ("user", "password", "is_right"),
    [
        ("ada", b"right", True),
        ("ada", b"wrong", False),
        ("ada", b"", False),
        ("ada", b"right\0", False),
        ("ada", b"r" * 10_000, False),
        ("ada", b"\xff\xfe", False),
        ("bob", b"right", False),
        ("eve", b"right", False),
        ("", b"right", False),
    ],
)
async def test_only_the_users_own_password_is_right(
    passwords: Passwords, user: str, password: bytes, is_right: bool
) -> None:
    for _ in range(2):
        assert await passwords.is_right(user, password, users=USERS) is is_right


@pytest.mark.parametrize("prefix", [b"$2a$", b"$2b$", b"$2y$"])
async def test_hashes_of_htpasswd_are_understood(passwords: Passwords, prefix: bytes) -> None:
    assert await passwords.is_right("ada", b"right", users={"ada": prefix + USERS["ada"][4:]})


async def test_of_a_long_password_the_first_72_bytes_count_as_in_htpasswd(passwords: Passwords) -> None:
    users = {"ada": hashed(b"x" * 72)}
    assert await passwords.is_right("ada", b"x" * 80, users=users)
    assert not await passwords.is_right("ada", b"x" * 71, users=users)


async def test_bcrypt_is_asked_once_for_a_right_password_and_each_time_for_a_wrong_one(
    passwords: Passwords, verified: list[bytes]
) -> None:
    for password in (b"right", b"right", b"wrong", b"wrong", b"right"):
        await passwords.is_right("ada", password, users=USERS)
    assert verified == [USERS["ada"]] * 3


async def test_a_password_that_was_changed_is_asked_anew(passwords: Passwords) -> None:
    assert await passwords.is_right("ada", b"right", users=USERS)
    assert not await passwords.is_right("ada", b"right", users={"ada": hashed(b"new")})
    assert not await passwords.is_right("ada", b"right", users={})


async def test_an_unknown_user_costs_as_much_as_the_dearest_known_one(
    passwords: Passwords, verified: list[bytes]
) -> None:
    assert not await passwords.is_right("eve", b"right", users=USERS)
    [asked] = verified
    assert asked[4:6] == b"05"
    assert asked not in USERS.values()


async def test_what_is_remembered_is_bounded_and_holds_no_password(passwords: Passwords) -> None:
    users = {f"u{number}": USERS["ada"] for number in range(MAX_REMEMBERED + 1)}
    for user in users:
        assert await passwords.is_right(user, b"right", users=users)
    assert len(passwords._right) == MAX_REMEMBERED
    assert b"right" not in repr(passwords._right).encode()


async def test_the_loop_goes_on_and_too_many_are_turned_away(passwords: Passwords) -> None:
    waiting = [asyncio.ensure_future(passwords.is_right("ada", b"%d" % n, users=USERS)) for n in range(MAX_WAITING)]
    await asyncio.sleep(0)
    assert not any(one.done() for one in waiting), "they are in the thread"
    with pytest.raises(TooManyPasswords):
        await passwords.is_right("ada", b"x", users=USERS)
    assert await asyncio.gather(*waiting) == [False] * MAX_WAITING
    assert await passwords.is_right("ada", b"right", users=USERS)
