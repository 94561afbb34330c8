"""The protocol `Metrics` on prometheus_api_client, the only user of that library.

`app.py` makes one; diagnosis, guards and checks see `prometheus/base.py`. The library is synchronous, so calls run on
four threads of their own. A hook on its session bounds what it reads, and sees what it drops: warnings, result types,
error types.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests.auth import AuthBase
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util.retry import Retry

from remediator.bodies import TooLarge, decoded, whole_of
from remediator.clock import Clock, steady_seconds
from remediator.errors import ConfigError, RemediatorError, cut
from remediator.prometheus.base import AlertingRule, Course, PrometheusUnavailable, Sample, Samples, TooManySamples
from remediator.prometheus.breaker import Breaker
from remediator.prometheus.replies import (
    Refused,
    TimedOut,
    alerting_rules,
    check,
    check_result_type,
    courses,
    samples,
)
from remediator.units import format_duration

READY_PATH = "/-/ready"
CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
MAX_THREADS = 4
MAX_ATTEMPTS = 3
CHUNK_BYTES = 64 * 1024

MAX_BYTES = 4 * 1024 * 1024
"""Of one answer: 20,000 series of 200 bytes, or the rules of a large cluster with a storm's alerts. As objects it takes
ten times as much, and four may be read at once: that fits the memory that our Deployment is given."""

T = TypeVar("T")


class TokenFile(AuthBase):
    """Sends the bearer token as the file holds it at that moment, so that a rotated token needs no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        try:
            token = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"Prometheus: token file {self._path} cannot be read: {type(error).__name__}") from None
        if not token or not token.isprintable():  # the library's own complaint would quote it
            raise Refused(f"Prometheus: token file {self._path} does not hold one token")
        request.headers["Authorization"] = f"Bearer {token}"
        return request


