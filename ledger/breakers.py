"""Circuit breakers whose state lives in the ledger, so that it outlives a process and is seen."""

from datetime import datetime
from typing import Any

import pybreaker
from sqlalchemy import Engine, insert, select, update

from ledger.tables import circuit_breakers

CLOSED = {"state": "closed", "failure_count": 0, "success_count": 0, "opened_at": None}


class LedgerBreakerStorage(pybreaker.CircuitBreakerStorage):
    """pybreaker's storage interface over one row of `circuit_breakers`.

    The row is read once and written on change only: the run lock keeps other writers away.
    """

    def __init__(self, ledger: Engine, source: str) -> None:
        super().__init__("ledger")
        self._ledger = ledger
        self._source = source
        query = select(circuit_breakers).where(circuit_breakers.c.source == source)
        with ledger.begin() as connection:
            row = connection.execute(query).mappings().first()
            if row is None:
                connection.execute(insert(circuit_breakers).values(source=source, **CLOSED))
        self._row: dict[str, Any] = dict(row or CLOSED)

    def _set(self, column: str, value: Any) -> None:
        if self._row[column] == value:
            return
        self._row[column] = value
        statement = update(circuit_breakers).where(circuit_breakers.c.source == self._source)
        with self._ledger.begin() as connection:
            connection.execute(statement.values({column: value}))

    @property
    def state(self) -> str:
        """closed, open or half-open."""
        return str(self._row["state"])

    @state.setter
    def state(self, state: str) -> None:
        self._set("state", state)

    @property
    def counter(self) -> int:
        """Failures in a row."""
        return int(self._row["failure_count"])

    def increment_counter(self) -> None:
        """One more failure."""
        self._set("failure_count", self.counter + 1)

    def reset_counter(self) -> None:
        """A success ends the row of failures."""
        self._set("failure_count", 0)

    @property
    def success_counter(self) -> int:
        """Successes in a row since the breaker is half-open."""
        return int(self._row["success_count"])

    def increment_success_counter(self) -> None:
        """One more success."""
        self._set("success_count", self.success_counter + 1)

    def reset_success_counter(self) -> None:
        """Start counting anew."""
        self._set("success_count", 0)

    @property
    def opened_at(self) -> datetime | None:
        """When the breaker opened."""
        opened_at: datetime | None = self._row["opened_at"]
        return opened_at

    @opened_at.setter
    def opened_at(self, value: datetime) -> None:
        self._set("opened_at", value)
