"""The inbox: what becomes of an event on arrival, and the law that counts it, on both engines."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from support.push import assert_balanced

from ledger import batches, inbox
from ledger.balance import balances
from ledger.dead_letters import MAX_REPLAYS, Letter, LetterFilter, discard, find, register
from ledger.engine import open_ledger
from ledger.inbox import Event, Outcome
from ledger.replay import Replay, replay
from ledger.runs import now
from ledger.settings import Settings
from ledger.tables import inbox as inbox_table

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ACCEPTED, DUPLICATE, CONFLICT, DEAD = Outcome


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Engine]:
    engine = open_ledger(settings)
    yield engine
    assert_balanced(engine)
    engine.dispose()


def make(id: str, content: str = "x", **fields: Any) -> Event:
    values = {
        "way_in": "webhook",
        "source": "crm",
        "event_id": id,
        "event_type": "company.created",
        "body": content.encode(),
        "body_hash": content,
        "received_at": NOW,
        "entity": "companies",
    }
    return Event(**values | fields)


def take(ledger: Engine, *events: Event) -> list[Outcome]:
    with ledger.begin() as connection:
        return inbox.accept(connection, events)


def figures(ledger: Engine, way_in: str = "webhook") -> tuple[int, ...]:
    """received, landed, duplicate, dead, waiting"""
    (found,) = (balance for balance in balances(ledger) if balance.way_in == way_in)
    return (found.received, found.landed, found.duplicate, found.dead, found.waiting)


def test_the_same_event_counts_once(ledger: Engine) -> None:
    assert take(ledger, make("1"), make("1")) == [ACCEPTED, DUPLICATE]
    assert take(ledger, make("1"), make("2")) == [DUPLICATE, ACCEPTED]
    assert take(ledger, make("1", source="support")) == [ACCEPTED]
    assert [b.received for b in balances(ledger)] == [4, 1]


def test_a_large_group_is_taken_at_once(ledger: Engine) -> None:
    group = [make(str(n), entity=None, position=None) for n in range(500)]
    assert take(ledger, *group[250:]) == [ACCEPTED] * 250
    assert take(ledger, *group) == [ACCEPTED] * 250 + [DUPLICATE] * 250
    batch = batches.take_batch(ledger, 1_000)
    assert batch is not None
    assert [row["event_id"] for row in batch.rows] == [
        str(n) for n in (*range(250, 500), *range(250))
    ]
    assert {row["received_at"] for row in batch.rows} == {NOW}


def test_the_same_id_with_other_bytes_is_a_conflict_and_kept(ledger: Engine) -> None:
    assert take(ledger, make("1"), make("1", "y")) == [ACCEPTED, CONFLICT]
    assert take(ledger, make("1", "y")) == [CONFLICT]
    (letter,) = find(ledger, LetterFilter())
    assert (bytes(letter["payload"]), letter["event_id"]) == (b"y", "1")
    assert figures(ledger) == (3, 0, 1, 1, 1)


def test_a_breach_is_kept_and_does_not_hold_its_id(ledger: Engine) -> None:
    assert take(ledger, make("1", error="bad")) == [DEAD]
    assert take(ledger, make("1", error="bad")) == [DUPLICATE]
    assert take(ledger, make("1", "mended")) == [ACCEPTED]
    assert figures(ledger) == (3, 0, 1, 1, 1)


def test_a_batch_is_resumed_until_it_has_landed(ledger: Engine) -> None:
    take(ledger, *(make(str(n)) for n in range(5)))
    first = batches.take_batch(ledger, 3)
    assert first is not None
    assert not first.is_resumed
    assert [row["event_id"] for row in first.rows] == ["0", "1", "2"]
    again = batches.take_batch(ledger, 3)
    assert again is not None
    assert (again.batch_id, again.is_resumed) == (first.batch_id, True)
    batches.mark_landed(ledger, again)
    assert figures(ledger) == (5, 3, 0, 0, 2)
    rest = batches.take_batch(ledger, 3)
    assert rest is not None
    batches.mark_landed(ledger, rest, [(rest.rows[0], "broke its contract meanwhile")])
    assert figures(ledger) == (5, 4, 0, 1, 0)
    assert batches.take_batch(ledger, 3) is None


def test_a_batch_that_raw_lacks_lands_again(ledger: Engine) -> None:
    take(ledger, make("1"), make("2"))
    batch = batches.take_batch(ledger, 10)
    assert batch is not None
    batches.mark_landed(ledger, batch)
    assert batches.unlanded_batches(ledger) == {batch.batch_id}
    assert batches.land_again(ledger, [batch.batch_id]) == 2
    assert inbox.waiting_count(ledger) == 2


def test_a_split_batch_is_two(ledger: Engine) -> None:
    take(ledger, *(make(str(n)) for n in range(3)))
    batch = batches.take_batch(ledger, 10)
    assert batch is not None
    batches.split(ledger, batch)
    parts = []
    while (part := batches.take_batch(ledger, 10)) is not None:
        parts.append([row["event_id"] for row in part.rows])
        batches.mark_landed(ledger, part)
    assert parts == [["0"], ["1", "2"]]


def test_an_event_that_does_not_land_waits_longer_and_longer_then_dies(ledger: Engine) -> None:
    take(ledger, make("1"))
    waits = []
    for _ in range(batches.MAX_ATTEMPTS):
        with ledger.begin() as connection:
            connection.execute(update(inbox_table).values(next_attempt_at=None))
        batch = batches.take_batch(ledger, 10)
        assert batch is not None
        batches.postpone(ledger, batch.rows[0], "no")
        with ledger.connect() as connection:
            at = connection.scalar(select(inbox_table.c.next_attempt_at))
        if at is not None:
            waits.append((at - datetime.now(UTC)).total_seconds())
            assert batches.take_batch(ledger, 10) is None
    expected = [batches.FIRST_RETRY_SECONDS * 2**n for n in range(batches.MAX_ATTEMPTS - 1)]
    assert all(e / 2 - 1 <= w <= e for w, e in zip(waits, expected, strict=True)), waits
    (letter,) = find(ledger, LetterFilter())
    assert letter["error"] == f"did not land in {batches.MAX_ATTEMPTS} attempts: no"
    assert take(ledger, make("1")) == [ACCEPTED], "its id is free again"


def test_a_replay_waits_with_the_same_bytes_and_once(ledger: Engine) -> None:
    take(ledger, make("1"), make("1", "y"))
    (letter,) = find(ledger, LetterFilter())
    id = letter["dead_letter_id"]
    for expected in (Replay.WAITING, Replay.SKIPPED):
        assert replay(ledger, id, make("1", "y"), by_id=True).result is expected
    batch = batches.take_batch(ledger, 10)
    assert batch is not None
    assert [bytes(row["body"]) for row in batch.rows] == [b"x", b"y"]
    assert figures(ledger) == (2, 0, 0, 0, 2)
    batches.mark_landed(ledger, batch)
    assert figures(ledger) == (2, 2, 0, 0, 0)


def test_what_comes_back_waits_from_then_on_and_keeps_when_it_was_received(ledger: Engine) -> None:
    take(ledger, make("1"), make("2", error="bad"))
    assert waits_since(ledger) == [NOW]
    batch = batches.take_batch(ledger, 10)
    assert batch is not None
    batches.mark_landed(ledger, batch)
    (letter,) = find(ledger, LetterFilter())
    begun = now()
    replay(ledger, letter["dead_letter_id"], make("2"), by_id=True)
    batches.land_again(ledger, [batch.batch_id])
    assert len(waits_since(ledger)) == 2
    assert min(waits_since(ledger)) >= begun
    with ledger.connect() as connection:
        assert set(connection.scalars(select(inbox_table.c.received_at))) == {NOW}


def waits_since(ledger: Engine) -> list[datetime]:
    with ledger.connect() as connection:
        found = connection.scalars(select(inbox.WAITING_SINCE).where(inbox.WAITING))
        return list(found)


def test_a_letter_that_fails_five_replays_is_parked(ledger: Engine) -> None:
    take(ledger, make("1", error="bad"))
    (letter,) = find(ledger, LetterFilter())
    id = letter["dead_letter_id"]
    results = [
        replay(ledger, id, make("1", error="bad"), by_id=False).result for _ in range(MAX_REPLAYS)
    ]
    assert results == [Replay.FAILED] * (MAX_REPLAYS - 1) + [Replay.PARKED]
    assert replay(ledger, id, make("1"), by_id=False).result is Replay.SKIPPED
    assert replay(ledger, id, make("1"), by_id=True).result is Replay.WAITING


def test_a_replay_that_does_not_land_opens_its_letter_again(ledger: Engine) -> None:
    take(ledger, make("1", error="bad"))
    (letter,) = find(ledger, LetterFilter())
    replay(ledger, letter["dead_letter_id"], make("1"), by_id=True)
    batch = batches.take_batch(ledger, 10)
    assert batch is not None
    batches.mark_landed(ledger, batch, [(batch.rows[0], "bad again")])
    (letter,) = find(ledger, LetterFilter())
    assert (letter["status"], letter["error"], letter["replays"]) == ("open", "bad again", 1)
    assert figures(ledger) == (1, 0, 0, 1, 0)


def test_the_same_bytes_that_die_twice_are_one_letter(ledger: Engine) -> None:
    take(ledger, make("1", error="bad"), make("1"))
    batch = batches.take_batch(ledger, 10)
    assert batch is not None
    batches.mark_landed(ledger, batch, [(batch.rows[0], "bad")])
    assert figures(ledger) == (2, 0, 1, 1, 0)


def test_discarded_letters_stay_dead_and_can_be_named(ledger: Engine) -> None:
    take(ledger, make("1", error="bad"))
    (letter,) = find(ledger, LetterFilter())
    id = letter["dead_letter_id"]
    assert (discard(ledger, [id]), discard(ledger, [id])) == (1, 0)
    assert find(ledger, LetterFilter()) == []
    assert figures(ledger) == (1, 0, 0, 1, 0)
    assert replay(ledger, id, make("1"), by_id=True).result is Replay.WAITING


def test_landed_events_are_forgotten_after_a_month_and_still_counted(ledger: Engine) -> None:
    take(ledger, make("1"), make("2"))
    batch = batches.take_batch(ledger, 1)
    assert batch is not None
    batches.mark_landed(ledger, batch)
    now = datetime.now(UTC)
    for days, pruned, outcome in ((8, 0, DUPLICATE), (29, 0, DUPLICATE), (31, 1, ACCEPTED)):
        assert inbox.prune(ledger, now + timedelta(days=days)) == pruned
        assert batches.unlanded_batches(ledger) == set(), "no bytes, no second landing"
        assert take(ledger, make("1")) == [outcome]
    assert figures(ledger) == (5, 1, 2, 0, 2)


def test_letters_are_found_by_what_they_are(ledger: Engine) -> None:
    for number, (source, entity) in enumerate((("crm", "users"), ("support", "tickets"))):
        at = NOW + timedelta(days=number)
        register(ledger, [Letter("pull", source, entity, f"{entity}: 100%_bad", b"x", at)])
    assert [row["source"] for row in find(ledger, LetterFilter(source="crm"))] == ["crm"]
    assert [row["source"] for row in find(ledger, LetterFilter(entity="tickets"))] == ["support"]
    assert len(find(ledger, LetterFilter(error="100%_"))) == 2
    assert find(ledger, LetterFilter(error="100_%")) == []
    assert len(find(ledger, LetterFilter(since=NOW + timedelta(hours=1)))) == 1
    with ledger.connect() as connection:
        assert connection.scalar(select(inbox_table.c.seq)) is None
