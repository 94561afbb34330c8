"""Whether the log is good enough to act on, and that it is known outside how far it came.

`app.py` makes one. At the start it compares the log with its anchors; before every write to the cluster it says why
not, or makes sure that the anchors know the intent: an action that a log turned back would hide is not begun. Between
times it makes known what the store keeps, at least once a minute.

Replicas may hold different keys for a while, as when a key is rotated one by one. Whoever does not know the other's key
does nothing to the cluster meanwhile, and says so: an anchor never goes from a checkpoint whose author is known to one
whose is not, and one that another signed is not overwritten by who cannot tell how far it is.

Without an anchor nobody can tell whether an older state of the database was put in its place, so that a person must
say once for each start that the log is the one it should be.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable, Sequence

import structlog

from remediator.anchor.base import Anchor, AnchorUnavailable, Doubt, LogOwner
from remediator.audit.note import BadNote, Checkpoint, VerifyingKey, checkpoint, opened
from remediator.clock import Clock, rfc3339
from remediator.errors import PermanentError, RemediatorError, cut
from remediator.reasons import Reason
from remediator.store.base import Record
from remediator.store.log_base import LogStanding

POLL_SECONDS = 1.0
ANCHOR_EVERY_SECONDS = 60.0
LOOK_OVER_EVERY_SECONDS = 24 * 3600.0
TILES_AT_ONCE = 8
"""2,048 records: some ten milliseconds of the store's thread, once a second until all have been looked at."""

OTHER_KEY = (
    "the newest checkpoint is signed by no key that is known here: another replica has another one (audit_key_file), "
    "or none; give all of them the new key, and the old one as audit_previous_key_file"
)

_log = structlog.get_logger(__name__)


class NotConfirmed(PermanentError):
    """What a person confirmed is not what there is, or nothing waits for a word."""


