"""Leftovers in raw: rows of loads that never became complete ─▶ gone, once they are old.

A process that is killed between the rows of a load and its completion leaves rows that nothing may
read, and that the next sync lands again in a load of its own.
"""

from datetime import datetime

from ledger.settings import Settings
from loaders.target import RAW, Target

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
    found = {}
    for (name,) in target.fetch(TABLES, [RAW]):
        # dlt names a load by the seconds since 1970 at which it began.
        where = (
            f"_dlt_load_id not in (select load_id from {RAW}._dlt_loads where status = 0)"
            f" and cast(_dlt_load_id as double precision) < {before.timestamp()!r}"
        )
        rows = target.fetch(f'select count(*) from {RAW}."{name}" where {where}')
        if rows and rows[0][0]:
            found[name] = int(rows[0][0])
            if not dry_run:
                target.execute(f'delete from {RAW}."{name}" where {where}')
    return found
