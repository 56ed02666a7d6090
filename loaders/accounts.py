"""Figures that a killed process could not write into the ledger, found again in raw.

A load carries its own figures (`raw.sync_cursors`, `raw.stream_offsets`), so what landed is counted
even if the process died before it told the ledger.
"""

from sqlalchemy import Engine, select, update

from ledger.runs import INTERRUPTED, SyncCounts
from ledger.tables import sync_log
from loaders.columns import STREAM_OFFSETS, SYNC_CURSORS
from loaders.contracts import USER_EVENTS
from loaders.knowledge import COMPLETE
from loaders.target import RAW, Target

COUNTED = f"{INTERRUPTED}; what it landed is counted"


def recover_figures(target: Target, ledger: Engine) -> int:
    """Complete the interrupted rows of `sync_log`; gives how many had landed something."""
    columns = sync_log.c
    query = select(columns.run_id, columns.source, columns.entity, columns.mode).where(
        columns.status == "interrupted", columns.error == INTERRUPTED
    )
    with ledger.connect() as connection:
        interrupted = connection.execute(query).all()
    found = 0
    for run_id, source, entity, mode in interrupted:
        if mode == "stream":
            counts = _streamed(target, run_id)
        else:
            counts = _pulled(target, run_id, source, entity)
        found += counts.received > 0
        where = (columns.run_id == run_id) & (columns.source == source) & (columns.entity == entity)
        with ledger.begin() as connection:
            connection.execute(update(sync_log).where(where).values(error=COUNTED, **vars(counts)))
    return found


def _pulled(target: Target, run_id: str, source: str, entity: str) -> SyncCounts:
    total = SyncCounts()
    # dlt can repeat rows after a crash: one pass is one load.
    rows = target.fetch(
        f"select distinct received, landed, duplicate, dead, deleted, _dlt_load_id"
        f" from {RAW}.{SYNC_CURSORS.name}"
        f" where run_id = ? and source = ? and entity = ? and {COMPLETE}",
        (run_id, source, entity),
    )
    for *figures, _ in rows:
        total.add(SyncCounts(*map(int, figures)))
    return total


def _streamed(target: Target, run_id: str) -> SyncCounts:
    """Rows of the load that the run landed; repeats that it dropped are known to nobody."""
    loads = f"select _dlt_load_id from {RAW}.{STREAM_OFFSETS.name} where run_id = ? and {COMPLETE}"
    landed = target.fetch(
        f"select count(*) from (select distinct _topic, _partition, _offset"
        f" from {RAW}.{USER_EVENTS.table} where _dlt_load_id in ({loads})) as landed",
        (run_id,),
    )
    dead = target.fetch(
        f"select count(*) from (select distinct dead_letter_id, position"
        f" from {RAW}.dead_letters where _dlt_load_id in ({loads})) as dead",
        (run_id,),
    )
    counts = SyncCounts(landed=landed[0][0] if landed else 0, dead=dead[0][0] if dead else 0)
    counts.received = counts.landed + counts.dead
    return counts