class PrometheusMetrics:
    """One Prometheus, or anything that speaks its query API (Thanos, Mimir, VictoriaMetrics) at `url`.

    `read_seconds` bounds the silence of one answer, and with a margin the whole call: also of one that comes byte by
    byte. `max_bytes` bounds its size.
    Proxies and REQUESTS_CA_BUNDLE of the environment are honoured, as is a matching line of ~/.netrc without a token.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        token_file: Path | None = None,
        ca_file: Path | None = None,
        read_seconds: float = READ_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"not a URL of a Prometheus: {_without_password(url)!r}; write http://host:port")
        if ca_file is not None and not ca_file.is_file():
            raise ConfigError(f"CA file {ca_file} of Prometheus does not exist")
        self._url = url.rstrip("/")
        self._clock = clock
        self._timeout = (CONNECT_SECONDS, read_seconds)
        # A thread cannot be cancelled: the wait for it ends a little after its own limits should have ended it.
        self._limit_seconds = sum(self._timeout) + 2
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="prometheus")
        self._slots = asyncio.Semaphore(MAX_THREADS)
        self._breaker = Breaker(max_timeouts=3, pause=timedelta(seconds=30))
        self._session = requests.Session()
        self._session.verify = str(ca_file) if ca_file else True
        self._session.auth = TokenFile(token_file) if token_file else None
        hook = partial(_check_response, max_bytes=max_bytes, limit_seconds=sum(self._timeout))
        self._session.hooks["response"].append(hook)
        # Its own retries are hidden, slow and without a limit on Retry-After. `read=False`, or a read timeout comes out
        # of urllib3 as "max retries exceeded" and no longer as a timeout. GET, since gateways
        # that check the verb (kube-rbac-proxy) take a POST for a write.
        library: Any = PrometheusConnect  # its annotations do not know a pair of timeouts
        self._library = library(
            url=self._url,
            session=self._session,
            retry=Retry(total=0, read=False),
            timeout=self._timeout,
            method="GET",
        )
        self.nan_series = 0
        """How many series were left out of answers because their value was NaN, since the start."""

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        """An instant query, at `at` or now. Raises BadQuery, TooManySamples, PrometheusUnavailable (also for a partial
        answer)."""
        params = self._limit()
        if at is not None:
            params["time"] = f"{at.timestamp():.3f}"

        def ask() -> Samples:
            return samples(self._library.custom_query(expression, params=params))

        numbers = await self._retried(ask)
        self.nan_series += len(numbers.left_out)
        return numbers

    async def query_range(
        self, expression: str, *, begin: datetime, end: datetime, step: timedelta
    ) -> Sequence[Course]:
        """A range query; `begin` and `end` in whole seconds, both inclusive. Series of native histograms raise
        PrometheusUnavailable, as what is not understood."""

        def ask() -> Sequence[Course]:
            seconds = f"{step.total_seconds():g}"
            return courses(self._library.custom_query_range(expression, begin, end, seconds, params=self._limit()))

        return await self._retried(ask)

    async def alerting_rules(self, alertname: str) -> Sequence[AlertingRule]:
        """The loaded alerting rules of that name; several may exist. Raises PrometheusUnavailable."""
        # Without its alerts, of which a storm has thousands; an older server sends them all the same.
        params = {"type": "alert", "rule_name[]": alertname, "exclude_alerts": "true"}

        def ask() -> Sequence[AlertingRule]:
            return alerting_rules(self._get("/api/v1/rules", params).json(), alertname)

        return await self._retried(ask)

    async def is_ready(self) -> bool:
        """Whether `/-/ready` says so now; where there is none (hosted services), whether a query is answered."""
        try:
            code = await self._once(lambda: self._get(READY_PATH, {}).status_code)
            if code in (404, 405):
                await self.query("vector(1)")
                return True
        except PrometheusUnavailable:
            return False
        return code == 200

    async def close(self) -> None:
        """Does not wait for a thread that a hung server holds."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._library.close()

    def _limit(self) -> dict[str, str]:
        """Prometheus gives up a second before we do, and then says why. Its durations know no fractions."""
        return {"timeout": format_duration(timedelta(seconds=max(self._timeout[1] - 1, 0.1)))}

    def _get(self, path: str, params: dict[str, str]) -> requests.Response:
        return self._session.get(self._url + path, params=params, timeout=self._timeout, allow_redirects=False)

    async def _retried(self, ask: Callable[[], T]) -> T:
        retrying = AsyncRetrying(
            retry=retry_if_exception(_is_worth_another_try),
            wait=wait_random_exponential(multiplier=0.5, max=4),
            stop=stop_after_attempt(MAX_ATTEMPTS),
            sleep=self._clock.sleep,
            reraise=True,
        )
        return await retrying(self._once, ask)

    async def _once(self, ask: Callable[[], T]) -> T:
        next_try_at = self._breaker.next_try_at(self._clock.now())
        if next_try_at is not None:
            raise TimedOut(f"Prometheus not asked: it did not answer in time; next try at {next_try_at:%H:%M:%SZ}")
        async with self._slot():
            return await self._on_thread(ask)

    async def _on_thread(self, ask: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._limit_seconds):
                answer = await asyncio.get_running_loop().run_in_executor(self._threads, _translated, ask)
        except TimeoutError as error:
            self._breaker.timed_out(self._clock.now())
            raise TimedOut(f"Prometheus: no answer within {self._limit_seconds:g} s") from error
        except TimedOut:
            self._breaker.timed_out(self._clock.now())
            raise
        except RemediatorError:
            self._breaker.answered()
            raise
        self._breaker.answered()
        return answer

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """One call per thread. Pushes back: a wait for busy threads is the caller's, not a timeout of Prometheus."""
        try:
            async with asyncio.timeout(self._limit_seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise PrometheusUnavailable(f"Prometheus not asked: {MAX_THREADS} calls are under way") from error
        try:
            yield
        finally:
            self._slots.release()


def _translated(ask: Callable[[], T]) -> T:
    """Run `ask` on its thread and turn both families of library errors into ours."""
    try:
        return ask()
    except requests.Timeout as error:
        raise TimedOut(f"Prometheus: {_reason(error)}") from error
    except requests.RequestException as error:
        raise PrometheusUnavailable(f"Prometheus: {_reason(error)}") from error
    except ReadTimeoutError as error:
        raise TimedOut(f"Prometheus: {_reason(error)}") from error
    except HTTPError as error:  # of urllib3, in the middle of the body
        raise PrometheusUnavailable(f"Prometheus: {_reason(error)}") from error
    except PrometheusApiClientException as error:
        raise PrometheusUnavailable(f"Prometheus: {cut(str(error), max_length=200)}") from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise PrometheusUnavailable(f"Prometheus: answer not understood: {type(error).__name__}") from error


def _check_response(
    response: requests.Response, *_: Any, max_bytes: int, limit_seconds: float, **__: Any
) -> None:
    """The session's hook: raises our error for an answer that is too large or too slow, or that the library would half
    read or drop."""
    path = response.url.partition("?")[0]
    operation = f"Prometheus {path.rpartition('/')[2]}"
    body = _body(operation, response, max_bytes=max_bytes, limit_seconds=limit_seconds)
    if path.endswith(READY_PATH):
        return
    try:
        reply = decoded(body)
    except (ValueError, RecursionError):
        reply = None
    check(operation, response.status_code, reply, body[:800].decode(errors="replace")[:200])
    if path.endswith("/query"):
        check_result_type(operation, reply)
    # Whoever asks the response for it would decode it once more, and in one go.
    response.json = lambda **_: reply  # type: ignore[method-assign]


def _body(operation: str, response: requests.Response, *, max_bytes: int, limit_seconds: float) -> bytes:
    """The body, read before the session reads it without a bound."""
    try:
        body = whole_of(_chunks(operation, response, limit_seconds), max_bytes=max_bytes)
    except TooLarge as error:
        response.close()
        what = f"{operation}: the answer has {error}"
        if operation.endswith((" query", " query_range")):
            raise TooManySamples(f"{what}; aggregate in the query (sum by, topk)") from error
        raise Refused(what) from error
    response._content = body  # as `content` keeps it: a stream can be read once
    return body


def _chunks(operation: str, response: requests.Response, limit_seconds: float) -> Iterator[bytes]:
    """What has arrived, as it arrives (`iter_content` waits until a chunk is full): the timeout of a read is none of
    the whole, so that a server that sends a byte now and then would hold the thread for ever."""
    ends_at = steady_seconds() + limit_seconds - response.elapsed.total_seconds()
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        yield chunk
        if steady_seconds() >= ends_at:
            response.close()
            raise TimedOut(f"{operation}: no end of the answer within {limit_seconds:g} s")


def _is_worth_another_try(error: BaseException) -> bool:
    return isinstance(error, PrometheusUnavailable) and not isinstance(error, (TimedOut, Refused))


def _reason(error: Exception) -> str:
    # urllib3 puts the whole URL, with the query, before what happened.
    cause = error.args[0] if error.args else error
    return cut(_without_password(str(getattr(cause, "reason", None) or error)), max_length=200)


def _without_password(text: str) -> str:
    return re.sub(r"://[^/@\s]*@", "://…@", text)
