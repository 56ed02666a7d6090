"""The conservation law over every way in, from the ledger alone.

received = landed + duplicate + dead + waiting. Pulled records and stream messages are counted by
`sync_log`, pushed events by the inbox; a dead letter that was replayed moves to the inbox, and is
counted there from then on. Letters about records in raw count nowhere: these have landed.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    bindparam,
    case,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)

from ledger.dead_letters import QUALITY
from ledger.tables import dead_letters, inbox, inbox_totals, sync_log

Way = tuple[str, str]
"""Way in (webhook, pull or stream) and source."""


@dataclass
class Balance:
    """What became of everything that one source sent by one way."""

    way_in: str
    source: str
    received: int = 0
    landed: int = 0
    duplicate: int = 0
    dead: int = 0
    waiting: int = 0

    @property
    def balanced(self) -> bool:
        """The law."""
        return self.received == self.landed + self.duplicate + self.dead + self.waiting


def add_to_totals(connection: Connection, way: Way, **figures: int) -> None:
    """Add to the counts that no row of the inbox tells: repeats, and what was pruned."""
    values = {f"added_{name}": figures.get(name, 0) for name in _COUNTED}
    where = {"the_way_in": way[0], "the_source": way[1]}
    if connection.execute(_ADD, values | where).rowcount:
        return
    row = {name: figures.get(name, 0) for name in _COUNTED}
    connection.execute(insert(inbox_totals).values(way_in=way[0], source=way[1], **row))


_COUNTED = ("received", "duplicate", "landed_and_pruned")
# Built once: it runs with every commit of the inbox.
_ADD = (
    update(inbox_totals)
    .where(inbox_totals.c.way_in == bindparam("the_way_in"))
    .where(inbox_totals.c.source == bindparam("the_source"))
    .values({name: inbox_totals.c[name] + bindparam(f"added_{name}") for name in _COUNTED})
)


def balances(ledger: Engine) -> list[Balance]:
    """One balance a way in and source; one statement, so all figures are of one moment."""
    parts = union_all(_syncs(), _totals(), _inbox(), _letters()).subquery()
    figures = [func.sum(parts.c[name]) for name in FIGURES]
    query = (
        select(parts.c.way_in, parts.c.source, *figures)
        .where(parts.c.way_in != QUALITY)
        .group_by(parts.c.way_in, parts.c.source)
    )
    with ledger.connect() as connection:
        rows = connection.execute(query.order_by(parts.c.way_in, parts.c.source)).all()
    return [Balance(way_in, source, *map(int, counted)) for way_in, source, *counted in rows]


FIGURES = ("received", "landed", "duplicate", "dead", "waiting")


def _part(
    way_in: ColumnElement[Any], source: ColumnElement[Any], **figures: ColumnElement[Any]
) -> Select[Any]:
    """A select of all figures; those that are not named are 0."""
    columns = [figures.get(name, literal(0)).label(name) for name in FIGURES]
    return select(way_in.label("way_in"), source.label("source"), *columns)


def _syncs() -> Select[Any]:
    columns = sync_log.c
    way_in = case((columns.mode == "stream", "stream"), else_="pull")
    return _part(
        way_in,
        columns.source,
        received=columns.received,
        landed=columns.landed,
        duplicate=columns.duplicate,
        dead=columns.dead,
    )


def _totals() -> Select[Any]:
    columns = inbox_totals.c
    return _part(
        columns.way_in,
        columns.source,
        received=columns.received,
        landed=columns.landed_and_pruned,
        duplicate=columns.duplicate,
    )


def _inbox() -> Select[Any]:
    return _part(
        inbox.c.way_in,
        inbox.c.source,
        landed=func.sum(case((inbox.c.status == "landed", 1), else_=0)),
        waiting=func.sum(case((inbox.c.status == "waiting", 1), else_=0)),
    ).group_by(inbox.c.way_in, inbox.c.source)


def _letters() -> Select[Any]:
    """Pushed letters are dead until replayed; of the others, `sync_log` counted the death."""
    replayed = dead_letters.c.status == "replayed"
    dead = case(
        (dead_letters.c.way_in == "webhook", case((replayed, 0), else_=1)),
        (replayed, -1),
        else_=0,
    )
    return _part(dead_letters.c.way_in, dead_letters.c.source, dead=func.sum(dead)).group_by(
        dead_letters.c.way_in, dead_letters.c.source
    )
