"""Letters about records that landed, and that an expectation on raw does not hold for.

open ─▶ replayed ─▶ open again, when the row that it landed as is refused too (parked after five
times) · closed, when nothing is held against the record any more. `event_id` is the `_row_hash` of
the row that a letter is about. They have landed, so they count nowhere in the balance.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, RowMapping, select, update

from ledger.dead_letters import IDS_A_QUERY, QUALITY, Letter, fail_replay
from ledger.tables import dead_letters, inbox

OPEN = ("open", "parked")
"""Those that somebody has to look at."""
_COLUMNS = ("dead_letter_id", "record_id", "event_id", "status")


def judged_letters(connection: Connection, source: str, entity: str) -> list[RowMapping]:
    """Every such letter of an entity, without its bytes."""
    columns = dead_letters.c
    query = select(*(columns[name] for name in _COLUMNS)).where(
        columns.way_in == QUALITY, columns.source == source, columns.entity == entity
    )
    return list(connection.execute(query).mappings())


def refuse_again(connection: Connection, known: RowMapping, letter: Letter) -> None:
    """A record is refused again: after its replay, after it was closed, or as another row.

    While a replay waits in the inbox, it is the row before it that is refused.
    """
    where = dead_letters.c.dead_letter_id == letter.dead_letter_id
    connection.execute(update(dead_letters).where(where).values(event_id=letter.event_id))
    if known["status"] == "closed":
        reopened = {"status": "open", "error": letter.error}
        connection.execute(update(dead_letters).where(where).values(reopened))
    elif known["status"] == "replayed" and not _waits(connection, letter.dead_letter_id):
        fail_replay(connection, where, letter.error)


def close(connection: Connection, ids: Sequence[str]) -> None:
    """Nothing is held against the records of these letters any more."""
    columns = dead_letters.c
    for start in range(0, len(ids), IDS_A_QUERY):
        some = columns.dead_letter_id.in_(ids[start : start + IDS_A_QUERY])
        connection.execute(
            update(dead_letters).where(some, columns.status.in_(OPEN)).values(status="closed")
        )


def statuses(connection: Connection, ids: Iterable[str]) -> dict[str, RowMapping]:
    """Status and error of letters, by id."""
    columns, wanted, found = dead_letters.c, list(ids), dict[str, RowMapping]()
    for start in range(0, len(wanted), IDS_A_QUERY):
        some = columns.dead_letter_id.in_(wanted[start : start + IDS_A_QUERY])
        query = select(columns.dead_letter_id, columns.status, columns.error).where(some)
        found |= {row["dead_letter_id"]: row for row in connection.execute(query).mappings()}
    return found


def replay_event_id(letter: RowMapping) -> str:
    """The event of one replay: a letter can be replayed again, once its row is refused again."""
    return f"dead-letter:{letter['dead_letter_id']}:{letter['replays']}"


def _waits(connection: Connection, id: str) -> bool:
    query = select(inbox.c.seq).where(
        inbox.c.way_in == QUALITY,
        inbox.c.status == "waiting",
        inbox.c.event_id.startswith(f"dead-letter:{id}:", autoescape=True),
    )
    return connection.execute(query.limit(1)).first() is not None
