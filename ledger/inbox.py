"""The inbox: events pushed to the warehouse, durable before their sender hears yes.

accept (one commit for many events) ─▶ waiting ─▶ batch ─▶ landed in raw; or a dead letter.
received = landed + duplicate + dead + waiting holds at every moment, for counts and rows change in
one transaction (see `balance.py`).
"""

import random
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, bindparam, func, insert, select, update

from ledger.balance import add_to_totals
from ledger.dead_letters import Letter, bury, known_letters, reopen
from ledger.runs import now
from ledger.tables import inbox

MAX_ATTEMPTS = 8
FIRST_RETRY_SECONDS = 5.0
LAST_RETRY_SECONDS = 3600.0
WAITING = inbox.c.status == "waiting"
# Built once: they run with every commit.
_INSERT = insert(inbox)
_KNOWN = select(inbox.c.source, inbox.c.event_id, inbox.c.body_hash).where(
    inbox.c.source.in_(bindparam("sources", expanding=True)),
    inbox.c.event_id.in_(bindparam("ids", expanding=True)),
)


@dataclass(frozen=True)
class Event:
    """One event as it came in; `body` is what was signed, stored and will land."""

    way_in: str
    """webhook, pull or stream: where its bytes first came from."""
    source: str
    event_id: str
    event_type: str
    body: bytes
    body_hash: str
    received_at: datetime
    entity: str | None = None
    """The entity whose contract it carries; None: it lands untouched."""
    is_deletion: bool = False
    position: str | None = None
    error: str | None = None
    """Why it breaks its contract; such an event becomes a dead letter."""
    record_id: str | None = None


