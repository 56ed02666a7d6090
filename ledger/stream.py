"""Where the stream is read, and how far that is behind: one row a partition."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Engine, insert, update

from ledger.runs import now
from ledger.tables import stream_positions


@dataclass(frozen=True)
class Position:
    """A partition: the next offset to read, and the broker's end."""

    topic: str
    partition: int
    next_offset: int
    high_watermark: int

    @property
    def lag(self) -> int:
        """Messages not landed yet."""
        return self.high_watermark - self.next_offset


def record_positions(ledger: Engine, positions: Iterable[Position]) -> None:
    """Write the newest positions."""
    columns = stream_positions.c
    with ledger.begin() as connection:
        for position in positions:
            values = vars(position) | {"lag": position.lag, "observed_at": now()}
            where = (columns.topic == position.topic) & (columns.partition == position.partition)
            if not connection.execute(
                update(stream_positions).where(where).values(values)
            ).rowcount:
                connection.execute(insert(stream_positions).values(values))
