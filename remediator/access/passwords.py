"""Passwords of the web configuration file's users: bcrypt, in a thread of its own, and remembered once it was right.

bcrypt is slow on purpose (some 70 ms of a core at cost 10): in the event loop it would stop every webhook, at each
request it would cost more than the request. `authenticate.py` asks.
Source: prometheus/exporter-toolkit `web/handler.go` (one at a time, a cache, a false hash for users it does not know).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from remediator.errors import TransientError

MAX_REMEMBERED = 256
MAX_WAITING = 32
"""Verifications that may wait for the thread, some seconds of work. Pushes back: more are answered with 503."""
MAX_LENGTH = 72
"""bcrypt heeds no more bytes, here as in Go and in htpasswd."""
DEFAULT_COST = 10

Right = tuple[str, bytes, bytes]
"""User, the hash that it was right for, and the password under a key that only this process has."""


class TooManyPasswords(TransientError):
    """So many wait that the answer would come too late."""


class Passwords:
    """Owns the thread and the memory of what was right. `close` when no more is asked."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bcrypt")
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[Right, None] = OrderedDict()
        self._waiting = 0

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def is_right(self, user: str, password: bytes, *, users: Mapping[str, bytes]) -> bool:
        """Whether the user is known and has that password. A user who is not known takes as long as one who is.

        Only what was right is remembered; a hash that changes is asked anew. Raises TooManyPasswords.
        """
        known = users.get(user)
        key = (user, known or b"", hmac.digest(self._key, password, hashlib.sha256))
        if known is not None and key in self._right:
            self._right.move_to_end(key)
            return True
        if self._waiting >= MAX_WAITING:
            raise TooManyPasswords("too many passwords wait to be verified")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            is_right = await loop.run_in_executor(self._thread, _matches, password, known or _false_hash(users))
        finally:
            self._waiting -= 1
        if not is_right or known is None:
            return False
        self._right[key] = None
        if len(self._right) > MAX_REMEMBERED:
            self._right.popitem(last=False)
        return True


def _matches(password: bytes, known: bytes) -> bool:
    # Without the cut, bcrypt 5 refuses what is longer at once, which would tell that it did not even look.
    import bcrypt  # with the first password: most have none

    return bcrypt.checkpw(password[:MAX_LENGTH], known)


def _false_hash(users: Mapping[str, bytes]) -> bytes:
    """A hash that nothing has, at the cost of the dearest there is."""
    cost = max((int(known[4:6]) for known in users.values()), default=DEFAULT_COST)
    return b"$2b$%02d$" % cost + b"." * 53