class Outcome(StrEnum):
    """What became of an event on arrival; it is durable whichever it is."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    DEAD = "dead"


def accept(connection: Connection, events: Sequence[Event]) -> list[Outcome]:
    """Take events in, in the caller's transaction; one outcome for each.

    The same (source, id) with the same bytes is a duplicate, with other bytes a conflict, which is
    kept as a dead letter. An event that never got in (it was a dead letter) does not hold its id.
    """
    known = _known_events(connection, events)
    outcomes: list[Outcome] = []
    fresh, refused = list[Event](), list[tuple[int, Letter]]()
    for place, event in enumerate(events):
        outcome = _outcome(event, known.get((event.source, event.event_id)))
        if outcome is Outcome.ACCEPTED:
            known[event.source, event.event_id] = event.body_hash
            fresh.append(event)
        elif outcome is not Outcome.DUPLICATE:
            refused.append((place, _letter(event)))
        outcomes.append(outcome)
    if fresh:
        connection.execute(_INSERT, [event_row(event) for event in fresh])
    repeated = _bury_new(connection, refused)
    for place in repeated:
        # A conflict stays one for its sender; a letter that is known is no news.
        if outcomes[place] is Outcome.DEAD:
            outcomes[place] = Outcome.DUPLICATE
    received = Counter((event.way_in, event.source) for event in events)
    duplicate = Counter(
        (event.way_in, event.source)
        for place, event in enumerate(events)
        if outcomes[place] is Outcome.DUPLICATE or place in repeated
    )
    for way, number in received.items():
        add_to_totals(connection, way, received=number, duplicate=duplicate[way])
    return outcomes


def _bury_new(connection: Connection, refused: Sequence[tuple[int, Letter]]) -> set[int]:
    """Keep the letters that are new; gives the places of the others."""
    if not refused:
        return set()
    known = known_letters(connection, [letter.dead_letter_id for _, letter in refused])
    new, repeated = dict[str, Letter](), set[int]()
    for place, letter in refused:
        if letter.dead_letter_id in known or letter.dead_letter_id in new:
            repeated.add(place)
        else:
            new[letter.dead_letter_id] = letter
    bury(connection, new.values())
    return repeated


def _outcome(event: Event, known_hash: str | None) -> Outcome:
    if known_hash == event.body_hash:
        return Outcome.DUPLICATE
    if known_hash is not None:
        return Outcome.CONFLICT
    return Outcome.DEAD if event.error else Outcome.ACCEPTED


def _known_events(connection: Connection, events: Sequence[Event]) -> dict[tuple[str, str], str]:
    values = {
        "sources": list({event.source for event in events}),
        "ids": list({event.event_id for event in events}),
    }
    return {(source, id): hashed for source, id, hashed in connection.execute(_KNOWN, values)}


def _letter(event: Event) -> Letter:
    return Letter(
        way_in=event.way_in,
        source=event.source,
        entity=event.entity,
        event_id=event.event_id,
        event_type=event.event_type,
        record_id=event.record_id,
        error=event.error or f"event {event.event_id!r} came before with another body",
        payload=event.body,
        position=event.position,
        first_seen_at=event.received_at,
    )


def event_row(event: Event) -> dict[str, Any]:
    """Columns of an event that begins to wait."""
    return {
        "way_in": event.way_in,
        "source": event.source,
        "event_id": event.event_id,
        "event_type": event.event_type,
        "entity": event.entity,
        "is_deletion": event.is_deletion,
        "body": event.body,
        "body_hash": event.body_hash,
        "position": event.position,
        "received_at": event.received_at,
        "status": "waiting",
        "attempts": 0,
    }


def waiting_count(ledger: Engine) -> int:
    """Events that have not landed yet."""
    with ledger.connect() as connection:
        return connection.scalar(select(func.count()).select_from(inbox).where(WAITING)) or 0


@dataclass(frozen=True)
class Batch:
    """Events that land together, in the order in which they came."""

    batch_id: str
    rows: list[RowMapping]
    is_resumed: bool
    """It was taken before, so it may have landed already."""


def take_batch(ledger: Engine, limit: int) -> Batch | None:
    """The batch to land next: one that was taken before and not finished, else a new one."""
    with ledger.begin() as connection:
        batch_id = connection.scalar(
            select(inbox.c.batch_id)
            .where(WAITING, inbox.c.batch_id.is_not(None))
            .order_by(inbox.c.seq)
            .limit(1)
        )
        is_resumed = batch_id is not None
        if batch_id is None:
            batch_id = uuid.uuid4().hex
            due = inbox.c.next_attempt_at.is_(None) | (inbox.c.next_attempt_at <= now())
            chosen = select(inbox.c.seq).where(WAITING, due).order_by(inbox.c.seq).limit(limit)
            connection.execute(
                update(inbox).where(inbox.c.seq.in_(chosen)).values(batch_id=batch_id)
            )
        query = select(inbox).where(WAITING, inbox.c.batch_id == batch_id).order_by(inbox.c.seq)
        rows = list(connection.execute(query).mappings())
    return Batch(batch_id, rows, is_resumed) if rows else None


def mark_landed(ledger: Engine, batch: Batch, dead: Iterable[tuple[RowMapping, str]] = ()) -> None:
    """The batch is in raw, but for the rows that broke their contract meanwhile."""
    with ledger.begin() as connection:
        for row, error in dead:
            give_up(connection, row, error)
        connection.execute(
            update(inbox)
            .where(WAITING, inbox.c.batch_id == batch.batch_id)
            .values(status="landed", landed_at=now(), error=None)
        )


def split(ledger: Engine, batch: Batch) -> None:
    """Two batches in place of one that does not land, to find the event that is at fault."""
    first, second = batch.rows[: len(batch.rows) // 2], batch.rows[len(batch.rows) // 2 :]
    with ledger.begin() as connection:
        for rows in (first, second):
            connection.execute(
                update(inbox)
                .where(inbox.c.seq.in_([row["seq"] for row in rows]))
                .values(batch_id=uuid.uuid4().hex)
            )


def postpone(ledger: Engine, row: RowMapping, error: str) -> None:
    """An event that does not land alone: tried again later, a dead letter after the last try.

    Waits double from 5 seconds up to an hour, each shortened by up to a half at random.
    """
    attempts = row["attempts"] + 1
    with ledger.begin() as connection:
        if attempts >= MAX_ATTEMPTS:
            give_up(connection, row, f"did not land in {attempts} attempts: {error}")
            return
        seconds = min(FIRST_RETRY_SECONDS * 2 ** (attempts - 1), LAST_RETRY_SECONDS)
        connection.execute(
            update(inbox)
            .where(inbox.c.seq == row["seq"])
            .values(
                attempts=attempts,
                next_attempt_at=now() + timedelta(seconds=seconds * random.uniform(0.5, 1)),
                error=error,
                batch_id=None,
            )
        )


def give_up(connection: Connection, row: RowMapping, error: str) -> None:
    """A waiting event becomes a dead letter; its id is free again."""
    letter = Letter(
        way_in=row["way_in"],
        source=row["source"],
        entity=row["entity"],
        event_id=row["event_id"],
        event_type=row["event_type"],
        record_id=None,
        error=error,
        payload=row["body"],
        position=row["position"],
        first_seen_at=row["received_at"],
    )
    connection.execute(inbox.delete().where(inbox.c.seq == row["seq"]))
    if not known_letters(connection, [letter.dead_letter_id]):
        bury(connection, [letter])
    elif not reopen(connection, letter.dead_letter_id, error):
        # The same bytes lie there as a letter of their own: these are counted as its repeat.
        add_to_totals(connection, (row["way_in"], row["source"]), received=0, duplicate=1)


def unlanded_batches(ledger: Engine) -> set[str]:
    """Batches that the ledger believes to be in raw and whose bodies are still here."""
    query = (
        select(inbox.c.batch_id)
        .distinct()
        .where(inbox.c.status == "landed", inbox.c.body.is_not(None))
    )
    with ledger.connect() as connection:
        return set(connection.scalars(query))


def land_again(ledger: Engine, batch_ids: Iterable[str]) -> int:
    """Batches that raw lacks (it was restored from a backup) wait once more; gives the events."""
    events = 0
    with ledger.begin() as connection:
        for batch_id in batch_ids:
            events += connection.execute(
                update(inbox)
                .where(inbox.c.batch_id == batch_id, inbox.c.status == "landed")
                .values(status="waiting", landed_at=None)
            ).rowcount
    return events
