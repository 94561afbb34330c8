"""Pages of other sites change nothing in the service as it is wired: routes x Origin x Fetch Metadata x content types.

What a foreign page can make the browser of somebody send is known by what the page cannot forge: `Sec-Fetch-Site`, and
`Origin` where the browser is older than that.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from remediator.api import entrance
from tests.hostile.watched import JSON, ODD_SITES, OURS, SITES, THEIRS, WAYS_IN, Said, watched

OUR_SITES = ("same-origin", "none")
FORMS: Sequence[str | None] = (
    "text/plain",
    "text/plain; application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    None,
)
"""All that a page can send without being asked first whether it may."""

EVERY_SAID: Sequence[Said] = (
    *itertools.product((*OURS, *THEIRS), SITES),
    *itertools.product(("absent", "same", "another host"), ODD_SITES),
)


def is_foreign(said: Said) -> bool:
    origin, site = said
    return origin in THEIRS if site == "absent" else site not in OUR_SITES


FOREIGN = [said for said in EVERY_SAID if is_foreign(said)]
OWN = [said for said in EVERY_SAID if not is_foreign(said)]
OURSELVES: Sequence[Said] = (
    ("absent", "absent"),
    ("same", "absent"),
    ("same", "same-origin"),
    ("absent", "none"),
    ("null", "same-origin"),
)
"""Programs, and browsers on our own pages; one that keeps its referrer to itself says `null`."""


async def test_whatever_a_foreign_page_has_sent_changes_nothing(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """As JSON, which would be heeded, and as one of what forms can send; with `--long` as all of that."""
    async with watched(tmp_path) as one:
        before, count = await one.content(), 0
        for number, (said, (path, method), way) in enumerate(itertools.product(FOREIGN, one.changing, WAYS_IN)):
            forms = FORMS if request.config.getoption("--long") else [FORMS[number % len(FORMS)]]
            for content_type in (JSON, *forms):
                case = (path, method, said, content_type, way)
                assert await one.send(path, method, said, content_type, WAYS_IN[way]) == 403, case
                count += 1
            assert not await one.is_changed(), (path, method, said, way)
        assert count >= 2 * 2 * len(FOREIGN) * len(one.changing)
        assert await one.content() == before


async def test_what_a_form_can_send_is_not_heeded_wherever_it_is_from(tmp_path: Path) -> None:
    """A browser that says neither where it is nor where it was is not told from a program: the type is left. A reload
    has no body and is of no type."""
    async with watched(tmp_path) as one:
        before = await one.content()
        typed = [route for route in one.changing if not route[0].startswith("/-/")]
        for (path, method), said, content_type, way in itertools.product(typed, OURSELVES, FORMS, WAYS_IN):
            case = (path, method, said, content_type, way)
            assert await one.send(path, method, said, content_type, WAYS_IN[way]) == 415, case
            assert not await one.is_changed(), case
        assert await one.content() == before


@pytest.mark.parametrize("way", WAYS_IN)
async def test_all_that_is_ours_is_heard_at_each_route(
    tmp_path: Path, way: str, request: pytest.FixtureRequest
) -> None:
    """The other half: the same requests change something, every one of them. Afterwards the second approval is too
    late, and so is the second word on the log."""
    async with watched(tmp_path) as one:
        for said in OWN if request.config.getoption("--long") else OURSELVES:
            for path, method in one.changing:
                status, is_changed = await one.send(path, method, said, JSON, WAYS_IN[way]), await one.is_changed()
                assert status == 200 or (status in (404, 409) and said != OURSELVES[0]), (path, method, said)
                assert is_changed == (status == 200), (path, method, said)


async def test_without_the_question_the_same_matrix_changes_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: at every route, with a password and with a token."""
    monkeypatch.setattr(entrance, "is_of_another_site", lambda _: False)
    said: Said = ("another host", "cross-site")
    for way in WAYS_IN:
        folder = tmp_path / way
        folder.mkdir()
        async with watched(folder) as one:
            before = await one.content()
            changed = []
            for path, method in one.changing:
                await one.send(path, method, said, JSON, WAYS_IN[way])
                changed += [(path, method)] if await one.is_changed() else []
            assert changed == one.changing
            assert await one.content() != before


async def test_where_we_encrypt_a_page_that_is_not_encrypted_is_another(tmp_path: Path) -> None:
    """Whoever sits on the line writes it."""
    async with watched(tmp_path, tls=True) as one:
        for path, method in one.changing:
            assert await one.send(path, method, ("same", "absent"), JSON, WAYS_IN["a password"]) == 403, path
            assert not await one.is_changed()
        for path, method in one.changing:
            said = ("same, encrypted by a proxy", "absent")
            assert await one.send(path, method, said, JSON, WAYS_IN["a password"]) == 200, path
            assert await one.is_changed()
