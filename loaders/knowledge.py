"""What the warehouse already holds: cursors, record hashes, and the versions to mark as deleted.

Everything is asked of the target, and of completed loads only, so it can be neither ahead of the
data nor left over from another warehouse.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import pyarrow as pa

from ledger.versions import newest_first
from loaders.arrow import LOAD_ID, arrow_schema
from loaders.columns import RawTable, tables_of
from loaders.contracts import Entity
from loaders.passes import Known
from loaders.target import RAW, Target

COMPLETE = f"_dlt_load_id in (select load_id from {RAW}._dlt_loads where status = 0)"
IDS_A_QUERY = 500


def cursor_of(target: Target, entity: Entity) -> datetime | None:
    """How far the entity's data is complete; None if it never was."""
    rows = target.fetch(
        f"select max(cursor_at) from {RAW}.sync_cursors"
        f" where source = ? and entity = ? and {COMPLETE}",
        (entity.source, entity.name),
    )
    return rows[0][0] if rows else None


def known_records(target: Target, entity: Entity, since: datetime | None) -> Known:
    """Hashes of the live records changed since `since` (None: all), and all dead letter ids.

    Of several contents of one version only the last received is known: bytes that come back after
    others of the same `updated_at` are news. Unless contents came in one load: a source that serves
    an id several times would be news for ever. What was pushed does not move `newest`: it says
    nothing about how far the source can be pulled.
    """
    where = COMPLETE if since is None else f"{COMPLETE} and updated_at >= ?"
    pulled = f"_dlt_load_id in (select load_id from {RAW}._dlt_loads where schema_name = ?)"
    version, load = "partition by id, updated_at", "partition by id, updated_at, _dlt_load_id"
    rows = target.fetch(
        f"select _row_hash, min(id), max(case when {pulled} then updated_at end)"
        " from (select *,"
        f" min(case when version_rank = 1 and _is_deleted then 0 else 1 end) over ({version})"
        " as is_live"
        " from (select id, _row_hash, updated_at, _dlt_load_id, _is_deleted,"
        f" row_number() over ({version}"
        f" order by {newest_first()}) as version_rank,"
        f" min(_row_hash) over ({load}) <> max(_row_hash) over ({load}) as is_one_of_several"
        f" from {RAW}.{entity.table} where {where}) as ranked) as judged"
        " where is_live = 1 and not _is_deleted and (version_rank = 1 or is_one_of_several)"
        " group by _row_hash",
        (entity.source,) if since is None else (entity.source, since),
    )
    letters = target.fetch(
        f"select distinct dead_letter_id from {RAW}.dead_letters"
        f" where source = ? and entity = ? and {COMPLETE}",
        (entity.source, entity.name),
    )
    hashes = {row[0]: row[1] for row in rows}
    newest = max((row[2] for row in rows if row[2]), default=None)
    return Known(hashes, newest, {row[0] for row in letters})


def live_ids(target: Target, entity: Entity) -> set[str]:
    """Ids whose latest version is not deleted."""
    rows = target.fetch(f"select id from ({_latest(entity)}) as latest where not _is_deleted")
    return {row[0] for row in rows}


def tombstones(
    target: Target, entity: Entity, ids: Sequence[str], at: datetime
) -> Iterator[tuple[str, pa.Table]]:
    """The last version of each id once more, marked as deleted and received at `at`.

    Nested items are copied too: they belong to the version, and facts stay.
    """
    own, *children = tables_of(entity)
    for start in range(0, len(ids), IDS_A_QUERY):
        some = ids[start : start + IDS_A_QUERY]
        marks = ", ".join("?" * len(some))
        latest = f"select * from ({_latest(entity)}) as latest where id in ({marks})"
        yield own.name, _deleted(target, own, f"({latest})", some, at)
        for child in children:
            query = (
                f"(select distinct child.* from {RAW}.{child.name} as child"
                f" join ({latest}) as latest on latest.id = child.order_id"
                " and latest._row_hash = child._row_hash"
                " and latest._received_at = child._received_at"
                " and latest._dlt_load_id = child._dlt_load_id)"
            )
            yield child.name, _deleted(target, child, query, some, at)


def _latest(entity: Entity) -> str:
    return (
        "select * from (select *, row_number() over (partition by id"
        f" order by {newest_first()}) as version_rank"
        f" from {RAW}.{entity.table} where {COMPLETE}) as ranked"
        " where version_rank = 1"
    )


def _deleted(
    target: Target, table: RawTable, relation: str, ids: Sequence[str], at: datetime
) -> pa.Table:
    names = [column.name for column in table.columns if column.name != LOAD_ID]
    rows = target.fetch(f"select {', '.join(names)} from {relation} as dying", ids)
    overrides = {"_is_deleted": True, "_received_at": at}
    records = [dict(zip(names, row, strict=True)) | overrides for row in rows]
    return pa.Table.from_pylist(records, schema=arrow_schema(table))