class LogKeeper:
    """Owns what is known of the anchors. `say` prints one line to where logs are collected."""

    def __init__(
        self,
        owner: LogOwner,
        anchors: Sequence[Anchor],
        *,
        trusted: Sequence[VerifyingKey],
        clock: Clock,
        say: Callable[[str], None],
        seen: Callable[[LogStanding, int, bool], None],
    ) -> None:
        """`trusted` are the keys that may have signed an anchor; `seen` is told the log, the anchored size, and whether
        all is sound."""
        self._owner = owner
        self._anchors = tuple(anchors)
        self._trusted = tuple(trusted)
        self._clock = clock
        self._say = say
        self._seen = seen
        self._begun: LogStanding | None = None
        self._doubt: Doubt | None = None
        self._is_compared = False
        self._anchored = 0
        self._given_up: frozenset[bytes] = frozenset()
        self._told = 0
        self._writing = asyncio.Lock()
        self._tile: int | None = 0

    async def begin(self) -> None:
        """Look at the log and its anchors as they are before anything is decided, or received.

        A new log is made known here: were it only once something has come, a crash in between would leave a log that
        no anchor knows, and a person would have to say that it is the one it should be.
        """
        self._begun = await self._owner.log_standing()
        self._told = max(0, self._begun.size - 1)
        if self._begun.has_key:  # without one nothing is done anyway
            await self._compare()
            with contextlib.suppress(AnchorUnavailable):  # `run` says so, and tries again
                await self._anchor_if_sound()

    async def why_not(self) -> Doubt | None:
        """Why nothing may be written now, None: the log is sound, and the anchors know all that it holds."""
        standing = await self._owner.log_standing()
        if not standing.has_key:
            return Doubt(Reason.AUDIT_UNSIGNED, "the audit log is not signed: there is no key (audit_key_file)")
        if standing.problem:
            return Doubt(Reason.AUDIT_BROKEN, f"the audit log is not signed: {standing.problem}", needs_epoch=True)
        if not self._is_trusted(standing.note):
            return Doubt(Reason.AUDIT_UNSIGNED, OTHER_KEY)
        if not self._is_compared:
            await self._compare()
        if self._doubt is not None:
            return self._doubt
        try:
            await self._anchor(standing)
        except AnchorUnavailable as error:
            return Doubt(Reason.AUDIT_NOT_ANCHORED, cut(str(error)))
        return None

    async def confirm(self, *, size: int, root: str, by: str, comment: str) -> str:
        """A person says that the log is the one it should be, or that it goes on as a new one. What that led to.

        `size` and `root` (base64) are those of the start, which `standing_at_start` shows. Raises NotConfirmed.
        """
        doubt = await self.why_not()
        begun = self._begun
        if doubt is None or begun is None or doubt.reason is Reason.AUDIT_UNSIGNED:
            raise NotConfirmed("nothing waits for a word" if doubt is None else doubt.detail)
        if doubt.reason is Reason.AUDIT_NOT_ANCHORED:
            raise NotConfirmed(f"the anchor must be written, a word does not help: {doubt.detail}")
        if (size, root) != (begun.size, base64.b64encode(begun.root).decode()):
            raise NotConfirmed("the log had another size or root at this start; look at it again")
        if doubt.needs_epoch:
            await self._owner.begin_epoch(at=self._clock.now(), by=by, comment=comment)
        else:
            body = {"by": by, "comment": comment, "size": size, "root": root, "doubt": doubt.reason.value}
            await self._owner.note([Record("audit.confirmed", body)], at=self._clock.now())
        self._doubt, self._is_compared = None, True
        self._anchored = 0
        return "a new epoch was begun" if doubt.needs_epoch else "the log was confirmed"

    @property
    def anchor_names(self) -> Sequence[str]:
        return [anchor.name for anchor in self._anchors]

    @property
    def standing_at_start(self) -> LogStanding | None:
        return self._begun

    async def run(self) -> None:
        """Make known what is kept, until cancelled. Faults are said, and tried again."""
        waited = ANCHOR_EVERY_SECONDS
        looked = 0.0
        while True:
            try:
                await self._look_over()
                await self._tell_kept()
                if waited >= ANCHOR_EVERY_SECONDS:
                    waited = 0.0
                    await self._anchor_if_sound()
            except RemediatorError as error:
                _log.warning("checkpoint not made known", error=cut(str(error)))
            await asyncio.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
            looked += POLL_SECONDS
            if looked >= LOOK_OVER_EVERY_SECONDS:
                self._tile, looked = 0, 0.0

    async def _look_over(self) -> None:
        """Every record against the tree, at the start and once a day: the head does not show an old one changed."""
        if self._tile is None:
            return
        self._tile, wrong = await self._owner.log_look_over(self._tile, TILES_AT_ONCE)
        if wrong:
            self._doubt = Doubt(Reason.AUDIT_BROKEN, wrong, needs_epoch=True)
            _log.error("the audit log was changed: nothing will be done to the cluster", detail=wrong)

    async def _tell_kept(self) -> None:
        for size, at, note in await self._owner.checkpoints(after=self._told):
            self._say(json.dumps({"checkpoint": size, "at": rfc3339(at), "note": note.decode()}, ensure_ascii=False))
            self._told = size

    async def _anchor_if_sound(self) -> None:
        standing = await self._owner.log_standing()
        is_sound = standing.is_signed and self._doubt is None and self._is_compared and self._is_trusted(standing.note)
        if is_sound:
            await self._anchor(standing)
        self._seen(standing, self._anchored, is_sound)

    async def _anchor(self, standing: LogStanding) -> None:
        """All anchors hold this checkpoint or a later one. Raises AnchorUnavailable."""
        if not self._anchors:
            return
        async with self._writing:
            if standing.size <= self._anchored:
                return
            for anchor in self._anchors:
                await anchor.write(standing.note, unless=lambda held: self._is_further(held, standing))
            self._anchored = standing.size
        self._seen(standing, self._anchored, True)

    def _is_further(self, held: bytes, standing: LogStanding) -> bool:
        """Whether an anchor knows this of the log or more already: another replica was faster. Raises AnchorUnavailable
        where that cannot be told, unless a person has said at this start that what is held does not count."""
        try:
            said = checkpoint(opened(held, self._trusted)[0])
        except BadNote as error:
            if held in self._given_up:
                return False
            raise AnchorUnavailable(f"what is held may be newer, and nobody here can tell: {OTHER_KEY}") from error
        return said.origin == standing.origin and said.size >= standing.size

    def _is_trusted(self, note: bytes) -> bool:
        try:
            opened(note, self._trusted)
        except BadNote:
            return False
        return True

    async def _compare(self) -> None:
        assert self._begun is not None
        try:
            found = [(anchor.name, await anchor.read()) for anchor in self._anchors]
            # Looked at after the anchors, which other replicas move on meanwhile: what these say is in it by now.
            self._begun = await self._owner.log_standing()
        except AnchorUnavailable as error:
            self._doubt = Doubt(Reason.AUDIT_UNCONFIRMED, f"an anchor cannot be read: {cut(str(error))}")
            return
        self._doubt = await self._doubt_of(found)
        # While it is so there is a doubt, and nothing is anchored before a person has answered it.
        self._given_up = frozenset(note for _, note in found if note is not None and not self._is_trusted(note))
        self._is_compared = True
        if self._doubt is not None:
            reason, detail = self._doubt.reason.value, self._doubt.detail
            _log.warning("nothing will be done to the cluster", reason=reason, detail=detail)

    async def _doubt_of(self, found: Sequence[tuple[str, bytes | None]]) -> Doubt | None:
        assert self._begun is not None
        if not found:
            detail = "there is no anchor outside the database: nobody can tell that nothing is missing at its end"
            return Doubt(Reason.AUDIT_UNCONFIRMED, detail)
        for name, note in found:
            if note is None:
                if self._begun.size > len(FIRST_RECORDS):
                    detail = f"{name} knows nothing of the log, which has {self._begun.size} records"
                    return Doubt(Reason.AUDIT_UNCONFIRMED, detail)
                continue
            try:
                said = checkpoint(opened(note, self._trusted)[0])
            except BadNote as error:
                return Doubt(Reason.AUDIT_UNCONFIRMED, f"{name} holds no checkpoint that is trusted here: {error}")
            if (doubt := await self._contradiction(name, said)) is not None:
                return doubt
        return None

    async def _contradiction(self, name: str, said: Checkpoint) -> Doubt | None:
        begun = self._begun
        assert begun is not None
        if said.origin != begun.origin:
            detail = f"{name} knows another log, {said.origin}; this is {begun.origin}"
            return Doubt(Reason.AUDIT_UNCONFIRMED, detail, needs_epoch=True)
        if said.size > begun.size:
            detail = f"{name} saw {said.size} records, and there are {begun.size}: an older database was put in place"
            return Doubt(Reason.AUDIT_UNCONFIRMED, detail, needs_epoch=True)
        if await self._owner.log_root_at(said.size) != said.root:
            detail = f"the first {said.size} records are not those that {name} saw"
            return Doubt(Reason.AUDIT_BROKEN, detail, needs_epoch=True)
        return None


FIRST_RECORDS = ("audit.began",)
"""What a new log holds before anything happened: an anchor need not know that."""
