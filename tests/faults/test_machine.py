"""Faults of the machine and its databases: noticed, told, and healed by the next cycle."""

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import psycopg2
import pytest
from sqlalchemy import create_engine, text, update
from support.on_call import SYNC, OnCall, Sink
from support.warehouse import Warehouse

from demo import DemoServer, Store, generate
from ledger.engine import open_ledger
from ledger.errors import TargetError
from ledger.runs import now
from ledger.settings import Settings
from ledger.tables import circuit_breakers

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
MEBIBYTE = 2**20


def upsert_accounts(store: Store, number: int) -> None:
    """Records that no compression makes small."""
    at = "2026-01-02T00:00:00Z"
    for place in range(number):
        record = {"id": f"n{place}", "name": token_hex(500), "plan": "p"}
        store.upsert("crm", "accounts", record | {"created_at": at, "updated_at": at})


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process grows beyond a mebibyte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEBIBYTE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full(serve: Callable[..., DemoServer], on_call: OnCall) -> None:
    store = Store()
    serve(store)
    assert on_call.cycle(SYNC).succeeded
    upsert_accounts(store, 4000)
    with full_disk():
        with pytest.raises(TargetError, match="landing failed"):
            on_call.cycle(SYNC)
        causes, messages = on_call.look()
        assert causes == {"source:crm"}
        assert "File too large" in messages[0]
        with pytest.raises(TargetError):
            on_call.cycle(SYNC)
        assert on_call.look() == ({"source:crm"}, []), "no repeat while it lasts"
    healed = on_call.cycle(SYNC)
    assert sum(sync.counts.landed for sync in healed.syncs) == 4000
    assert on_call.look() == (set(), ["source:crm: well again"])


def test_a_database_that_was_restarted(
    serve: Callable[..., DemoServer], on_call: OnCall, settings: Settings
) -> None:
    """Every connection is cut; whoever had one opens another."""
    serve(generate(7, 0.02, AS_OF))
    assert on_call.cycle(SYNC).succeeded
    if settings.postgres_url is None:
        on_call.ledger.dispose()
    else:
        admin = create_engine(settings.ledger_url.set(database="postgres"))
        with admin.connect() as connection:
            cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = :name"
            assert connection.execute(text(cut), {"name": settings.ledger_url.database}).all()
        admin.dispose()
    assert on_call.cycle(SYNC).succeeded
    assert on_call.look() == (set(), [])


@contextmanager
def locked_ledger(settings: Settings) -> Iterator[None]:
    """Somebody else holds what the checks are written to."""
    if settings.postgres_url is None:
        holder = sqlite3.connect(settings.home / "ledger.sqlite")
        holder.execute("begin exclusive")
    else:
        holder = psycopg2.connect(**settings.postgres_parameters())
        holder.cursor().execute("lock table ledger.health_checks in access exclusive mode")
    try:
        yield
    finally:
        holder.rollback()
        holder.close()


def test_a_ledger_that_is_locked_is_told_without_it(
    settings: Settings, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.engine.LOCK_SECONDS", 0.5)
    ledger = open_ledger(settings)
    on_call = OnCall(settings, ledger, sink)
    assert on_call.look() == (set(), [])
    with locked_ledger(settings):
        seen = on_call.supervisor.observe()
    assert [check.root_cause for check in seen.checks] == ["ledger"]
    assert all(check.is_healthy for check in on_call.supervisor.observe().checks)
    on_call.supervisor.close()
    ledger.dispose()
    problem, recovery = sink.taken()
    assert "lock" in problem
    assert recovery == "ledger: well again"


def test_data_that_is_late_is_one_message_a_source(
    serve: Callable[..., DemoServer], warehouse: Warehouse, sink: Sink, monkeypatch: Any
) -> None:
    """A source that is down for a day: its sync, its age and its breaker have one root cause."""
    monkeypatch.setenv("MONITOR__THRESHOLDS__PUBLICATION_LAG", "10000")
    on_call = OnCall(warehouse.settings, warehouse.ledger, sink)
    server = serve(Store())
    assert on_call.cycle(SYNC).succeeded
    tomorrow = now() + timedelta(hours=25)
    assert on_call.look(tomorrow - timedelta(hours=2)) == (set(), [])
    server.faults = "outage"
    assert on_call.cycle(SYNC).errors
    with warehouse.ledger.begin() as connection:
        connection.execute(update(circuit_breakers).values(state="open"))
    causes, (message,) = on_call.look(tomorrow)
    assert causes == {"source:crm"}
    assert message.endswith("(sync:crm, pull_freshness:crm, circuit_breaker:crm)")
    server.faults = None
    assert on_call.cycle(SYNC).succeeded
    assert on_call.look() == (set(), ["source:crm: well again"])
