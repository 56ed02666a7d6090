"""What a sender hears: each answer of `POST /webhooks/{source}`, and what is stored behind it."""

import asyncio
import gzip
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from starlette.types import ASGIApp
from support.push import (
    SOURCES,
    Sender,
    ask,
    assert_balanced,
    company,
    event,
    feedback,
    served,
    signed,
    signed_by_github,
)

from ledger.balance import balances
from ledger.batches import take_batch
from ledger.dead_letters import LetterFilter, find
from ledger.engine import open_ledger
from ledger.inbox import waiting_count
from ledger.settings import Settings
from operations.service.app import Application, create_app
from operations.service.settings import ServiceSettings

FUZZED = 20_000


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Engine]:
    engine = open_ledger(settings)
    yield engine
    assert_balanced(engine)
    engine.dispose()


@pytest.fixture
def sender(ledger: Engine) -> Iterator[Sender]:
    with served(ledger, max_body_bytes=10_000, queue_limit=1_000) as (opened, _):
        yield opened


def test_an_event_is_durable_then_a_repeat_then_a_conflict(sender: Sender, ledger: Engine) -> None:
    first = sender.send("crm", "company.created", company(), "e1")
    assert (first.status_code, first.json()["status"]) == (202, "accepted")
    batch = take_batch(ledger, 10)
    assert batch is not None
    assert bytes(batch.rows[0]["body"]) == event("company.created", company(), "e1")
    repeat = sender.send("crm", "company.created", company(), "e1")
    assert (repeat.status_code, repeat.json()["duplicate"]) == (200, True)
    conflict = sender.send("crm", "company.created", company(name="Other"), "e1")
    assert conflict.status_code == 409
    (letter,) = find(ledger, LetterFilter())
    assert conflict.json()["dead_letter_id"] == letter["dead_letter_id"]
    assert bytes(letter["payload"]) == event("company.created", company(name="Other"), "e1")


@pytest.mark.parametrize("breach", [{"name": 7}, {"id": "a\0b"}])
def test_a_breach_of_the_contract_is_kept_so_that_the_sender_stops(
    sender: Sender, ledger: Engine, breach: dict[str, Any]
) -> None:
    answer = sender.send("crm", "company.created", company(**breach), "e1")
    assert (answer.status_code, answer.json()["status"]) == (202, "dead letter")
    (letter,) = find(ledger, LetterFilter())
    assert letter["dead_letter_id"] == answer.json()["dead_letter_id"]
    assert letter["error"] == answer.json()["error"]
    assert bytes(letter["payload"]) == event("company.created", company(**breach), "e1")


def test_other_events_are_taken_as_they_are(sender: Sender, ledger: Engine) -> None:
    body = b'{"zen": "1e400 is no number", "n": 1e400, "a": "\\u0000", "a": 2}'
    answer = sender.client.post("/webhooks/hub", content=body, headers=signed_by_github(body, "d1"))
    assert answer.status_code == 202
    batch = take_batch(ledger, 10)
    assert batch is not None
    assert (bytes(batch.rows[0]["body"]), batch.rows[0]["entity"]) == (body, None)


@pytest.mark.parametrize("address", ["/accounts/a%00/exports/h.csv", "/metrics/m?filters=a:%00"])
def test_an_address_that_no_database_can_hold_is_refused(sender: Sender, address: str) -> None:
    answer = sender.client.get(address)
    assert answer.status_code == 400
    assert answer.json() == {"error": "the address holds the character NUL"}


@pytest.mark.parametrize(
    ("status", "source", "body", "headers"),
    [
        (404, "erp", b"{}", {}),
        (404, "nobody", b"{}", {}),
        (401, "crm", b"{}", {"webhook-signature": "v1,AAAA"}),
        (401, "crm", b"{}", {"webhook-timestamp": "0"}),
        (400, "crm", b"nonsense", {}),
        (400, "crm", b'{"id": "\xc3\x28"}', {}),
        (413, "crm", b'"' + b"x" * 10_000 + b'"', {}),
        (415, "crm", b"{}", {"content-type": "text/plain"}),
        (415, "crm", b"{}", {"content-type": ""}),
        (415, "crm", gzip.compress(b"0" * 10_000_000), {"content-encoding": "gzip"}),
    ],
)
def test_what_is_refused_leaves_no_trace(
    sender: Sender,
    ledger: Engine,
    status: int,
    source: str,
    body: bytes,
    headers: dict[str, str],
) -> None:
    answer = sender.post(source, body, "e1", **headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]
    assert (waiting_count(ledger), balances(ledger)) == (0, [])


def test_the_size_limit_holds_without_a_declared_length(sender: Sender) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 1_000

    headers = signed(b"{}", "e1")
    answer = sender.client.post("/webhooks/crm", content=chunks(), headers=headers)
    assert answer.status_code == 413


def test_a_body_that_never_ends_is_given_up(ledger: Engine) -> None:
    async def slow() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    with served(ledger, body_timeout_seconds=0.1) as (_, application):
        headers = [(b"content-type", b"application/json")]
        app = create_app(application)
        assert asyncio.run(ask(app, "/webhooks/crm", headers, slow())) == 408


