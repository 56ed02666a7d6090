"""Replay: a dead letter's bytes go back into the inbox, exactly as they came.

The caller validates them again first. Both steps, letter and inbox, are one transaction, and a
letter that was replayed is not replayed twice.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Engine, insert, select

from ledger.dead_letters import begin_replay, fail_replay
from ledger.inbox import Event, event_row
from ledger.runs import now
from ledger.tables import dead_letters, inbox


class Replay(StrEnum):
    """What a replay came to."""

    WAITING = "waiting"
    FAILED = "failed"
    PARKED = "parked"
    SKIPPED = "skipped"
    CLOSED = "closed"
    """Raw has another version of the record: nothing is to be landed again."""


@dataclass(frozen=True)
class Replayed:
    """The result for one letter."""

    dead_letter_id: str
    result: Replay
    error: str | None = None


def replay(ledger: Engine, id: str, event: Event, *, by_id: bool) -> Replayed:
    """Put a letter's event into the inbox, or count the failure if it breaks its contract still.

    `by_id`: the letter was named, so a parked or discarded one is tried too.
    """
    statuses = ("open", "parked", "discarded") if by_id else ("open",)
    with ledger.begin() as connection:
        where = (dead_letters.c.dead_letter_id == id) & dead_letters.c.status.in_(statuses)
        found = connection.execute(select(dead_letters.c.status).where(where).with_for_update())
        if found.first() is None:
            return Replayed(id, Replay.SKIPPED)
        if event.error is None:
            begin_replay(connection, id, "replayed")
            row = event_row(event) | {"event_id": _free_id(connection, event, id)}
            row["waiting_since"] = now()
            connection.execute(insert(inbox).values(row))
            return Replayed(id, Replay.WAITING)
        begin_replay(connection, id, "open")
        status = fail_replay(connection, dead_letters.c.dead_letter_id == id, event.error)
        return Replayed(id, Replay.PARKED if status == "parked" else Replay.FAILED, event.error)


def _free_id(connection: Connection, event: Event, id: str) -> str:
    """The event's own id, unless it is taken: an event that conflicts keeps its letter's name."""
    query = select(inbox.c.seq).where(
        inbox.c.source == event.source, inbox.c.event_id == event.event_id
    )
    return event.event_id if connection.execute(query).first() is None else f"dead-letter:{id}"
