"""Runs and syncs in the ledger, on both engines."""

from datetime import UTC, timedelta

import pytest
from sqlalchemy import Engine, select

from ledger.engine import open_ledger
from ledger.runs import (
    SyncCounts,
    finish_sync,
    now,
    recent_runs,
    recorded_run,
    start_sync,
    syncs,
)
from ledger.settings import Settings
from ledger.tables import sync_log


@pytest.fixture
def ledger(settings: Settings) -> Engine:
    return open_ledger(settings)


def test_a_run_and_its_syncs(ledger: Engine) -> None:
    counts = SyncCounts(received=6, landed=3, duplicate=2, dead=1, deleted=4)
    with recorded_run(ledger, "sync", "local") as run_id:
        (running,) = recent_runs(ledger)
        assert (running["status"], running["finished_at"]) == ("running", None)
        start_sync(ledger, run_id, "crm", "users", "full")
        at = now()
        finish_sync(ledger, (run_id, "crm", "users"), "succeeded", counts, cursor_after=at)
    (run,) = recent_runs(ledger)
    assert (run["run_id"], run["status"], run["error"]) == (run_id, "succeeded", None)
    assert run["started_at"].tzinfo is not None
    (row,) = syncs(ledger, run_id)
    assert row["cursor_after"] == at
    assert row["cursor_after"].utcoffset() == timedelta()
    assert row["duration_seconds"] >= 0
    figures = [row[name] for name in vars(counts)]
    assert figures == list(vars(counts).values())


def test_a_run_that_fails_says_why(ledger: Engine) -> None:
    with pytest.raises(ValueError, match="no"), recorded_run(ledger, "run", "local"):
        raise ValueError("no way")
    with pytest.raises(KeyboardInterrupt), recorded_run(ledger, "run", "local"):
        raise KeyboardInterrupt
    assert [(r["status"], r["error"]) for r in recent_runs(ledger)] == [
        ("interrupted", "ended by Ctrl-C or SIGTERM"),
        ("failed", "no way"),
    ]


def test_what_a_killed_process_left_is_marked(ledger: Engine) -> None:
    killed = recorded_run(ledger, "run", "local")
    run_id = killed.__enter__()
    start_sync(ledger, run_id, "crm", "users", "incremental")
    with recorded_run(ledger, "run", "local"):
        pass
    newest, oldest = recent_runs(ledger)
    assert newest["status"] == "succeeded"
    assert (oldest["status"], oldest["error"]) == ("interrupted", "the process ended early")
    assert oldest["finished_at"] is not None
    with ledger.connect() as connection:
        assert connection.scalar(select(sync_log.c.status)) == "interrupted"


def test_the_newest_sync_of_each_entity(ledger: Engine) -> None:
    for mode in ("incremental", "full"):
        with recorded_run(ledger, "sync", "local") as run_id:
            for entity in ("users", "accounts"):
                start_sync(ledger, run_id, "crm", entity, mode)
    found = {row["entity"]: row["mode"] for row in syncs(ledger)}
    assert found == {"users": "full", "accounts": "full"}


def test_the_law_and_the_sum() -> None:
    counts = SyncCounts(received=3, landed=1, duplicate=1, dead=1, deleted=9)
    assert counts.balanced
    counts.add(SyncCounts(received=1))
    assert not counts.balanced
    assert counts.deleted == 9
    assert now().tzinfo is UTC