def test_beyond_the_limit_senders_are_told_to_come_back(ledger: Engine) -> None:
    with served(ledger, queue_limit=3) as (sender, application):
        answers = [
            sender.send("support", "feedback.created", feedback(), f"e{n}") for n in range(5)
        ]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429]
        assert int(answers[-1].headers["retry-after"]) > 0
        application.committer.set_waiting(0)
        assert sender.send("support", "feedback.created", feedback(), "e4").status_code == 202


def test_the_queue_is_counted_when_the_service_starts(ledger: Engine) -> None:
    with served(ledger) as (sender, _):
        sender.send("support", "feedback.created", feedback(), "e1")
    with served(ledger, queue_limit=1) as (sender, _):
        assert sender.send("support", "feedback.created", feedback(), "e2").status_code == 429


def test_when_the_store_is_down_nothing_is_promised(tmp_path: Path) -> None:
    ledger = open_ledger(Settings(tmp_path))
    with served(ledger) as (sender, _):
        with ledger.begin() as connection:
            connection.execute(text("alter table inbox rename to gone"))
        answer = sender.send("support", "feedback.created", feedback(), "e1")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        with ledger.begin() as connection:
            connection.execute(text("alter table gone rename to inbox"))
        assert sender.send("support", "feedback.created", feedback(), "e1").status_code == 202
    ledger.dispose()


def test_requests_at_once_share_commits_and_count_once(ledger: Engine) -> None:
    with served(ledger) as (sender, _):
        answers: list[int] = []

        def send(first: int) -> None:
            for number in range(first, first + 40):
                answer = sender.send("support", "feedback.created", feedback(), f"e{number}")
                answers.append(answer.status_code)

        threads = [threading.Thread(target=send, args=(n * 20,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(set(answers)) == [200, 202]
    assert answers.count(202) == waiting_count(ledger) == 7 * 20 + 40


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "type", "data", "updated_at", "items"]), inner)
    ),
    max_leaves=12,
)
BODIES = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda kind, data, id: json.dumps({"id": id, "type": kind, "data": data}).encode(),
        st.sampled_from(["company.created", "orders.updated", "user.deleted", "x", ""]),
        JSON | st.builds(lambda extra: company() | {"x": extra}, JSON),
        st.text(max_size=5) | st.integers() | st.none(),
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            b"webhook-id",
            b"webhook-timestamp",
            b"webhook-signature",
            b"content-type",
            b"content-length",
            b"content-encoding",
            b"x-hub-signature-256",
            b"x-github-event",
        ]
    ),
    st.binary(max_size=30),
    max_size=1,
)
REQUESTS = st.tuples(st.sampled_from(["crm", "support", "hub"]), BODIES, HEADERS)
A_RUN = 20
MUTATIONS = 5
Request = tuple[str, bytes, dict[bytes, bytes]]


def test_no_bytes_make_it_fail(tmp_path: Path) -> None:
    """20,000 requests, most of them signed: none is answered with 5xx."""
    ledger = open_ledger(Settings(tmp_path))
    statuses: Counter[int] = Counter()

    async def send(app: ASGIApp, number: int, request: Request) -> int:
        source, body, headers = request
        id = f"e{statuses.total()}-{number}"
        own = signed_by_github(body, id) if source == "hub" else signed(body, id)
        sent = {name.encode(): value.encode() for name, value in own.items()} | headers
        status = await ask(app, f"/webhooks/{source}", sent.items(), once(body))
        assert status < 500, request
        return status

    async def send_all(requests: list[Request]) -> None:
        options = ServiceSettings(queue_limit=10**9)
        application = Application(options, ledger, SOURCES, print)
        app = create_app(application)
        await application.committer.start()
        sent = [send(app, number, request) for number, request in enumerate(requests)]
        statuses.update(await asyncio.gather(*sent))
        await application.committer.stop()

    @hypothesis_settings(
        max_examples=FUZZED // A_RUN // MUTATIONS,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.lists(REQUESTS, min_size=A_RUN, max_size=A_RUN), st.integers(0, 255))
    def fuzz(generated: list[Request], noise: int) -> None:
        requests = [
            (source, mutated, headers)
            for source, body, headers in generated
            for mutated in mutations(body, noise)
        ]
        asyncio.run(send_all(requests))

    fuzz()
    assert statuses.total() >= FUZZED
    # The fuzzer got past the door, and into the contracts.
    assert {202, 400, 401, 415} <= set(statuses), statuses
    assert_balanced(ledger)
    ledger.dispose()


def mutations(body: bytes, noise: int) -> list[bytes]:
    """The body; cut off, twice, with a byte replaced, and in deep brackets."""
    place = noise % (len(body) or 1)
    replaced = body[:place] + bytes([noise]) + body[place + 1 :]
    return [body, body[:place], body * 2, replaced, b"[" * noise * 9 + body + b"]" * noise * 9]


async def once(body: bytes) -> AsyncIterator[bytes]:
    yield body
