"""Statements that run with every commit of the inbox, as the driver takes them.

One statement a group of events, its text kept by the group's size: SQLAlchemy would spend more on
each row (compiling, types) than everything else that is done for an event.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache, lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Dialect

from ledger.tables import SCHEMA, inbox

KEPT = (
    *("way_in", "source", "event_id", "event_type", "body", "body_hash", "received_at"),
    *("entity", "is_deletion", "position"),
)
"""What the inbox keeps of an event, in columns of the same names."""
_RECEIVED = KEPT.index("received_at")


def insert_waiting(connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Rows of `KEPT`, each in that order, that begin to wait."""
    dialect = connection.dialect
    if (stored := _stored_time(dialect)) is not None:
        rows = [(*r[:_RECEIVED], stored(r[_RECEIVED]), *r[_RECEIVED + 1 :]) for r in rows]
    statement = _insert(dialect.name, _mark(dialect), len(rows))
    connection.exec_driver_sql(statement, tuple(chain.from_iterable(rows)))


def known_hashes(
    connection: Connection, sources: Iterable[str], ids: Iterable[str]
) -> dict[tuple[str, str], str]:
    """Hash of the body by source and id, for those of the events that came before."""
    some_sources, some_ids = tuple(sources), tuple(ids)
    dialect = connection.dialect
    statement = _select(dialect.name, _mark(dialect), len(some_sources), len(some_ids))
    found = connection.exec_driver_sql(statement, some_sources + some_ids)
    return {(source, id): hashed for source, id, hashed in found}


@cache
def _stored_time(dialect: Dialect) -> Callable[[datetime], Any] | None:
    """How the engine keeps a time, where its driver does not know by itself."""
    return inbox.c.received_at.type.dialect_impl(dialect).bind_processor(dialect)


@lru_cache(1024)
def _insert(engine: str, mark: str, rows: int) -> str:
    row = ", ".join([mark] * len(KEPT))
    values = ", ".join([f"({row}, 'waiting', 0)"] * rows)
    return f"insert into {_table(engine)} ({', '.join(KEPT)}, status, attempts) values {values}"


@lru_cache(1024)
def _select(engine: str, mark: str, sources: int, ids: int) -> str:
    return (
        f"select source, event_id, body_hash from {_table(engine)}"
        f" where source in ({', '.join([mark] * sources)})"
        f" and event_id in ({', '.join([mark] * ids)})"
    )


def _mark(dialect: Dialect) -> str:
    """A place for a value in the text of a statement."""
    return "?" if dialect.paramstyle == "qmark" else "%s"


def _table(engine: str) -> str:
    return inbox.name if engine == "sqlite" else f"{SCHEMA}.{inbox.name}"
