"""Good data, modelled: the demo generator's records in raw and the marts built, on both engines."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from demo import SOURCES, Store, generator
from ledger.settings import Settings
from loaders.contracts import UserEvent
from loaders.decoding import RecordDecoder, row_hash
from support.modelled import BY_NAME, VIEWS, ModelledWarehouse

AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)
COUNTS = {
    "accounts": 40,
    "companies": 100,
    "users": 100,
    "customers": 250,
    "products": 100,
    "orders": 400,
    "tickets": 200,
    "feedback": 400,
}
"""Every table has more rows than a rate needs to be judged."""
KEPT = "kept"


class GoodWarehouse(ModelledWarehouse):
    """A built warehouse whose tables can be spoiled and are whole again afterwards."""

    def __init__(self, settings: Settings) -> None:
        """Of settings of a warehouse that is built without data."""
        super().__init__(settings, seeded=True)
        with patch.object(generator, "COUNTS", COUNTS):
            land_demo(self, generator.generate(7, 1.0, AS_OF))
        self.dbt("run", exclude=VIEWS, as_of=AS_OF)
        self.execute(f"create schema {KEPT}")
        # What checks it opens the file for reading only.
        self.release()
        self._kept: set[str] = set()

    @contextmanager
    def spoiled(self, spoiling: Iterable[tuple[str, str]]) -> Iterator[None]:
        """(Table, statement) pairs; each table is as before at the end."""
        pairs = list(spoiling)
        tables = list(dict.fromkeys(table for table, _ in pairs))
        new = [table for table in tables if table not in self._kept]
        copies = {table: f"{KEPT}.{table.replace('.', '_')}" for table in tables}
        # One statement after the other in one connection: opening a DuckDB file takes longer.
        keep = [f"create table {copies[table]} as select * from {table}" for table in new]
        restore = [
            f"delete from {table}; insert into {table} select * from {copies[table]}"
            for table in tables
        ]
        self._kept |= set(new)
        self._execute_all([*keep, *(statement for _, statement in pairs)])
        try:
            yield
        finally:
            self._execute_all(restore)

    def _execute_all(self, statements: list[str]) -> None:
        if statements:
            self.execute("; ".join(statements))


def land_demo(warehouse: ModelledWarehouse, store: Store) -> None:
    """Every record of a store that keeps its contract, one load an entity, and user events."""
    number = 0
    for source, entities in SOURCES.items():
        for entity in entities:
            number += 1
            ids = store.ids(source, entity)
            raws = [raw for id in ids if (raw := store.get(source, entity, id))]
            page = RecordDecoder(BY_NAME[entity]).decode(raws, [row_hash(raw) for raw in raws])
            records = [(BY_NAME[entity], record, False) for record in page.records]
            warehouse.land(f"{number}.0", records, received_at=AS_OF)
    events = [(BY_NAME["user_events"], _event(n), False) for n in range(60)]
    warehouse.land("99.0", events, received_at=AS_OF)


def _event(number: int) -> Any:
    return UserEvent(
        id=f"evt_{number}",
        user_id=f"usr_{number % 7}",
        type="purchase" if number % 2 else "login",
        amount="9.90" if number % 2 else None,
        currency="EUR" if number % 2 else None,
        occurred_at=AS_OF - timedelta(hours=number),
    )
