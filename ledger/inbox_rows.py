"""Statements that run with every commit of the inbox, as the driver takes them."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from ledger.driver_rows import insert_rows, mark_of, place_of
from ledger.tables import inbox

KEPT = (
    *("way_in", "source", "event_id", "event_type", "body", "body_hash", "received_at"),
    *("entity", "is_deletion", "position"),
)
"""What the inbox keeps of an event, in columns of the same names."""
_COLUMNS = (*KEPT, "status", "attempts")
_WAITING = ("waiting", 0)


def insert_waiting(connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Rows of `KEPT`, each in that order, that begin to wait."""
    insert_rows(connection, inbox, _COLUMNS, [(*row, *_WAITING) for row in rows])


def known_hashes(
    connection: Connection, sources: Iterable[str], ids: Iterable[str]
) -> dict[tuple[str, str], str]:
    """Hash of the body by source and id, for those of the events that came before."""
    some_sources, some_ids = tuple(sources), tuple(ids)
    dialect = connection.dialect
    table, mark = place_of(inbox, dialect), mark_of(dialect)
    statement = _select(table, mark, len(some_sources), len(some_ids))
    found = connection.exec_driver_sql(statement, some_sources + some_ids)
    return {(source, id): hashed for source, id, hashed in found}


@lru_cache(1024)
def _select(table: str, mark: str, sources: int, ids: int) -> str:
    return (
        f"select source, event_id, body_hash from {table}"
        f" where source in ({', '.join([mark] * sources)})"
        f" and event_id in ({', '.join([mark] * ids)})"
    )
