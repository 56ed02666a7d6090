"""HTTP: one source's pages as raw bytes, politely and completely.

token bucket ─▶ circuit breaker ─▶ retries ─▶ GET ─▶ checked envelope. A page is handed on only when
its body is whole; what cannot be had ends in an error that says why, never in less data.
"""

import random
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import httpx
import pybreaker
from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from ledger.errors import CircuitOpen, SourceRefused, SourceUnavailable
from ledger.runs import now
from loaders.contracts import Entity
from loaders.envelope import PageError, read_envelope
from loaders.sources.base import ApiSource

REFUSALS = {
    400: "the request was refused; check cursor_param and limit_param",
    401: "the token was refused; check api_token",
    403: "the token has no access; check api_token",
    404: "there is nothing at this address; check base_url",
}
MAX_SAME_URL = 3
MAX_EMPTY_PAGES = 100
_buckets: dict[tuple[str, str, int], InMemoryBucket] = {}
"""A source's requests of the last minute: its limit holds over all syncs of this process."""


@dataclass(frozen=True)
class Page:
    """The records of one answer, as sent; `server_time` is the API's clock, else ours."""

    raws: list[bytes]
    url: str
    next: str | None
    received_at: datetime
    server_time: datetime


class _Transient(Exception):
    """A fault that may pass; `retry_after` (seconds) is what the server asks for."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class ApiClient:
    """Client of one source; use as a context manager."""

    def __init__(self, source: ApiSource, storage: pybreaker.CircuitBreakerStorage) -> None:
        self._source = source
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=source.breaker_failures,
            reset_timeout=source.breaker_reset_seconds,
            exclude=[SourceRefused],
            throw_new_error_on_trip=False,
            state_storage=storage,
        )
        self._limiter = Limiter(_bucket(source))
        self._http = httpx.Client(
            timeout=source.timeout_seconds,
            headers={"authorization": f"Bearer {source.api_token}", "accept": "application/json"},
            verify=_trusted(),
        )

    def __enter__(self) -> "ApiClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._limiter.close()

    def pages(self, entity: Entity, since: datetime | None) -> Iterator[Page]:
        """All pages of `entity` changed since `since` (inclusive; None: everything).

        Raises:
            SourceRefused, SourceUnavailable, CircuitOpen: the pages cannot be had in full.
        """
        first = httpx.URL(f"{self._source.base_url.rstrip('/')}/{entity.name}")
        query: dict[str, str] = {self._source.limit_param: str(self._source.page_size)}
        if since is not None:
            since_text = since.astimezone(UTC).isoformat().replace("+00:00", "Z")
            query[self._source.cursor_param] = since_text
        url: httpx.URL | None = first.copy_merge_params(query)
        visits: dict[str, int] = {}
        empty = 0
        while url is not None:
            visits[str(url)] = visits.get(str(url), 0) + 1
            page = self._guarded_fetch(url)
            empty = 0 if page.raws else empty + 1
            if visits[str(url)] > MAX_SAME_URL or empty > MAX_EMPTY_PAGES:
                raise SourceUnavailable(
                    f"{_place(url)}: `next` goes round in circles; the source must be mended"
                )
            yield page
            url = self._next_url(url, page.next)

    def _next_url(self, url: httpx.URL, link: str | None) -> httpx.URL | None:
        if link is None:
            return None
        try:
            following = url.join(link)
        except httpx.InvalidURL as error:
            raise SourceUnavailable(
                f"{_place(url)}: `next` is {link[:80]!r}, no address"
            ) from error
        origins = [(u.scheme, u.host, u.port) for u in (url, following)]
        if origins[0] != origins[1]:
            raise SourceUnavailable(
                f"{_place(url)}: `next` leads to {_origin(following)}, where the token must not "
                "go; set base_url to the address that the API itself uses"
            )
        return following

    def _guarded_fetch(self, url: httpx.URL) -> Page:
        try:
            page: Page = self._breaker.call(self._fetch_with_retries, url)
        except pybreaker.CircuitBreakerError as error:
            opened_at = self._breaker._state_storage.opened_at
            raise CircuitOpen(
                f"{_place(url)}: left alone after {self._source.breaker_failures} failures in a "
                f"row; open since {opened_at:%Y-%m-%d %H:%M:%S} UTC, tried again after "
                f"{self._source.breaker_reset_seconds:.0f} s"
            ) from error
        return page

    def _fetch_with_retries(self, url: httpx.URL) -> Page:
        retrying = Retrying(
            stop=stop_after_attempt(self._source.max_attempts),
            wait=self._wait_seconds,
            retry=retry_if_exception_type(_Transient),
            reraise=True,
        )
        try:
            return retrying(self._fetch, url)
        except _Transient as error:
            raise SourceUnavailable(
                f"{_place(url)}: {error} ({self._source.max_attempts} attempts); what came before "
                "is kept, the next sync asks again"
            ) from error

    def _wait_seconds(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _Transient) and error.retry_after is not None:
            return error.retry_after
        step: float = self._source.retry_initial_seconds * 2 ** (state.attempt_number - 1)
        return random.uniform(0.5, 1.0) * min(step, self._source.retry_max_seconds)

    def _fetch(self, url: httpx.URL) -> Page:
        self._limiter.try_acquire(self._source.name)
        try:
            response = self._http.get(url)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _Transient(f"{type(error).__name__}: {error}") from error
        self._check_status(url, response)
        try:
            envelope = read_envelope(response.content)
        except PageError as error:
            raise _Transient(f"status 200, but {error}") from error
        raws = [bytes(raw) for raw in envelope.data]
        server_time = _http_date(response.headers.get("date")) or now()
        return Page(raws, str(url), envelope.next, now(), server_time)

    def _check_status(self, url: httpx.URL, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        if status == 429 or status >= 500 or status in (408, 425):
            retry_after = _retry_after(response.headers.get("retry-after"))
            if retry_after is not None and retry_after > self._source.max_retry_after_seconds:
                raise SourceUnavailable(
                    f"{_place(url)}: status {status}, asks to wait {retry_after:.0f} s; "
                    "the next sync asks again"
                )
            raise _Transient(f"status {status}", retry_after)
        hint = REFUSALS.get(status, "the API does not speak the expected wire format")
        raise SourceRefused(
            f"source {self._source.name}: {_place(url)}: status {status}: {hint} "
            f"(SOURCES__{self._source.name.upper()}__... or .dlt/)"
        )


@cache
def _trusted() -> ssl.SSLContext:
    """Certificates that servers are checked with: reading them takes longer than a small pull."""
    return httpx.create_ssl_context()


def _bucket(source: ApiSource) -> InMemoryBucket:
    limit = source.requests_per_minute
    key = (source.name, source.base_url, limit)
    return _buckets.setdefault(key, InMemoryBucket([Rate(limit, Duration.MINUTE)]))


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a number of seconds or an HTTP date; None if absent or unreadable."""
    if value is None:
        return None
    if value.isascii() and value.strip().isdigit():
        return float(value)
    date = _http_date(value)
    return None if date is None else max(0.0, (date - now()).total_seconds())


def _http_date(value: Any) -> datetime | None:
    try:
        date: datetime = parsedate_to_datetime(value)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _place(url: httpx.URL) -> str:
    """The address without its query and without credentials."""
    return f"{_origin(url)}{url.path}"


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"
