"""What a process asked of the system, in order, as strace wrote it down: its writes and syncs of one file, and what
came and went over its sockets.

A sync counts from its beginning for what was written before, and at its end for what is done after.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

TRACED = "pwrite64,write,writev,fdatasync,fsync,recvfrom,sendto,sendmsg"
LONGEST = 65536

_LINE = re.compile(
    r"(?P<pid>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<call>\w+)\((?P<fd>\d+)(?:<(?P<path>[^>]*)>)?)"
)
_SYNCS = ("fdatasync", "fsync")
_SENDS = ("sendto", "sendmsg", "write", "writev")
_TOKEN = re.compile(r"token-\d+-end")


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer of 200. `is_synced`: the file was synced between the write of what it promises and the answer."""

    token: str
    is_written: bool
    is_synced: bool


@dataclass(slots=True)
class _Sync:
    begun_at: int
    ended_at: int | None = None


def answers(trace: Iterable[str], *, suffix: str) -> Iterator[Answered]:
    """Every answer of 200 to a request with a token in it, in order. `suffix` is of the file that is synced."""
    written: dict[str, int] = {}
    syncs: list[_Sync] = []
    open_syncs: dict[str, _Sync] = {}
    asked: dict[str, list[str]] = {}
    receiving: dict[str, str] = {}
    for number, line in enumerate(trace):
        found = _LINE.match(line)
        if found is None:
            continue
        pid, call, fd = found["pid"], found["call"] or found["resumed"], found["fd"] or ""
        is_file = (found["path"] or "").endswith(suffix)
        if call in _SYNCS and found["call"] and is_file:
            sync = _Sync(number)
            syncs.append(sync)
            if "<unfinished" in line:
                open_syncs[pid] = sync
            else:
                sync.ended_at = number
        elif call in _SYNCS and pid in open_syncs:
            open_syncs.pop(pid).ended_at = number
        elif is_file:
            for token in _TOKEN.findall(line):
                written.setdefault(token, number)
        elif call == "recvfrom":
            fd = fd or receiving.pop(pid, "")
            if "<unfinished" in line:
                receiving[pid] = fd
            asked.setdefault(fd, []).extend(_TOKEN.findall(line)[:1])
        elif call in _SENDS and "HTTP/1.1 200" in line and asked.get(fd):
            token = asked[fd].pop(0)
            at = written.get(token)
            yield Answered(token, at is not None, at is not None and _is_synced(syncs, at))


def _is_synced(syncs: list[_Sync], since: int) -> bool:
    return any(sync.begun_at > since and sync.ended_at is not None for sync in syncs)
