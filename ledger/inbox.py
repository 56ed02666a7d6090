"""The inbox: events pushed to the warehouse, durable before their sender hears yes.

accept (one commit for many events) ─▶ waiting ─▶ batch (`batches.py`) ─▶ landed; or a dead letter.
received = landed + duplicate + dead + waiting holds at every moment, for counts and rows change in
one transaction (see `balance.py`).
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Engine, RowMapping, func, select, update

from ledger.balance import add_to_totals
from ledger.dead_letters import Letter, bury, known_letters
from ledger.inbox_rows import KEPT, insert_waiting, known_hashes
from ledger.tables import inbox

KEEP_DAYS = 30
KEEP_BODY_DAYS = 7
WAITING = inbox.c.status == "waiting"
WAITING_SINCE = func.coalesce(inbox.c.waiting_since, inbox.c.received_at)
"""An event waits from its receipt, but for one that came back from a letter or a lost raw."""
_row = attrgetter(*KEPT)


class Event(Struct, frozen=True):
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
    sources, ids = {event.source for event in events}, {event.event_id for event in events}
    known = known_hashes(connection, sources, ids)
    outcomes: list[Outcome] = []
    fresh, refused = list[Event](), list[tuple[int, Letter]]()
    for place, event in enumerate(events):
        outcome = _outcome(event, known.get((event.source, event.event_id)))
        if outcome is Outcome.ACCEPTED:
            known[event.source, event.event_id] = event.body_hash
            fresh.append(event)
        elif outcome is not Outcome.DUPLICATE:
            refused.append((place, letter_of(event)))
        outcomes.append(outcome)
    if fresh:
        insert_waiting(connection, list(map(_row, fresh)))
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


def letter_of(event: Event) -> Letter:
    """The letter that keeps an event that is not taken."""
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
    kept = {name: getattr(event, name) for name in KEPT}
    return kept | {"status": "waiting", "attempts": 0}


def event_of(row: RowMapping, error: str) -> Event:
    """The event of a row, and why it does not land."""
    return Event(**{name: row[name] for name in KEPT}, error=error)


def waiting_count(ledger: Engine) -> int:
    """Events that have not landed yet."""
    with ledger.connect() as connection:
        return connection.scalar(select(func.count()).select_from(inbox).where(WAITING)) or 0


def prune(ledger: Engine, at: datetime, *, dry_run: bool = False) -> int:
    """Forget landed events: their bytes after a week, themselves after 30 days; gives how many.

    Until then a repeat is known, and a restored warehouse gets back what it lacks. The counts stay.
    """
    landed = inbox.c.status == "landed"
    old = landed & (inbox.c.landed_at < at - timedelta(days=KEEP_DAYS))
    with ledger.begin() as connection:
        counted = connection.execute(
            select(inbox.c.way_in, inbox.c.source, func.count())
            .where(old)
            .group_by(inbox.c.way_in, inbox.c.source)
        ).all()
        if dry_run:
            return sum(number for _, _, number in counted)
        connection.execute(inbox.delete().where(old))
        for way_in, source, number in counted:
            add_to_totals(connection, (way_in, source), landed_and_pruned=number)
        connection.execute(
            update(inbox)
            .where(landed, inbox.c.body.is_not(None))
            .where(inbox.c.landed_at < at - timedelta(days=KEEP_BODY_DAYS))
            .values(body=None)
        )
    return sum(number for _, _, number in counted)
