"""Retention: what is old goes by policy; what waits, counts, is shown or is undecided stays."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update
from support.push import assert_balanced
from support.warehouse import Warehouse

from ledger.alerts import raise_alerts
from ledger.balance import add_to_totals
from ledger.dead_letters import QUALITY, STATUSES
from ledger.inbox import waiting_count
from ledger.publications import PUBLISHED, REJECTED
from ledger.retention import DAYS, outdated
from ledger.runs import now
from ledger.tables import (
    access_log,
    alerts,
    dead_letters,
    export_jobs,
    inbox,
    model_runs,
    pipeline_runs,
    publication_tables,
    publications,
    quality_results,
    sync_log,
)
from operations.maintenance import maintain

DAY = timedelta(days=1)
LONG_AGO, LATELY = 400, 1
"""Days of age."""
TEXT = "x"


def told(connection: Connection, age: int, at: datetime) -> None:
    """A row of everything that the ledger tells, of some age."""
    moment, id = at - age * DAY, f"{age}"
    run = {"run_id": id, "command": "run", "target": "local", "host": "h", "pid": 1}
    sync = {"source": "crm", "entity": "users", "mode": "incremental", "received": 2, "landed": 2}
    rule = {"suite": "raw", "table_name": "t", "failing_count": 0, "run_id": id, "check_count": 1}
    job = {"dataset": "d", "format": "csv", "version": 1, "destination": "f", "status": "succeeded"}
    done = {"rows_done": 1, "rows_total": 1, "bytes_done": 1}
    rows: list[tuple[Table, dict[str, Any]]] = [
        (pipeline_runs, run | {"status": "succeeded", "started_at": moment}),
        (sync_log, sync | {"run_id": id, "status": "succeeded", "started_at": moment}),
        (
            model_runs,
            {"run_id": id, "node": "n", "resource_type": "model", "status": "success"}
            | {"started_at": moment, "duration_seconds": 1},
        ),
        (
            quality_results,
            rule | {"rule": "a", "status": id, "since": moment, "checked_at": moment},
        ),
        (
            alerts,
            {"root_cause": "disk", "kind": "problem", "message": TEXT, "attempts": 1}
            | {"created_at": moment},
        ),
        (access_log, {"path": "/", "status": 200, "accessed_at": moment}),
        (export_jobs, job | done | {"job_id": id, "started_at": moment}),
    ]
    for table, row in rows:
        connection.execute(insert(table).values(row))


def letters(connection: Connection, at: datetime) -> None:
    """Old letters of every status; those of records in raw are part of no balance."""
    for status in STATUSES:
        row = {"dead_letter_id": status, "way_in": QUALITY, "source": "crm", "error": TEXT}
        row |= {"payload": b"{}", "first_seen_at": at - LONG_AGO * DAY, "replays": 0}
        connection.execute(insert(dead_letters).values(row | {"status": status}))


def publish(connection: Connection, at: datetime, *versions: tuple[int, str]) -> None:
    for version, status in versions:
        row = {"version": version, "run_id": "r", "status": status, "audit": "passed"}
        connection.execute(insert(publications).values(row | {"as_of": at, "created_at": at}))
        table = {"version": version, "table_name": "core.fct_sales", "row_count": 1}
        connection.execute(insert(publication_tables).values(table))


def count(warehouse: Warehouse) -> dict[str, int]:
    with warehouse.ledger.connect() as connection:
        return {
            table.name: len(connection.execute(select(table)).all())
            for table in outdated(connection, now())
        }


def test_what_is_old_goes_and_a_dry_run_says_so_first(warehouse: Warehouse) -> None:
    at = now()
    with warehouse.ledger.begin() as connection:
        told(connection, LONG_AGO, at)
        told(connection, LATELY, at)
        letters(connection, at)
        publish(connection, at - LONG_AGO * DAY, (1, PUBLISHED), (2, PUBLISHED), (3, REJECTED))
    before = count(warehouse)
    assert before.keys() == DAYS.keys(), "each has a row that is to go"
    foreseen = maintain(warehouse.settings, dry_run=True)["ledger"]
    assert count(warehouse) == before
    gone = maintain(warehouse.settings, dry_run=False)["ledger"]
    expected = dict.fromkeys(DAYS, 1) | {"publications": 2, "publication_tables": 2, "inbox": 0}
    assert foreseen == expected
    assert gone == expected
    assert_balanced(warehouse.ledger)
    with warehouse.ledger.connect() as connection:
        kept = set(connection.scalars(select(dead_letters.c.status)))
        shown = connection.scalars(select(publications.c.version)).all()
        runs = set(connection.scalars(select(pipeline_runs.c.command)))
    assert kept == {"open", "replayed", "discarded", "parked"}
    assert shown == [2], "what readers see stays, however old"
    assert runs == {"run", "maintain"}


def test_the_newest_verdict_of_a_rule_and_the_run_of_a_kept_sync_stay(
    warehouse: Warehouse,
) -> None:
    at = now()
    with warehouse.ledger.begin() as connection:
        told(connection, LONG_AGO, at)
        connection.execute(update(sync_log).values(started_at=at))
    maintain(warehouse.settings, dry_run=False)
    left = count(warehouse)
    assert (left["quality_results"], left["sync_log"], left["model_runs"]) == (1, 1, 0)
    assert left["pipeline_runs"] == 2, "that of the sync, and that of the maintenance"


def test_a_fault_that_lasts_is_not_told_again_and_its_end_is(warehouse: Warehouse) -> None:
    at, faults = now(), {"disk": "full", "source:crm": "down"}
    with warehouse.ledger.begin() as connection:
        raise_alerts(connection, {"disk": "full"}, {}, ["a", "b"], at - (LONG_AGO + 2) * DAY)
        raise_alerts(connection, {}, {}, ["a", "b"], at - (LONG_AGO + 1) * DAY)
        raise_alerts(connection, faults, {}, ["a", "b"], at - LONG_AGO * DAY)
    gone = maintain(warehouse.settings, dry_run=False)["ledger"]
    assert gone["alerts"] == 6, "of eight rows the newest of each root cause stays"
    with warehouse.ledger.begin() as connection:
        assert raise_alerts(connection, faults, {}, ["a", "b"], at) == []
        said = raise_alerts(connection, {}, {}, ["a", "b"], at)
    assert said == ["disk: well again", "source:crm: well again"]


def waiting_and_landed(warehouse: Warehouse) -> int:
    with warehouse.ledger.connect() as connection:
        return len(connection.execute(select(inbox.c.event_id)).all())


def test_events_that_wait_stay_and_those_that_landed_go_and_still_count(
    warehouse: Warehouse,
) -> None:
    moment = now() - LONG_AGO * DAY
    with warehouse.ledger.begin() as connection:
        for id, status in (("a", "waiting"), ("b", "landed")):
            row = {"way_in": "webhook", "source": "crm", "event_id": id, "event_type": "x"}
            row |= {"is_deletion": False, "body": b"{}", "body_hash": "h", "received_at": moment}
            landed_at = moment if status == "landed" else None
            connection.execute(insert(inbox).values(row | {"status": status, "attempts": 0}))
            connection.execute(
                update(inbox).where(inbox.c.event_id == id).values(landed_at=landed_at)
            )
        add_to_totals(connection, ("webhook", "crm"), received=2)
    assert maintain(warehouse.settings, dry_run=True)["ledger"]["inbox"] == 1
    assert waiting_and_landed(warehouse) == 2, "a dry run"
    assert maintain(warehouse.settings, dry_run=False)["ledger"]["inbox"] == 1
    assert waiting_and_landed(warehouse) == 1
    assert waiting_count(warehouse.ledger) == 1
    assert_balanced(warehouse.ledger)


LOADS = "create table raw._dlt_loads (load_id text, status bigint, inserted_at timestamptz)"


def completed(warehouse: Warehouse, age: int) -> str:
    """Id of a load that was completed some days ago."""
    moment = now() - age * DAY
    load_id = str(moment.timestamp())
    warehouse.execute(f"insert into raw._dlt_loads values ('{load_id}', 0, '{moment.isoformat()}')")
    return load_id


def test_what_old_loads_said_of_themselves_goes_but_not_the_last_word(
    warehouse: Warehouse,
) -> None:
    warehouse.execute("create schema if not exists raw")
    warehouse.execute(LOADS)
    word = "source text, entity text, cursor_at timestamptz, _dlt_load_id text"
    warehouse.execute(f"create table raw.sync_cursors ({word})")
    place = "topic text, partition bigint, next_offset bigint, _dlt_load_id text"
    warehouse.execute(f"create table raw.stream_offsets ({place})")
    warehouse.execute("create table raw.inbox_batches (batch_id text, _dlt_load_id text)")
    older, old, young = (completed(warehouse, age) for age in (LONG_AGO + 1, LONG_AGO, LATELY))
    for load_id in (older, old):
        # An idle source says the same again and again, one that never got anywhere says nothing.
        warehouse.execute(
            f"insert into raw.sync_cursors values ('crm', 'users', '2026-01-01', '{load_id}'),"
            f" ('crm', 'accounts', null, '{load_id}')"
        )
    for next_offset, load_id in ((7, older), (5, old), (9, young)):
        for partition in (0, 1) if load_id != young else (1,):
            row = f"'events', {partition}, {next_offset}, '{load_id}'"
            warehouse.execute(f"insert into raw.stream_offsets values ({row})")
    for load_id in (old, young):
        warehouse.execute(f"insert into raw.inbox_batches values ('b', '{load_id}')")
    expected = {"sync_cursors": 2, "stream_offsets": 3, "inbox_batches": 1}
    assert maintain(warehouse.settings, dry_run=True)["raw"] == expected
    assert maintain(warehouse.settings, dry_run=False)["raw"] == expected
    assert maintain(warehouse.settings, dry_run=False)["raw"] == {}
    cursors = "select entity, _dlt_load_id from raw.sync_cursors order by entity"
    assert warehouse.rows(cursors) == [("accounts", old), ("users", old)]
    offsets = "select partition, next_offset from raw.stream_offsets order by partition"
    assert warehouse.rows(offsets) == [(0, 7), (1, 9)]


def test_raw_loses_only_old_rows_of_loads_that_never_ended(warehouse: Warehouse) -> None:
    old, young = (str((now() - age * DAY).timestamp()) for age in (8, 1))
    warehouse.execute("create schema if not exists raw")
    warehouse.execute(LOADS)
    warehouse.execute("create table raw.crm__users (id text, _dlt_load_id text)")
    ancient = completed(warehouse, LONG_AGO)
    for id, load_id in (("complete", ancient), ("left", old), ("running", young)):
        warehouse.execute(f"insert into raw.crm__users values ('{id}', '{load_id}')")
    assert maintain(warehouse.settings, dry_run=True)["raw"] == {"crm__users": 1}
    assert maintain(warehouse.settings, dry_run=False)["raw"] == {"crm__users": 1}
    left = warehouse.rows("select id from raw.crm__users order by id")
    assert left == [("complete",), ("running",)]
