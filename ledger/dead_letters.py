"""Dead letters: what was refused, with its bytes, whichever way it came in.

open ─▶ replayed (it waits in the inbox, and lands) · discarded · parked (poison: five replays
failed) · closed (of a record in raw: nothing is held against it any more, see `judged_letters`). A
letter's id is a hash of where it came from and its bytes: the same bytes are one letter.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, insert, select, update

from ledger.runs import now
from ledger.tables import dead_letters

MAX_REPLAYS = 5
QUALITY = "quality"
"""Way in of letters about records that landed, and then broke an expectation on raw."""
STATUSES = ("open", "replayed", "discarded", "parked", "closed")
IDS_A_QUERY = 500


@dataclass(frozen=True)
class Letter:
    """One refused record or event."""

    way_in: str
    source: str
    entity: str | None
    error: str
    payload: bytes
    first_seen_at: datetime
    event_id: str | None = None
    event_type: str | None = None
    record_id: str | None = None
    position: str | None = None

    @property
    def dead_letter_id(self) -> str:
        """One a bad record: the same for the same bytes.

        What is said of a record in raw is not mixed up with a breach of its bytes on the way in.
        """
        source = f"{QUALITY}:{self.source}" if self.way_in == QUALITY else self.source
        return letter_id(source, self.entity, self.payload)


def letter_id(source: str, entity: str | None, payload: bytes) -> str:
    """SHA-256 of source, entity and bytes, in hex."""
    return hashlib.sha256(f"{source}\n{entity or ''}\n".encode() + payload).hexdigest()


@dataclass(frozen=True)
class LetterFilter:
    """Which letters are meant; None: any. `error` is a part of the message."""

    source: str | None = None
    entity: str | None = None
    error: str | None = None
    since: datetime | None = None
    statuses: tuple[str, ...] = ("open",)

    def conditions(self) -> list[ColumnElement[bool]]:
        """What a letter must meet."""
        columns = dead_letters.c
        found: list[ColumnElement[bool]] = [columns.status.in_(self.statuses)]
        if self.source is not None:
            found.append(columns.source == self.source)
        if self.entity is not None:
            found.append(columns.entity == self.entity)
        if self.error is not None:
            found.append(columns.error.contains(self.error, autoescape=True))
        if self.since is not None:
            found.append(columns.first_seen_at >= self.since)
        return found


def bury(connection: Connection, letters: Iterable[Letter]) -> None:
    """Keep letters that are not there yet; the caller has looked (`known_letters`)."""
    rows = [
        vars(letter) | {"dead_letter_id": letter.dead_letter_id, "status": "open", "replays": 0}
        for letter in letters
    ]
    if rows:
        connection.execute(insert(dead_letters), rows)


def known_letters(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Those of the ids that are letters already, in whatever status."""
    found: set[str] = set()
    for start in range(0, len(ids), IDS_A_QUERY):
        some = ids[start : start + IDS_A_QUERY]
        query = select(dead_letters.c.dead_letter_id)
        found |= set(connection.scalars(query.where(dead_letters.c.dead_letter_id.in_(some))))
    return found


def reopen(connection: Connection, id: str, error: str) -> bool:
    """A replayed letter failed after all; False if the letter was not replayed."""
    where = (dead_letters.c.dead_letter_id == id) & (dead_letters.c.status == "replayed")
    return fail_replay(connection, where, error) is not None


def fail_replay(connection: Connection, where: ColumnElement[bool], error: str) -> str | None:
    """A replay failed: the letter is open for the next, or parked after the fifth.

    Gives the status; None if no letter fits.
    """
    row = connection.execute(select(dead_letters).where(where)).mappings().first()
    if row is None:
        return None
    status = "parked" if row["replays"] >= MAX_REPLAYS else "open"
    connection.execute(update(dead_letters).where(where).values(status=status, error=error))
    return status


def begin_replay(connection: Connection, id: str, status: str) -> None:
    """Count a replay and set the status that it leads to."""
    connection.execute(
        update(dead_letters)
        .where(dead_letters.c.dead_letter_id == id)
        .values(status=status, replays=dead_letters.c.replays + 1, last_replayed_at=now())
    )


def register(ledger: Engine, letters: Iterable[Letter]) -> int:
    """Add letters that landed in raw with a sync; those that are known stay as they are."""
    by_id = {letter.dead_letter_id: letter for letter in letters}
    with ledger.begin() as connection:
        known = known_letters(connection, list(by_id))
        bury(connection, (letter for id, letter in by_id.items() if id not in known))
    return len(by_id) - len(known)


def find(ledger: Engine, wanted: LetterFilter, limit: int | None = None) -> list[RowMapping]:
    """The letters that meet a filter, oldest first."""
    query = select(dead_letters).where(*wanted.conditions())
    query = query.order_by(dead_letters.c.first_seen_at, dead_letters.c.dead_letter_id)
    with ledger.connect() as connection:
        return list(connection.execute(query.limit(limit)).mappings())


def find_by_prefix(ledger: Engine, prefix: str) -> list[RowMapping]:
    """Letters whose id begins with `prefix`, at most two: enough to see that it is ambiguous."""
    query = select(dead_letters).where(
        dead_letters.c.dead_letter_id.startswith(prefix, autoescape=True)
    )
    with ledger.connect() as connection:
        return list(connection.execute(query.limit(2)).mappings())


def discard(ledger: Engine, ids: Sequence[str]) -> int:
    """Letters that nobody will replay; they stay, flagged, and can be replayed by id."""
    columns, discarded = dead_letters.c, 0
    with ledger.begin() as connection:
        for start in range(0, len(ids), IDS_A_QUERY):
            statement = update(dead_letters).where(
                columns.dead_letter_id.in_(ids[start : start + IDS_A_QUERY]),
                columns.status.in_(("open", "parked")),
            )
            discarded += connection.execute(statement.values(status="discarded")).rowcount
    return discarded
