"""Leftovers in raw ─▶ gone, once they are old. Records are none: everything is built from them.

Rows of loads that never became complete: a process that is killed between the rows of a load and
its completion leaves rows that nothing may read, and that the next sync lands again in a load of
its own. And what loads say of themselves, as far as newer loads have said more.
"""

from datetime import datetime

from ledger.settings import Settings
from loaders.knowledge import COMPLETE
from loaders.target import RAW, Target

NEWEST = {
    "sync_cursors": ("source, entity", "cursor_at"),
    "stream_offsets": ("topic, partition", "next_offset"),
    "inbox_batches": (None, None),
}
"""What loads say of themselves: of which things, and which of several sayings holds."""
TABLES = """
select table_name from information_schema.columns
where table_schema = ? and column_name = '_dlt_load_id' order by table_name
"""


def delete_leftovers(settings: Settings, before: datetime, *, dry_run: bool) -> dict[str, int]:
    """Rows of loads that began before a moment and never ended, by table; with the run lock held.

    Raises:
        TargetError: the warehouse cannot be read or written.
    """
    target = Target(settings)
    # dlt names a load by the seconds since 1970 at which it began.
    where = (
        f"_dlt_load_id not in (select load_id from {RAW}._dlt_loads where status = 0)"
        f" and cast(_dlt_load_id as double precision) < {before.timestamp()!r}"
    )
    tables = target.fetch(TABLES, [RAW])
    return _delete(target, {name: where for (name,) in tables}, dry_run=dry_run)


def delete_figures(settings: Settings, before: datetime, *, dry_run: bool) -> dict[str, int]:
    """What loads completed before a moment said of themselves, by table; with the run lock held.

    How far an entity was synced and a partition was read stays known, however long ago that was.

    Raises:
        TargetError: the warehouse cannot be read or written.
    """
    is_old = (
        f"_dlt_load_id in (select load_id from {RAW}._dlt_loads"
        f" where status = 0 and inserted_at < '{before.isoformat()}')"
    )
    conditions = {
        name: f"{is_old} and {_is_superseded(name, things, position)}" if things else is_old
        for name, (things, position) in NEWEST.items()
    }
    return _delete(Target(settings), conditions, dry_run=dry_run)


def _is_superseded(name: str, things: str, position: str | None) -> str:
    """Condition: a newer load has said as much, or more, of the same thing."""
    return (
        f"({things}, _dlt_load_id) not in (select {things}, _dlt_load_id from ("
        f"select {things}, _dlt_load_id, row_number() over (partition by {things}"
        f" order by {position} desc nulls last, _dlt_load_id desc) as place"
        f" from {RAW}.{name} where {COMPLETE}) as sayings where place = 1)"
    )


def _delete(target: Target, conditions: dict[str, str], *, dry_run: bool) -> dict[str, int]:
    """Rows that a condition holds for, by table, as far as there are any."""
    found = {}
    for name, where in conditions.items():
        rows = target.fetch(f'select count(*) from {RAW}."{name}" where {where}')
        if rows and rows[0][0]:
            found[name] = int(rows[0][0])
            if not dry_run:
                target.execute(f'delete from {RAW}."{name}" where {where}')
    return found
