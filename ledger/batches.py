"""Batches of the inbox: events that land together, each batch once.

take ─▶ landed · split to find the event at fault ─▶ postponed, and at last a dead letter.
A batch keeps its id until it has landed, so that raw can be asked whether it did.
"""

import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, Engine, RowMapping, select, update

from ledger.balance import add_to_totals
from ledger.dead_letters import bury, known_letters, reopen
from ledger.inbox import WAITING, event_of, letter_of
from ledger.runs import now
from ledger.tables import inbox

MAX_ATTEMPTS = 8
FIRST_RETRY_SECONDS = 5.0
LAST_RETRY_SECONDS = 3600.0


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
    letter = letter_of(event_of(row, error))
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
                .values(status="waiting", landed_at=None, waiting_since=now())
            ).rowcount
    return events
