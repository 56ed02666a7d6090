"""Faults that can be injected: each is there for as long as its block lasts."""

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

import msgspec
import psycopg2
import pytest
from sqlalchemy import create_engine, delete, insert, text, update

from demo import DemoServer, Store
from ledger.runs import now
from ledger.stream import Position, record_positions
from ledger.tables import circuit_breakers, dead_letters, inbox, stream_positions

from .modelled import BY_NAME, ModelledWarehouse
from .on_call import WAITING_EVENT, OnCall
from .warehouse import Warehouse

MEBIBYTE = 2**20
SIX_MINUTES = timedelta(minutes=6)
"""Beyond the five that what is pushed may lag."""
UPDATED = "2026-01-01T00:00:00Z"
MISSING = object()
"""A field that a record lacks."""


@dataclass(frozen=True)
class Scene:
    """A warehouse that is well, what it pulls from, and who watches it."""

    on_call: OnCall
    warehouse: Warehouse
    modelled: ModelledWarehouse
    store: Store
    server: DemoServer

    @property
    def is_duckdb(self) -> bool:
        return self.on_call.settings.postgres_url is None


Injection = Callable[[Scene], AbstractContextManager[None]]


def served(faults: str) -> Injection:
    """The API answers with a fault."""

    @contextmanager
    def inject(scene: Scene) -> Iterator[None]:
        scene.server.faults = faults
        yield
        scene.server.faults = None

    return inject


def spoiled(breaks: str, mends: str) -> Injection:
    """A statement on what was built, and the one that takes it back."""

    @contextmanager
    def inject(scene: Scene) -> Iterator[None]:
        scene.modelled.execute(breaks)
        yield
        scene.modelled.execute(mends)

    return inject


def configured(**thresholds: int) -> Injection:
    """Thresholds that do not hold."""

    @contextmanager
    def inject(scene: Scene) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in thresholds.items():
                patch.setenv(f"MONITOR__THRESHOLDS__{name.upper()}", str(value))
            scene.on_call.restart()
            yield
        scene.on_call.restart()

    return inject


def account(id: str, *, day: int = 1, **others: object) -> dict[str, object]:
    """A record as the API serves it."""
    times = {"created_at": UPDATED, "updated_at": f"2026-01-{day:02}T00:00:00Z"}
    return {"id": id, "name": "A", "plan": "pro"} | times | others


def order(number: int, at: datetime) -> Any:
    """An order of one item for 20 EUR."""
    record = {
        "id": f"o{number}",
        "customer_id": None,
        "status": "paid",
        "currency": "EUR",
        "shipping_address": None,
        "created_at": at.isoformat(),
        "updated_at": at.isoformat(),
        "items": [{"id": "1", "product_id": "p", "quantity": 2, "unit_price": "10.00"}],
    }
    return msgspec.convert(record, BY_NAME["orders"].contract)


@contextmanager
def new_field(scene: Scene) -> Iterator[None]:
    """The API serves more than its contract says."""
    scene.store.upsert("crm", "accounts", account("a9", day=2, new_field=[1]))
    yield


def drifted(**others: object) -> Injection:
    """The API serves a record that breaks its contract; it is mended, and its letter closed."""

    @contextmanager
    def inject(scene: Scene) -> Iterator[None]:
        with configured(dead_letters=0)(scene):
            bad = {**account("a9", day=2), **others}
            served = {name: value for name, value in bad.items() if value is not MISSING}
            scene.store.upsert("crm", "accounts", served)
            yield
            scene.store.upsert("crm", "accounts", account("a9", day=3))
            with scene.on_call.ledger.begin() as connection:
                closed = update(dead_letters).values(status="discarded")
                assert connection.execute(closed).rowcount == 1

    return inject


@contextmanager
def open_breaker(scene: Scene) -> Iterator[None]:
    row = {"source": "crm", "state": "open", "failure_count": 5, "success_count": 0}
    with scene.on_call.ledger.begin() as connection:
        connection.execute(delete(circuit_breakers))
        connection.execute(insert(circuit_breakers).values(row))
    yield
    with scene.on_call.ledger.begin() as connection:
        connection.execute(update(circuit_breakers).values(state="closed"))


@contextmanager
def event_that_nobody_lands(scene: Scene) -> Iterator[None]:
    row = WAITING_EVENT | {"received_at": now() - SIX_MINUTES}
    with scene.on_call.ledger.begin() as connection:
        connection.execute(insert(inbox).values(row))
    yield
    with scene.on_call.ledger.begin() as connection:
        connection.execute(delete(inbox))


@contextmanager
def silent_broker(scene: Scene) -> Iterator[None]:
    """Nothing was heard for a while of a topic that was read."""
    positions = [Position("user-events", 0, 5, 5)]
    record_positions(scene.on_call.ledger, positions)
    silent = update(stream_positions).values(observed_at=now() - SIX_MINUTES)
    with scene.on_call.ledger.begin() as connection:
        connection.execute(silent)
    yield
    record_positions(scene.on_call.ledger, positions)


@contextmanager
def full_disk(scene: Scene) -> Iterator[None]:
    """No file of this process grows beyond a mebibyte, and more than that is to be landed."""
    for place in range(4000):
        scene.store.upsert("crm", "accounts", account(f"n{place}", day=2, name=token_hex(500)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEBIBYTE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def restarted_database(scene: Scene) -> Iterator[None]:
    """Every connection is cut; whoever had one opens another."""
    if scene.is_duckdb:
        scene.on_call.ledger.dispose()
    else:
        url = scene.on_call.settings.ledger_url
        admin = create_engine(url.set(database="postgres"))
        with admin.connect() as connection:
            cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = :name"
            assert connection.execute(text(cut), {"name": url.database}).all()
        admin.dispose()
    yield


@contextmanager
def locked_ledger(scene: Scene) -> Iterator[None]:
    """Somebody else holds what the checks are written to."""
    settings = scene.on_call.settings
    if scene.is_duckdb:
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
