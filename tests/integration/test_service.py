"""The service as a whole: it takes in, lands, builds and syncs by itself, and says what it does."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import func, select
from support.push import SECRET, Sender, company, feedback
from support.warehouse import Warehouse

from demo import DemoServer, Store
from ledger.errors import SettingsError, TargetError
from ledger.tables import pipeline_runs
from operations.service.schedule import Schedule
from operations.service.serve import Service
from operations.service.settings import ServiceSettings, configured_service
from serving.reader import open_published

SECONDS = 60.0
TOKEN = "a-token"


@pytest.fixture
def service(
    warehouse: Warehouse, serve: Callable[..., DemoServer], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Service, Sender, Store]]:
    store = Store()
    serve(store)
    for name in ("CRM", "SUPPORT"):
        monkeypatch.setenv(f"WEBHOOKS__{name}__SECRETS", SECRET)
    options = ServiceSettings(port=0, cycle_seconds=0.2, sync_token=TOKEN)
    with (
        Service(warehouse.settings, options) as opened,
        httpx.Client(base_url=f"http://127.0.0.1:{opened.port}", trust_env=False) as client,
    ):
        wait_for(lambda: opened.is_idle)
        yield opened, Sender(client), store


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def settled(service: Service) -> bool:
    return service.is_idle and not any(balance.waiting for balance in service.balances())


def shown(warehouse: Warehouse, query: str) -> list[tuple[object, ...]]:
    """What readers see: the service has the working file to itself."""
    with open_published(warehouse.settings) as reader:
        return reader.fetch(query)


def test_what_is_sent_is_scored_within_seconds(
    warehouse: Warehouse, service: tuple[Service, Sender, Store], caplog: pytest.LogCaptureFixture
) -> None:
    opened, sender, store = service
    with caplog.at_level(logging.INFO, "warehouse"):
        sender.send("crm", "company.created", company(), "e1")
        sender.send("support", "feedback.created", feedback(sentiment="negative"), "e2")
        wait_for(lambda: settled(opened))
    scores = "select company_id, health_score from health.company_health_metrics"
    assert [row[0] for row in shown(warehouse, scores)] == ["c1"]
    assert any("2 events landed" in message or "1 events" in message for message in caplog.messages)

    # A sync asked for: only with the token, only of a source that is there.
    store.upsert("crm", "companies", company("c2"))
    assert sender.client.post("/sync/crm").status_code == 401
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert sender.client.post("/sync/erp", headers=headers).status_code == 404
    assert sender.client.post("/sync/crm", headers=headers).status_code == 202
    wait_for(lambda: len(shown(warehouse, scores)) == 2)

    # What nothing is downstream of lands too, and does not keep the service busy.
    sender.send("crm", "deal.won", {"deal": 1}, "e3")
    wait_for(lambda: settled(opened))
    with warehouse.ledger.connect() as connection:
        runs = connection.scalar(select(func.count()).select_from(pipeline_runs))
        time.sleep(1)
        assert connection.scalar(select(func.count()).select_from(pipeline_runs)) == runs
    assert warehouse.rows("select event_type from raw.events_webhook") == [("deal.won",)]


def test_a_failed_build_is_made_good_by_the_next_cycle(
    warehouse: Warehouse,
    service: tuple[Service, Sender, Store],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened, sender, _ = service
    with monkeypatch.context() as broken:
        broken.setattr("operations.cycle.build", _failing)
        sender.send("crm", "company.created", company(), "e1")
        wait_for(lambda: "nobody foresaw" in caplog.text)
        assert not opened.is_idle
    wait_for(lambda: settled(opened))
    assert shown(warehouse, "select count(*) from health.company_health_metrics") == [(1,)]


def test_what_could_not_be_published_is_published_without_a_new_event(
    warehouse: Warehouse,
    service: tuple[Service, Sender, Store],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened, sender, _ = service
    with monkeypatch.context() as full:
        full.setattr("operations.audit.publish", _full)
        sender.send("crm", "company.created", company(), "e1")
        wait_for(lambda: "No space left" in caplog.text)
        assert not opened.is_idle
        with open_published(warehouse.settings) as reader:
            assert reader.fetch(
                "select count(*) from core.dim_company where company_id = 'c1'"
            ) == [(0,)]
    wait_for(lambda: settled(opened))
    scores = "select company_id from health.company_health_metrics"
    assert shown(warehouse, scores) == [("c1",)]


def _full(*_: object, **__: object) -> None:
    raise TargetError("the marts could not be published: No space left on device")


def _failing(*_: object, **__: object) -> None:
    raise RuntimeError("a bug")


def test_each_moment_counts_once() -> None:
    start = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
    schedule = Schedule({"crm": "*/15 * * * *", "build": "10 * * * *"}, start)
    assert schedule.due(start + timedelta(minutes=2)) == []
    assert schedule.due(start + timedelta(minutes=3)) == ["build"]
    assert schedule.due(start + timedelta(minutes=3)) == []
    assert schedule.due(start + timedelta(hours=5)) == ["crm", "build"], "slept through, once"
    assert schedule.due(start + timedelta(hours=5, minutes=1)) == []


def test_schedules_have_defaults_and_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(configured_service().schedules) == {
        *("crm", "commerce", "support"),
        *("reconcile", "build", "maintain"),
    }
    monkeypatch.setenv("SERVE__SCHEDULES__CRM", "*/5 * * * *")
    monkeypatch.setenv("SERVE__SCHEDULES__BUILD", " ")
    found = configured_service().schedules
    assert (found["crm"], "build" in found) == ("*/5 * * * *", False)


@pytest.mark.parametrize(
    ("name", "value"),
    [("SCHEDULES__CRM", "daily"), ("PORT", "http"), ("CYCLE_SECONDS", "0"), ("QUEUE_LIMIT", "-1")],
)
def test_settings_that_mean_nothing_are_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SERVE__{name}", value)
    with pytest.raises(SettingsError, match="serve: "):
        configured_service()


def test_a_port_that_is_taken_is_named(warehouse: Warehouse) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{port}"),
            Service(warehouse.settings, ServiceSettings(port=port)),
        ):
            pass
