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
    pipeline_runs,
    publications,
    quality_results,
    stream_positions,
    sync_log,
)
from operations.monitor.checks import Check, Context, evaluate
from operations.monitor.thresholds import configured_thresholds

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
        [*RUN, (sync_log, {"finished_at": ago(days=1)})],
        [*RUN, (sync_log, {"finished_at": ago(days=1, seconds=1)})],
    ),
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
    with ledger.begin() as writing:
        for table, values in rows:
            writing.execute(insert(table).values(DEFAULTS[table] | values))
    thresholds = configured_thresholds()
    context = Context(settings, ledger, connection, thresholds, AT, 10, reads_stream=True)
    (found,) = (one for one in evaluate(context) if one.name.partition(":")[0] == name)
    return found


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
