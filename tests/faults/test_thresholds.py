"""Every threshold of the seed: what lies on it is well, and the next worse value is not."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Table, insert
from support.on_call import WAITING_EVENT

from ledger.engine import open_ledger
from ledger.settings import Settings
from ledger.tables import (
    alerts,
    circuit_breakers,
    dead_letters,
    inbox,
    metadata,
    model_runs,
    pipeline_runs,
    publication_tables,
    publications,
    quality_results,
    stream_positions,
    sync_log,
)
from operations.monitor.checks import evaluate
from operations.monitor.context import Check, Context
from operations.monitor.thresholds import configured_thresholds
from operations.service.settings import configured_schedules

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
DEFAULTS: dict[Table, dict[str, Any]] = {
    pipeline_runs: {
        "run_id": "r",
        "command": "run",
        "target": "local",
        "host": "h",
        "pid": 1,
        "status": "succeeded",
        "started_at": AT,
    },
    inbox: WAITING_EVENT | {"received_at": AT},
    stream_positions: {
        "topic": "t",
        "partition": 0,
        "next_offset": 0,
        "high_watermark": 0,
        "lag": 0,
        "observed_at": AT,
    },
    sync_log: {
        "run_id": "r",
        "source": "crm",
        "entity": "users",
        "mode": "pull",
        "status": "succeeded",
        "started_at": AT,
        "finished_at": AT,
    },
    circuit_breakers: {
        "source": "crm",
        "state": "closed",
        "failure_count": 0,
        "success_count": 0,
    },
    dead_letters: {
        "dead_letter_id": "d",
        "way_in": "pull",
        "source": "crm",
        "error": "e",
        "payload": b"{}",
        "first_seen_at": AT,
        "status": "open",
        "replays": 0,
    },
    publications: {
        "version": 1,
        "run_id": "r",
        "status": "published",
        "audit": "passed",
        "as_of": AT,
        "created_at": AT,
    },
    quality_results: {
        "suite": "raw",
        "rule": "u",
        "since": AT,
        "status": "passed",
        "failing_count": 0,
        "run_id": "r",
        "checked_at": AT,
        "check_count": 1,
    },
    publication_tables: {"version": 1, "row_count": 1},
    model_runs: {
        "run_id": "r",
        "resource_type": "model",
        "status": "error",
        "started_at": AT,
        "duration_seconds": 1.0,
    },
    alerts: {
        "root_cause": "source:crm",
        "kind": "problem",
        "message": "m",
        "created_at": AT,
        "attempts": 0,
    },
}
Rows = list[tuple[Table, dict[str, Any]]]


def ago(**time: float) -> datetime:
    return AT - timedelta(**time)


def many(table: Table, key: str, number: int, **values: Any) -> Rows:
    return [(table, {key: f"{n}", **values}) for n in range(number)]


def runs(failed: int) -> Rows:
    """A thousand runs of a day; the newest went well."""
    last = ("status", ("failed", "succeeded"))
    return [
        (
            pipeline_runs,
            {"run_id": f"{n}", last[0]: last[1][n >= failed], "started_at": ago(hours=1)},
        )
        for n in range(1000)
    ]


def published(**age: float) -> Rows:
    """A version with one mart."""
    mart = {"table_name": "core.fct_sales"}
    return [(publications, {"created_at": ago(**age)}), (publication_tables, mart)]


REPLAYED = {"event_id": "replayed", "received_at": ago(days=30)}
RUN: Rows = [(pipeline_runs, {})]
# By threshold: what lies on it, and what lies beyond.
EDGES: dict[str, tuple[Rows, Rows]] = {
    "webhook_lag": (
        [
            (inbox, {"received_at": ago(minutes=5)}),
            (inbox, REPLAYED | {"waiting_since": ago(minutes=5)}),
        ],
        [(inbox, {"received_at": ago(minutes=5, seconds=1)})],
    ),
    "queue_depth": (many(inbox, "event_id", 8), many(inbox, "event_id", 9)),
    "stream_lag": (
        [(stream_positions, {"lag": 100_000})],
        [(stream_positions, {"lag": 100_000}), (stream_positions, {"partition": 1, "lag": 1})],
    ),
    "stream_silence": (
        [(stream_positions, {"observed_at": ago(minutes=5)})],
        [(stream_positions, {"observed_at": ago(minutes=5, seconds=1)})],
    ),
    "sync": (
        [*RUN, (sync_log, {})],
        [*RUN, (sync_log, {"status": "failed", "error": "401"})],
    ),
    "pull_freshness": (
        [*RUN, (sync_log, {"finished_at": ago(hours=26)})],
        [*RUN, (sync_log, {"finished_at": ago(hours=26, seconds=1)})],
    ),
    "mart_freshness": (published(hours=26), published(hours=26, seconds=1)),
    "publication_lag": (
        [*RUN, (sync_log, {"landed": 1, "finished_at": ago(minutes=15)})],
        [*RUN, (sync_log, {"landed": 1, "finished_at": ago(minutes=15, seconds=1)})],
    ),
    "push_freshness": (
        [(inbox, {"status": "landed", "landed_at": ago(minutes=5)})],
        [(inbox, {"status": "landed", "landed_at": ago(minutes=5, seconds=1)})],
    ),
    "success_ratio": (runs(failed=1), runs(failed=2)),
    "dead_letters": (
        many(dead_letters, "dead_letter_id", 1000),
        many(dead_letters, "dead_letter_id", 1001),
    ),
    "dead_letter_age": (
        [(dead_letters, {"first_seen_at": ago(days=30)})],
        [(dead_letters, {"first_seen_at": ago(days=30, seconds=10)})],
    ),
    "ledger_balance": (
        [*RUN, (sync_log, {"received": 3, "landed": 1, "duplicate": 1, "dead": 1})],
        [*RUN, (sync_log, {"received": 4, "landed": 1, "duplicate": 1, "dead": 1})],
    ),
    "circuit_breaker": (
        [(circuit_breakers, {})],
        [(circuit_breakers, {"state": "half-open"})],
    ),
    "quality": (
        [(quality_results, {})],
        [(quality_results, {"status": "failed"})],
    ),
    "build": (
        [(quality_results, {"suite": "dbt", "status": "failed"})],
        [(quality_results, {"suite": "dbt", "status": "error"})],
    ),
    "publication": (
        [(publications, {"status": "rejected"}), (publications, {"version": 2})],
        [(publications, {}), (publications, {"version": 2, "status": "rejected"})],
    ),
    "alert_delivery": (
        [(alerts, {}), (alerts, {"attempts": 3, "created_at": ago(days=30)})],
        [(alerts, {"attempts": 1})],
    ),
    "cycle": (
        [(pipeline_runs, {"run_id": "1", "status": "failed", "started_at": ago(hours=1)}), *RUN],
        [
            (pipeline_runs, {"run_id": "1", "started_at": ago(hours=1)}),
            (pipeline_runs, {"status": "failed"}),
        ],
    ),
}


@pytest.fixture(scope="module")
def ledger(module_settings: Settings) -> Iterator[Engine]:
    opened = open_ledger(module_settings)
    yield opened
    opened.dispose()


@pytest.fixture
def connection(ledger: Engine) -> Iterator[Connection]:
    """A ledger with nothing in it."""
    with ledger.begin() as emptied:
        for table in reversed(metadata.sorted_tables):
            emptied.execute(table.delete())
    with ledger.connect() as opened:
        yield opened


def judged(
    settings: Settings, ledger: Engine, connection: Connection, rows: Rows, name: str
) -> Check:
    (found,) = (
        check
        for check in evaluated(settings, ledger, connection, rows)
        if check.name.partition(":")[0] == name
    )
    return found


def evaluated(
    settings: Settings, ledger: Engine, connection: Connection, rows: Rows
) -> list[Check]:
    with ledger.begin() as writing:
        for table, values in rows:
            writing.execute(insert(table).values(DEFAULTS[table] | values))
    return evaluate(
        Context(
            *(settings, ledger, connection, configured_thresholds(), AT, 10),
            reads_stream=True,
            schedules=configured_schedules(),
        )
    )


def test_every_threshold_has_its_edge() -> None:
    assert configured_thresholds().keys() == EDGES.keys() | {"disk_free"}


@pytest.mark.parametrize("is_beyond", [False, True], ids=["on it", "beyond it"])
@pytest.mark.parametrize("name", EDGES)
def test_what_is_beyond_a_threshold_is_not_well(
    module_settings: Settings, ledger: Engine, connection: Connection, name: str, is_beyond: bool
) -> None:
    check = judged(module_settings, ledger, connection, EDGES[name][is_beyond], name)
    assert check.is_healthy is not is_beyond, check
    assert bool(check.advice) is is_beyond


@pytest.mark.parametrize(("missing", "is_well"), [(0, True), (2**20, False)])
def test_a_disk_has_room_down_to_its_threshold(
    module_settings: Settings,
    ledger: Engine,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    missing: int,
    is_well: bool,
) -> None:
    room = SimpleNamespace(free=2**30 - missing)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    assert judged(module_settings, ledger, connection, [], "disk_free").is_healthy is is_well


SERVED: Rows = [(pipeline_runs, {"command": "serve"})]
# The clock says 12:00: pulls are due every 15 minutes, builds at ten past every hour.
LAST = {"pull_freshness": {"hours": 1}, "mart_freshness": {"hours": 3, "minutes": 50}}


def last_did(name: str, **age: float) -> Rows:
    """What `serve` did last so long ago."""
    if name == "mart_freshness":
        return [*SERVED, *published(**age)]
    return [*SERVED, (sync_log, {"finished_at": ago(**age), "started_at": ago(**age)})]


@pytest.mark.parametrize("is_beyond", [False, True], ids=["on it", "beyond it"])
@pytest.mark.parametrize("name", LAST)
def test_where_serve_works_three_missed_moments_are_too_many(
    module_settings: Settings, ledger: Engine, connection: Connection, name: str, is_beyond: bool
) -> None:
    rows = last_did(name, **LAST[name], seconds=1 if is_beyond else 0)
    check = judged(module_settings, ledger, connection, rows, name)
    assert check.is_healthy is not is_beyond, check


@pytest.mark.parametrize("name", LAST)
def test_a_configured_threshold_is_above_the_schedule(
    module_settings: Settings,
    ledger: Engine,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(f"MONITOR__THRESHOLDS__{name.upper()}", "600")
    check = judged(module_settings, ledger, connection, last_did(name, hours=10), name)
    assert check.is_healthy
    assert check.threshold == 600


@pytest.mark.parametrize(
    ("name", "schedule"), [("pull_freshness", "CRM"), ("mart_freshness", "BUILD")]
)
def test_what_serve_never_does_is_as_old_as_by_hand(
    module_settings: Settings,
    ledger: Engine,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    schedule: str,
) -> None:
    monkeypatch.setenv(f"SERVE__SCHEDULES__{schedule}", "")
    check = judged(module_settings, ledger, connection, last_did(name, hours=20), name)
    assert check.is_healthy


def test_the_stalest_entity_of_a_source_counts_and_is_named(
    module_settings: Settings, ledger: Engine, connection: Connection
) -> None:
    stale = {"entity": "companies", "finished_at": ago(hours=27)}
    gone = {"entity": "of_old", "finished_at": ago(days=80)}
    rows = [*RUN, (sync_log, {}), (sync_log, stale), (sync_log, gone)]
    check = judged(module_settings, ledger, connection, rows, "pull_freshness")
    assert not check.is_healthy
    assert check.advice.startswith("companies were pulled last at 2026-03-01 09:00 UTC; ")


def test_a_mart_that_readers_never_saw_is_late_once_a_build_tried(
    module_settings: Settings, ledger: Engine, connection: Connection
) -> None:
    node = {"node": "model.warehouse.fct_sales", "started_at": ago(hours=27)}
    other = {"node": "model.warehouse.int_orders__sales", "started_at": ago(hours=27)}
    rows: Rows = [*RUN, (model_runs, node), (model_runs, other)]
    check = judged(module_settings, ledger, connection, rows, "mart_freshness")
    assert (check.name, check.is_healthy) == ("mart_freshness:core.fct_sales", False)
    assert check.advice.startswith("readers do not see core.fct_sales yet")


OLD: Rows = published(hours=27)
STALE: Rows = [*RUN, (sync_log, {"finished_at": ago(hours=27)})]
BEHIND: dict[str, tuple[Rows, set[str]]] = {
    "nothing else": (OLD, {"publication"}),
    "a source": ([*OLD, *STALE], {"source:crm"}),
    "a version that was refused": (
        [*OLD, (publications, {"version": 2, "status": "rejected"})],
        {"publication"},
    ),
    "a late publication and a source": (
        [
            *OLD,
            *STALE,
            (
                sync_log,
                {"entity": "companies", "received": 1, "landed": 1, "finished_at": ago(hours=2)},
            ),
        ],
        {"publication", "source:crm"},
    ),
    "a test that failed": ([*OLD, (quality_results, {"status": "failed"})], {"quality"}),
    "a failed test and a source": (
        [*OLD, *STALE, (quality_results, {"status": "failed"})],
        {"quality", "source:crm"},
    ),
}


@pytest.mark.parametrize("behind", BEHIND)
def test_marts_that_are_old_are_no_root_cause_of_their_own(
    module_settings: Settings, ledger: Engine, connection: Connection, behind: str
) -> None:
    rows, causes = BEHIND[behind]
    found = evaluated(module_settings, ledger, connection, rows)
    assert not all(c.is_healthy for c in found if c.name.startswith("mart_freshness"))
    assert {check.root_cause for check in found if not check.is_healthy} == causes
