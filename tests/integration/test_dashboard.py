"""The dashboard: its figures are the marts', on both engines and in a browser with no network."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pandas as pd
import pytest
from playwright.sync_api import sync_playwright
from sqlalchemy import update
from streamlit.testing.v1 import AppTest
from support.modelled import VIEWS, ModelledWarehouse
from support.warehouse import Warehouse

from demo import DemoServer, Store, advance, generate
from ledger.settings import Settings
from ledger.tables import publications
from operations.dashboard_command import command_line
from serving.dashboard.charts import country_number, lines, score_trend, world_map
from serving.dashboard.parts import table_html
from serving.publish import publish, refresh_operations
from serving.reader import open_published

AS_OF = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
OFFLINE = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
)
SECONDS = 60
HISTORIES = ("company_health_history", "company_health_component_history")
PAGES = ("health", "company", "sales", "pipeline")


@pytest.fixture
def published(
    built_warehouse: Warehouse, serve: Callable[..., DemoServer], monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Two days of data, the second day in two builds, published; the environment points at it."""
    store = generate(7, 0.05, AS_OF - timedelta(days=1))
    serve(store)
    warehouse, settings = built_warehouse, built_warehouse.settings
    warehouse.sync()
    modelled = ModelledWarehouse(settings, seeded=True)
    modelled.dbt("run", exclude=VIEWS, as_of=AS_OF - timedelta(days=1))
    # History keeps this first calculation of today; what comes after is the current one.
    modelled.dbt("run", *(f"+{name}" for name in HISTORIES), exclude=VIEWS, as_of=AS_OF)
    advance(store, 7, 0.05, AS_OF)
    need_help(store)
    warehouse.sync()
    modelled.dbt("run", exclude=VIEWS, as_of=AS_OF + timedelta(minutes=1))
    publish(settings, warehouse.ledger, "a-run", AS_OF)
    point_at(settings, monkeypatch)
    return settings


def need_help(store: Store) -> None:
    """An urgent ticket of each company: whatever day it is, some are scored lower than before."""
    pattern = json.loads(store.get("support", "tickets", store.ids("support", "tickets")[0]) or b"")
    at = AS_OF.isoformat()
    for id in store.ids("crm", "companies"):
        news = {"id": f"urgent-{id}", "company_id": id, "priority": "urgent", "resolved_at": None}
        times = {"created_at": at, "updated_at": at}
        store.upsert("support", "tickets", pattern | news | times)


