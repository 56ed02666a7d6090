"""The client: pages come whole or not at all, politely, and the token stays where it belongs."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import tenacity
from sqlalchemy import Engine, select

from ledger.breakers import LedgerBreakerStorage
from ledger.engine import open_ledger
from ledger.errors import CircuitOpen, SourceError, SourceRefused, SourceUnavailable
from ledger.runs import now
from ledger.settings import Settings
from ledger.tables import circuit_breakers
from loaders.client import ApiClient, _bucket, _retry_after
from loaders.contracts import entities_of
from loaders.sources.base import ApiSource

TOKEN = "hunter2"
BASE = "https://api.example:8443/v1"
(ACCOUNTS, COMPANIES, _) = entities_of("crm")
EMPTY = httpx.Response(200, json={"data": [], "next": None})
Answer = httpx.Response | Exception
Ask = Callable[..., list[Any]]


@pytest.fixture
def ledger(tmp_path: Path) -> Engine:
    return open_ledger(Settings(tmp_path))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited, without waiting them."""
    waited: list[float] = []
    monkeypatch.setattr(tenacity.nap.time, "sleep", waited.append)
    return waited


class Api:
    """Answers in turn; the last answer is given again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture
def ask(ledger: Engine, waits: list[float]) -> Ask:
    def pages(api: Api, since: datetime | None = None, **values: Any) -> list[Any]:
        source = ApiSource(
            "crm", entities_of("crm"), BASE, TOKEN, **({"requests_per_minute": 10**6} | values)
        )
        with ApiClient(source, LedgerBreakerStorage(ledger, "crm")) as client:
            headers = client._http.headers
            client._http = httpx.Client(transport=httpx.MockTransport(api), headers=headers)
            return list(client.pages(ACCOUNTS, since))

    return pages


def page(*records: Any, link: str | None = None) -> httpx.Response:
    return httpx.Response(200, json={"data": records, "next": link})


def test_the_first_request(ask: Ask) -> None:
    api = Api(EMPTY)
    ask(api, datetime.fromisoformat("2026-01-01T02:00:00.5+02:00"), page_size=7)
    (request,) = api.requests
    assert str(request.url).startswith(f"{BASE}/accounts?")
    assert dict(request.url.params) == {
        "limit": "7",
        "modified_since": "2026-01-01T00:00:00.500000Z",
    }
    assert request.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "link", ["/v1/accounts?page=2", "?page=2", "accounts?page=2", f"{BASE}/accounts?page=2"]
)
def test_next_links(ask: Ask, link: str) -> None:
    api = Api(page({"id": 1}, link=link), page({"id": 2}))
    assert [p.raws for p in ask(api)] == [[b'{"id":1}'], [b'{"id":2}']]
    assert str(api.requests[1].url) == f"{BASE}/accounts?page=2"


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1/accounts",
        "//evil.example/v1/accounts",
        "http://api.example:8443/v1/accounts",
        "https://api.example/v1/accounts",
        "mailto:me@api.example",
    ],
)
def test_the_token_does_not_follow_a_link_elsewhere(ask: Ask, link: str) -> None:
    api = Api(page(link=link), EMPTY)
    with pytest.raises(SourceUnavailable, match="token must not go; set base_url"):
        ask(api)
    assert len(api.requests) == 1


def test_the_whole_origin_of_a_link_elsewhere_is_named_and_no_more(ask: Ask) -> None:
    api = Api(page(link="http://u:pw@api.example:8443/v1/accounts?token=secret"), EMPTY)
    with pytest.raises(SourceUnavailable, match="leads to") as caught:
        ask(api)
    assert "leads to http://api.example:8443, where" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("link", ["https://[::1", "https://api.example:99999999/", "http://a\tb"])
def test_a_link_that_is_no_address(ask: Ask, link: str) -> None:
    with pytest.raises(SourceUnavailable, match="`next`"):
        ask(Api(page(link=link), EMPTY))


def test_links_that_go_round(ask: Ask) -> None:
    with pytest.raises(SourceUnavailable, match="goes round in circles"):
        ask(Api(page({"id": 1}, link="?page=2")))
    api = Api(*(page({"id": n}, link=f"?page={n % 3}") for n in range(50)))
    with pytest.raises(SourceUnavailable, match="goes round in circles"):
        ask(api)


def test_empty_pages_without_end(ask: Ask) -> None:
    api = Api(*(page(link=f"?page={n}") for n in range(500)))
    with pytest.raises(SourceUnavailable, match="goes round in circles"):
        ask(api)
    assert len(api.requests) < 200


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302, 405, 410, 418])
def test_a_refusal_is_told_at_once(ask: Ask, waits: list[float], status: int) -> None:
    api = Api(httpx.Response(status, headers={"location": "https://evil.example"}))
    with pytest.raises(SourceRefused, match=rf"source crm: {BASE}/accounts: status {status}: "):
        ask(api)
    assert len(api.requests) == 1
    assert waits == []


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_retried(ask: Ask, waits: list[float], status: int) -> None:
    api = Api(httpx.Response(status), httpx.Response(status), page({"id": 1}))
    assert len(ask(api)) == 1
    assert len(waits) == 2
    assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1.0


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b'{"data": [{"id": 1}'),
        httpx.Response(200, content=b"<html>We will be back</html>"),
        httpx.Response(200, content=b""),
        httpx.ReadError("reset"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("peer closed"),
        httpx.Response(503),
    ],
)
def test_a_lasting_fault_ends_after_the_attempts(ask: Ask, answer: Answer) -> None:
    api = Api(answer)
    with pytest.raises(SourceUnavailable, match=r"accounts: .+ \(4 attempts\); what came before"):
        ask(api, max_attempts=4)
    assert len(api.requests) == 4
    assert len(ask(Api(answer, page({"id": 1})))) == 1


@pytest.mark.parametrize("header", ["3", " 3 ", "0"])
def test_retry_after_is_waited(ask: Ask, waits: list[float], header: str) -> None:
    ask(Api(httpx.Response(429, headers={"retry-after": header}), EMPTY))
    assert waits == [float(header)]


def test_retry_after_may_be_a_date() -> None:
    soon = format_datetime(now() + timedelta(seconds=20), usegmt=True)
    past = format_datetime(now() - timedelta(days=1), usegmt=True)
    assert 18 < (_retry_after(soon) or 0) <= 20
    assert _retry_after(past) == 0


@pytest.mark.parametrize(
    "header", ["soon", "-1", "1.5", "\u00b2", "", "Fri, 31 Dec 9999 23:59:59 -0500", "99:99"]
)
def test_retry_after_that_says_nothing(ask: Ask, waits: list[float], header: str) -> None:
    refused = httpx.Response(429, headers=[(b"retry-after", header.encode("latin-1"))])
    assert ask(Api(refused, EMPTY))
    assert len(waits) == 1
    assert waits[0] < 1


@pytest.mark.parametrize("header", ["301", "9" * 400])
def test_retry_after_that_takes_too_long(ask: Ask, waits: list[float], header: str) -> None:
    api = Api(httpx.Response(503, headers={"retry-after": header}))
    with pytest.raises(SourceUnavailable, match=r"status 503, asks to wait .* s; the next sync"):
        ask(api)
    assert len(api.requests) == 1
    assert waits == []


def test_the_clock_of_the_api_is_read(ask: Ask) -> None:
    dated = page({"id": 1})
    dated.headers["date"] = "Thu, 01 Jan 2026 00:00:00 GMT"
    assert ask(Api(dated))[0].server_time == datetime(2026, 1, 1, tzinfo=UTC)
    dated.headers["date"] = "Fri, 31 Dec 9999 23:59:59 -0500"
    assert now() - ask(Api(dated))[0].server_time < timedelta(minutes=1)


def test_the_token_is_in_no_error_and_no_log(
    ask: Ask, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    answers: list[Answer] = [
        *(httpx.Response(status) for status in (400, 401, 404, 429, 503)),
        httpx.Response(200, content=b"<html>"),
        httpx.ConnectError("refused"),
        page(link="https://evil.example/"),
    ]
    for answer in answers:
        with pytest.raises(SourceError) as caught:
            ask(Api(answer), max_attempts=2, breaker_failures=100)
        error: BaseException | None = caught.value
        while error is not None:
            assert TOKEN not in f"{error} {error!r}"
            error = error.__cause__ or error.__context__
    printed = capfd.readouterr()
    assert TOKEN not in caplog.text + printed.out + printed.err


@pytest.fixture
def breaker(ledger: Engine) -> Iterator[Callable[[], Any]]:
    def read() -> Any:
        with ledger.connect() as connection:
            return connection.execute(select(circuit_breakers)).mappings().one()

    return read


def test_the_breaker_opens_is_seen_and_closes(
    ask: Ask, ledger: Engine, breaker: Callable[[], Any]
) -> None:
    down = {"max_attempts": 1, "breaker_failures": 3, "breaker_reset_seconds": 60}
    for _ in range(3):
        with pytest.raises(SourceUnavailable, match="status 503"):
            ask(Api(httpx.Response(503)), **down)
    row = breaker()
    assert (row["state"], row["failure_count"]) == ("open", 3)
    assert now() - row["opened_at"] < timedelta(minutes=1)

    api = Api(EMPTY)
    with pytest.raises(CircuitOpen, match=r"left alone after 3 failures .* tried again after 60 s"):
        ask(api, **down)
    assert not api.requests

    age(ledger)
    with pytest.raises(SourceUnavailable, match="status 503"):
        ask(Api(httpx.Response(503)), **down)
    assert breaker()["state"] == "open"
    with pytest.raises(CircuitOpen):
        ask(Api(EMPTY), **down)

    age(ledger)
    assert ask(Api(EMPTY), **down)
    assert (breaker()["state"], breaker()["failure_count"]) == ("closed", 0)


def age(ledger: Engine) -> None:
    """The breaker has been open for an hour."""
    with ledger.begin() as connection:
        connection.execute(circuit_breakers.update().values(opened_at=now() - timedelta(hours=1)))


def test_a_refusal_does_not_open_the_breaker(ask: Ask, breaker: Callable[[], Any]) -> None:
    for _ in range(5):
        with pytest.raises(SourceRefused):
            ask(Api(httpx.Response(404)), breaker_failures=2)
    assert breaker()["state"] == "closed"


def test_requests_are_spaced_over_all_syncs_of_a_source(ledger: Engine) -> None:
    def allowed(name: str, base_url: str, tries: int) -> int:
        source = ApiSource(name, entities_of("crm"), base_url, TOKEN, requests_per_minute=3)
        with ApiClient(source, LedgerBreakerStorage(ledger, name)) as client:
            return sum(client._limiter.try_acquire(name, blocking=False) for _ in range(tries))

    assert [allowed("crm", "https://spaced.example", 2) for _ in range(3)] == [2, 1, 0]
    assert allowed("support", "https://spaced.example", 4) == 3, "each source has its own"
    assert allowed("crm", "https://elsewhere.example", 4) == 3


def test_what_was_asked_a_minute_ago_counts_no_more(
    ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ApiSource("crm", entities_of("crm"), "https://old.example", TOKEN)
    bucket = _bucket(source)
    later = bucket.now() + 61_000
    for _ in range(2):
        with ApiClient(source, LedgerBreakerStorage(ledger, "crm")) as client:
            assert all(client._limiter.try_acquire("crm", blocking=False) for _ in range(600))
            assert not client._limiter.try_acquire("crm", blocking=False)
        monkeypatch.setattr(bucket, "now", lambda: later)
