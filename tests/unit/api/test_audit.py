"""The audit log over HTTP."""

from __future__ import annotations

import base64
from pathlib import Path

from remediator.audit.note import checkpoint, opened
from remediator.audit.tree import leaf_hash, node_hash
from remediator.store.base import Record
from tests.logkeys import KEYS
from tests.unit.api.service import NOW, TOKEN, running

AUTH = {"Authorization": TOKEN}
WHO = {"by": "ann", "comment": "looked at it"}


async def test_says_how_the_log_stands_and_what_is_missing() -> None:
    async with running(keys=KEYS) as service:
        status, body = await service.get("/api/v1/audit")
    assert status == 200
    assert body["signed"]
    assert (body["reason"], body["needs_epoch"], body["anchors"]) == ("audit-unconfirmed", False, [])
    assert checkpoint(opened(body["checkpoint"].encode(), KEYS.known)[0]).size == body["head"]["size"] == 1


async def test_an_anchored_log_has_nothing_against_acting(tmp_path: Path) -> None:
    async with running(keys=KEYS, anchor=tmp_path / "anchor") as service:
        _, body = await service.get("/api/v1/audit")
        assert (body["reason"], body["anchors"]) == ("", [f"file {tmp_path / 'anchor'}"])
        assert (await service.text("/api/v1/audit/checkpoint"))[1].encode() == (tmp_path / "anchor").read_bytes()


async def test_a_person_confirms_what_there_was_at_the_start() -> None:
    async with running(keys=KEYS) as service:
        _, before = await service.get("/api/v1/audit")
        start = {"size": before["at_start"]["size"], "root": before["at_start"]["root"]}
        url = "/api/v1/audit/confirm"
        assert (await service.ask("POST", url, json={**WHO, **start}))[0] == 401
        assert (await service.ask("POST", url, json={**WHO, **start, "size": 9}, headers=AUTH))[0] == 409
        assert (await service.ask("POST", url, json={**start, "by": "ann"}, headers=AUTH))[0] == 400
        assert (await service.ask("POST", url, json={**WHO, **start}, headers=AUTH))[0] == 200
        _, after = await service.get("/api/v1/audit")
    assert after["reason"] == ""


async def test_the_proof_of_a_record_leads_to_the_signed_root() -> None:
    async with running(keys=KEYS) as service:
        await service.store.note([Record("test.noted", {"number": n}) for n in range(6)], at=NOW)
        _, text = await service.text("/api/v1/audit/records/3/proof")
        assert (await service.text("/api/v1/audit/records/99/proof"))[0] == 404
        assert (await service.text("/api/v1/audit/records/x/proof"))[0] == 400
        [record] = [one for one in await service.store.records(after=0, limit=10) if one.seq == 3]
    proof, _, note = text.partition("\n\n")
    head, extra, index, *path = proof.split("\n")
    assert (head, index) == ("c2sp.org/tlog-proof@v1", "index 2")
    entry = base64.b64decode(extra.removeprefix("extra "))
    assert entry == record.canonical
    sibling, left, right = map(base64.b64decode, path)
    root = node_hash(node_hash(left, node_hash(leaf_hash(entry), sibling)), right)
    assert root == checkpoint(opened(note.encode(), KEYS.known)[0]).root


async def test_what_is_taken_back_is_gone_from_the_answers_and_the_tree_stays() -> None:
    async with running(keys=KEYS) as service:
        await service.store.note([Record("test.noted", {"comment": "planted-7c1d", "rule": "x"})], at=NOW)
        root = (await service.store.log_standing()).root
        body = {**WHO, "seq": 2, "fields": ["comment"]}
        assert (await service.ask("POST", "/api/v1/audit/redact", json=body))[0] == 401
        wrong = {**body, "fields": ["rule"]}
        status, answer = await service.ask("POST", "/api/v1/audit/redact", json=wrong, headers=AUTH)
        assert (status, "cannot be taken back" in answer["error"]) == (400, True)
        status, _ = await service.ask("POST", "/api/v1/audit/redact", json=body, headers=AUTH)
        assert status == 200
        status, _ = await service.ask("POST", "/api/v1/audit/redact", json=body, headers=AUTH)
        assert status == 404
        records = await service.store.records(after=1, limit=10)
        assert [record.kind for record in records] == ["test.noted", "audit.redacted"]
        assert records[0].body == {"rule": "x"}
        assert await service.store.log_root_at(2) == root