def point_at(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_HOME", str(settings.home))
    monkeypatch.setenv("WAREHOUSE_TARGET", settings.target)
    if settings.postgres_url is not None:
        url = settings.postgres_url.render_as_string(hide_password=False)
        monkeypatch.setenv("WAREHOUSE_POSTGRES_URL", url)


def view(page: str, **parameters: str) -> AppTest:
    """A page as Streamlit runs it, without a browser."""
    script = f"from serving.dashboard.views.{page} import show\nshow()"
    main = sys.modules["__main__"]
    try:
        app = AppTest.from_string(script, default_timeout=SECONDS)
        app.query_params.update(parameters)
        return app.run()
    finally:
        # Streamlit leaves its script there, and a process that a test starts later looks for it.
        sys.modules["__main__"] = main


def figures(app: AppTest) -> dict[str, str]:
    assert not app.exception
    return {metric.label: metric.value for metric in app.metric}


def rows_below(app: AppTest, chart: str) -> list[list[str]]:
    """The rows of the table that a chart has below it."""
    (expander,) = (found for found in app.expander if found.label == f"{chart}, as a table")
    (html,) = (element.proto.body for element in expander.get("html"))
    rows = re.findall("<tr>(.*?)</tr>", html)[1:]
    return [re.findall("<td[^>]*>(.*?)</td>", row) for row in rows]


def ask(settings: Settings, query: str) -> tuple[object, ...]:
    with open_published(settings) as reader:
        (row,) = reader.fetch(query)
    return row


def test_the_figures_are_those_of_the_marts(
    published: Settings, built_warehouse: Warehouse, tmp_path: Path
) -> None:
    (count, average, at_risk) = ask(
        published,
        "select count(*), avg(health_score),"
        " sum(case when health_band = 'at_risk' then 1 else 0 end)"
        " from health.company_health_metrics",
    )
    health = figures(view("health"))
    assert health["Companies"] == f"{count:,}"
    assert health["Average score"] == f"{float(str(average)):.1f}"
    assert health["At risk"] == str(at_risk)
    revenue, orders = ask(
        published, "select sum(total_revenue), sum(order_count) from sales.daily_sales"
    )
    sales = figures(view("sales"))
    assert sales["Revenue"] == f"{revenue:,.0f}"
    assert sales["Orders"] == f"{orders:,}"
    (score,) = ask(
        published,
        "select health_score from health.company_health_metrics"
        " order by health_score, company_name limit 1",
    )
    assert figures(view("company"))["Score"] == str(score)
    _the_last_point_is_the_current_score(published)
    assert figures(view("pipeline"))["Open dead letters"]
    if published.postgres_url is None:
        # The page is the same on both: the figures above are each engine's own.
        _in_a_browser(published, {"Companies": f"{count:,}", "At risk": str(at_risk)}, tmp_path)
    _when_old(published, built_warehouse)


def _the_last_point_is_the_current_score(settings: Settings) -> None:
    """Also of a company that was first scored otherwise today; the day before is as it was."""
    yesterday, today = ((AS_OF - timedelta(days=days)).date() for days in (1, 0))
    company, current, average = ask(
        settings,
        "select min(metrics.company_id), min(metrics.health_score),"
        " (select avg(health_score) from health.company_health_metrics)"
        " from health.company_health_metrics as metrics"
        " where metrics.company_id = (select min(history.company_id)"
        " from health.company_health_history as history"
        " inner join health.company_health_metrics as scored"
        " on history.company_id = scored.company_id"
        f" where history.as_of_date = '{today}'"
        " and history.health_score <> scored.health_score)",
    )
    assert company is not None
    (before,) = ask(
        settings,
        "select health_score from health.company_health_history"
        f" where company_id = '{company}' and as_of_date = '{yesterday}'",
    )
    page = view("company", id=str(company))
    assert figures(page)["Score"] == str(current)
    scores = {day: score for day, score, _ in rows_below(page, "Score by day")}
    assert scores == {str(yesterday): str(before), str(today): str(current)}
    with open_published(settings) as reader:
        components = reader.fetch(
            "select component, points from health.company_health_components where company_id = ?",
            [company],
        )
    points = rows_below(page, "Points by day and component")
    newest = {component: shown for day, component, shown in points if day == str(today)}
    assert newest == {component: f"{float(points):,.2f}" for component, points in components}
    assert any("first score of each day" in caption.value for caption in page.caption)
    trend = rows_below(view("health"), "Trend")
    assert {row[-1] for row in trend if row[0] == str(today)} == {f"{float(str(average)):,.2f}"}


def _in_a_browser(settings: Settings, shown: dict[str, str], folder: Path) -> None:
    """The same figures on the page, nothing fetched from elsewhere, and nothing in red."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: install Debian's `chromium`, or set CHROMIUM to one")
    port = _free_port()
    process = subprocess.Popen(command_line(port, opens_browser=False))
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", process)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OFFLINE))
            page = browser.new_page(viewport={"width": 1300, "height": 1000})
            foreign = []
            page.on("request", lambda request: foreign.append(request.url))
            for path in ("", *PAGES[1:]):
                page.goto(f"http://127.0.0.1:{port}/{path}")
                page.wait_for_selector("[data-testid=stMetricValue]", timeout=SECONDS * 1000)
                assert page.locator("[data-testid=stException]").count() == 0
                if path == "":
                    for label, value in shown.items():
                        metric = page.locator("[data-testid=stMetric]", has_text=label).first
                        assert value in metric.inner_text()
            # A keyboard reaches the pages.
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement !== document.body")
            browser.close()
        local = re.compile(rf"(http|ws)://127\.0\.0\.1:{port}/|data:|blob:")
        assert [url for url in foreign if not local.match(url)] == []
    finally:
        process.terminate()
        process.wait(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until it answers; a process that has ended will not."""

    def answers() -> bool:
        assert process.poll() is None
        try:
            return httpx.get(url, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    _until(answers)


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _when_old(settings: Settings, warehouse: Warehouse) -> None:
    """Old figures say so."""
    with warehouse.ledger.begin() as connection:
        long_ago = datetime.now(UTC) - timedelta(days=3)
        connection.execute(update(publications).values(created_at=long_ago))
    refresh_operations(settings, warehouse.ledger)
    assert any("Old figures" in warning.value for warning in view("health").warning)


def test_it_serves_and_opens_a_browser_where_streamlit_never_ran(tmp_path: Path) -> None:
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    port = _free_port()
    (tmp_path / "home").mkdir()
    home = {"HOME": str(tmp_path / "home"), "WAREHOUSE_HOME": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "operations", "dashboard", "--port", str(port)],
        env=os.environ | home | {"BROWSER": str(browser)},
        stdin=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", process)
        _until(opened.exists)
        assert f"127.0.0.1:{port}" in opened.read_text()
    finally:
        process.terminate()
        process.wait(timeout=10)
    # Whoever ends the command has ended the page.
    with socket.socket() as port_is_free:
        assert port_is_free.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_warehouse_says_what_to_do(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(Settings(tmp_path), monkeypatch)
    app = view(page)
    assert not app.exception
    assert "warehouse run" in app.warning[0].value


def test_countries_are_placed_however_they_are_spelled() -> None:
    same = ("US", "usa", " United States ", "America")
    assert {country_number(name) for name in same} == {"840"}
    assert country_number("Netherlands") == country_number("The Netherlands") == "528"
    assert country_number("Unknown") is country_number(None) is None
    regions = pd.DataFrame(
        {
            "country": ["US", "USA", "Nowhere"],
            "customer_count": [1, 2, 3],
            "total_revenue": [10.0, 20.0, 30.0],
        }
    )
    chart, unplaced = world_map(regions)
    assert list(unplaced["country"]) == ["Nowhere"]
    assert '"total_revenue": 30.0' in chart.to_json()


@pytest.mark.parametrize("days", [1, 2, 10, 59])
def test_a_day_has_one_tick_at_most_and_equal_lines_are_told_apart(days: int) -> None:
    dates = [AS_OF.date() - timedelta(days=back) for back in range(days)]
    points = pd.DataFrame(
        [(day, component, 10.0) for day in dates for component in ("recency", "support")],
        columns=["as_of_date", "component", "points"],
    )
    line = lines(points, "as_of_date", "points", "Points", "component").to_dict()["layer"][0]
    found = line["encoding"]["x"]["axis"]["values"]
    ticks = [(tick["year"], tick["month"], tick["date"]) for tick in found]
    assert (AS_OF.year, AS_OF.month, AS_OF.day) in ticks
    assert len(ticks) == len(set(ticks)) <= min(days, 8)
    assert line["encoding"]["y"]["scale"]["domain"][1] > 10
    assert len({tuple(dash) for dash in line["encoding"]["strokeDash"]["scale"]["range"]}) == 2


def test_the_trend_is_over_its_bars_and_a_day_without_scores_keeps_its_place() -> None:
    dates = [AS_OF.date() - timedelta(days=back) for back in (3, 0)]
    trend = pd.DataFrame({"as_of_date": dates, "health_band": "watch", "companies": 1})
    bars, line = score_trend(trend.assign(average_score=50.0)).to_dict()["layer"]
    assert bars["encoding"]["x"] == line["encoding"]["x"]
    assert len(line["encoding"]["x"]["scale"]["domain"]) == 4


def test_a_heading_stands_where_its_figures_do() -> None:
    data = pd.DataFrame(
        {"industry": ["Media", float("nan")], "orders": [1, 2], "is_resolved": [True, False]}
    )
    html = table_html(data)
    assert '<th scope="col">industry</th><th scope="col" class="number">orders</th>' in html
    assert '<th scope="col">is resolved</th>' in html
    assert '<td class="number">1</td><td>yes</td>' in html
