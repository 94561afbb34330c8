"""The bundle: an archive that can be written in one way only, so that no byte of it can be changed unnoticed.

It is a ZIP that every tool opens, stored without compression, with all that the format leaves open fixed: times,
attributes, order, no comments. `FORMAT.md` says it byte by byte; the exports write it, `verify.py` reads it. Pure but
for the file it is given.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO

MANIFEST = "MANIFEST"
FIRST_LINE = "remediator.io/bundle/v1"
MAX_BYTES = 2**32 - 1
MAX_FILES = 1000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,3}")

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_LOCAL_MAGIC, _CENTRAL_MAGIC, _END_MAGIC = 0x04034B50, 0x02014B50, 0x06054B50
_VERSION, _UTF8, _STORED, _TIME, _DATE = 20, 0x0800, 0, 0, 0x0021
_CHUNK = 1 << 20


class BadBundle(ValueError):
    """Not a bundle, or not written in the one way; the text says where."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive: where its content begins, how long it is, and its sums."""

    name: str
    offset: int
    size: int
    crc: int
    digest: str


class BundleWriter:
    """Writes members one after the other to a file that can seek; `finish` ends it."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.members: list[Member] = []

    def add(self, name: str, chunks: Iterable[bytes]) -> Member:
        """Raises ValueError for a name that the format does not have, or more than 4 GiB."""
        if not NAME.fullmatch(name) or any(one.name == name for one in self.members):
            raise ValueError(f"not a name in a bundle, or there already: {name!r}")
        start = self._out.tell()
        self._out.write(_local(name, 0, 0))
        offset, crc, size, digest = self._out.tell(), 0, 0, sha256()
        for chunk in chunks:
            self._out.write(chunk)
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
            digest.update(chunk)
        if offset + size > MAX_BYTES:
            raise ValueError("a bundle holds at most 4 GiB; export a shorter time")
        self._out.seek(start)
        self._out.write(_local(name, crc, size))
        self._out.seek(offset + size)
        member = Member(name, offset, size, crc, digest.hexdigest())
        self.members.append(member)
        return member

    def finish(self) -> None:
        self._out.write(_directory(self.members, at=self._out.tell()))


def read_members(source: BinaryIO) -> Mapping[str, Member]:
    """Every member by name, in order. Raises BadBundle unless the archive is written in the one way, to its end."""
    members: dict[str, Member] = {}
    at = 0
    while (head := _exactly(source, at, 4)) == struct.pack("<I", _LOCAL_MAGIC):
        member = _member(source, at)
        if member.name in members or len(members) >= MAX_FILES:
            raise BadBundle(f"byte {at}: {member.name} a second time, or too many files")
        members[member.name] = member
        at = member.offset + member.size
    if not members:
        raise BadBundle(f"byte 0: not a bundle: it begins with {head.hex()}")
    directory = _directory(list(members.values()), at=at)
    source.seek(at)
    found = source.read(len(directory) + 1)
    if found != directory:
        place = next((n for n, (a, b) in enumerate(zip(found, directory, strict=False)) if a != b), len(directory))
        wrong = at + min(place, len(found))
        raise BadBundle(f"byte {wrong}: the directory of the archive is not written in the one way")
    return members


def content(source: BinaryIO, member: Member) -> bytes:
    return _exactly(source, member.offset, member.size)


def _member(source: BinaryIO, at: int) -> Member:
    header = _exactly(source, at, _LOCAL.size)
    fields = _LOCAL.unpack(header)
    crc, size, name_length = fields[6], fields[7], fields[9]
    try:
        name = _exactly(source, at + _LOCAL.size, min(name_length, 500)).decode("ascii")
    except UnicodeDecodeError as error:
        raise BadBundle(f"byte {at}: not a name in a bundle") from error
    if not NAME.fullmatch(name) or header + name.encode() != _local(name, crc, size):
        raise BadBundle(f"byte {at}: the header of {name!r} is not written in the one way")
    offset = at + len(header) + len(name)
    digest, found = sha256(), 0
    for chunk in chunks_of(source, offset, size):
        found = zlib.crc32(chunk, found)
        digest.update(chunk)
    if found != crc:
        raise BadBundle(f"{name}: its check sum is wrong")
    return Member(name, offset, size, crc, digest.hexdigest())


def chunks_of(source: BinaryIO, offset: int, size: int) -> Iterator[bytes]:
    """The bytes from an offset on, in pieces. Raises BadBundle when there are fewer."""
    source.seek(offset)
    while size:
        chunk = source.read(min(size, _CHUNK))
        if not chunk:
            raise BadBundle(f"byte {source.tell()}: the archive breaks off")
        yield chunk
        size -= len(chunk)


def _exactly(source: BinaryIO, at: int, size: int) -> bytes:
    source.seek(at)
    found = source.read(size)
    if len(found) != size:
        raise BadBundle(f"byte {at + len(found)}: the archive breaks off")
    return found


def _local(name: str, crc: int, size: int) -> bytes:
    plain = _LOCAL.pack(_LOCAL_MAGIC, _VERSION, _UTF8, _STORED, _TIME, _DATE, crc, size, size, len(name), 0)
    return plain + name.encode("ascii")


def _directory(members: list[Member], *, at: int) -> bytes:
    entries = b"".join(
        _CENTRAL.pack(
            *(_CENTRAL_MAGIC, _VERSION, _VERSION, _UTF8, _STORED, _TIME, _DATE, one.crc, one.size, one.size),
            *(len(one.name), 0, 0, 0, 0, 0, one.offset - _LOCAL.size - len(one.name)),
        )
        + one.name.encode("ascii")
        for one in members
    )
    return entries + _END.pack(_END_MAGIC, 0, 0, len(members), len(members), len(entries), at, 0)


def manifest_text(origin: str, scope: str, members: Iterable[Member]) -> bytes:
    """The text of the manifest's note: what the bundle is, of which log, what was asked for, and each file's sum."""
    lines = [FIRST_LINE, origin, scope, *(f"{one.digest} {one.size} {one.name}" for one in members)]
    return "".join(f"{line}\n" for line in lines).encode("utf-8")
