"""The dashboard's first page in Chromium: against its queries, its weight, when it can be used.

2,000 companies and 200,000 pieces of feedback, published. Streamlit has answered before; the
browser has not seen the page (no cache). It can be used when its figures and charts stand and the
script has ended. Needs Chromium (Debian's `chromium`, or CHROMIUM).
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime

import httpx
from playwright.sync_api import Browser, Request, sync_playwright

from benchmarks.measure import figure, quick
from benchmarks.raw_rows import warehouse_with_feedback
from ledger.settings import Settings
from operations.cycle import run_cycle
from operations.dashboard_command import command_line
from operations.dbt_runner import build
from operations.plan import Plan
from operations.progress import Reporter
from serving.dashboard.queries import COMPANIES, frame, moves, trend
from serving.reader import open_published

ROUNDS = 5
SECONDS = 60
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
IS_READY = """() => document.querySelectorAll('[data-testid=stMetricValue]').length >= 5
    && document.querySelectorAll('canvas, svg.marks').length >= 1
    && !document.querySelector('[data-testid=stStatusWidget]')"""


def bare(settings: Settings) -> float:
    """Seconds of the page's queries, with opening what is published."""
    start = time.perf_counter()
    with open_published(settings) as reader:
        frame(reader, COMPANIES)
        trend(reader)
        moves(reader)
    return time.perf_counter() - start


def view(browser: Browser, address: str) -> tuple[float, float]:
    """Seconds until the page can be used, and its megabytes."""
    context = browser.new_context()
    page = context.new_page()
    weight = 0

    def count(request: Request) -> None:
        nonlocal weight
        sizes = request.sizes()
        weight += sizes["responseBodySize"] + sizes["responseHeadersSize"]

    page.on("requestfinished", count)
    start = time.perf_counter()
    page.goto(address)
    page.wait_for_function(IS_READY, timeout=SECONDS * 1000)
    passed = time.perf_counter() - start
    context.close()
    return passed, weight / 1e6


def measure(settings: Settings, engine: str, chromium: str) -> None:
    """Print the figures of an engine."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {"WAREHOUSE_HOME": str(settings.home), "WAREHOUSE_TARGET": settings.target}
    if settings.postgres_url is not None:
        url = settings.postgres_url.render_as_string(hide_password=False)
        environment["WAREHOUSE_POSTGRES_URL"] = url
    command = command_line(port, opens_browser=False)
    server = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/_stcore/health")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            views = [view(browser, address) for _ in range(ROUNDS + 1)][1:]
            browser.close()
    finally:
        server.terminate()
        server.wait(timeout=10)
    shown = statistics.median(seconds for seconds, _ in views)
    queries = statistics.median(bare(settings) for _ in range(ROUNDS))
    times = f"{shown:.2f} s against {queries * 1000:.0f} ms of queries"
    figure("dashboard, first view against its queries", engine, shown / queries, "≤ 100", times)
    figure("dashboard, seconds until it can be used", engine, shown, "≤ 3", times)
    weight = max(megabytes for _, megabytes in views)
    figure("dashboard, megabytes of the first view", engine, weight, "≤ 5", f"{weight:.2f} MB")


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise TimeoutError(url)


def main() -> int:
    """Print the figures; 1 without Chromium."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        print("no Chromium: install Debian's `chromium`, or set CHROMIUM to one", file=sys.stderr)
        return 1
    companies, events = (200, 20_000) if quick() else (2_000, 200_000)
    for engine in ("duckdb", "postgres"):
        with warehouse_with_feedback(engine, companies, events) as settings:
            assert build(settings, command="run", as_of=datetime.now(UTC)).succeeded
            plan = Plan("publish", publishes=True)
            published = run_cycle(settings, plan, Reporter(silent=True)).publication
            assert published is not None
            measure(settings, engine, chromium)
    return 0


if __name__ == "__main__":
    sys.exit(main())
