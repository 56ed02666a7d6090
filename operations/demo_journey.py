"""The demo: a local API in a process of its own ─▶ all three ways in ─▶ a summary.

Two days of data are pulled, then the service takes webhooks and a Kafka topic in. Nothing here is
special to the demo but the API: it runs what `warehouse run` and `warehouse serve` run.
"""

import base64
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from ledger.errors import SettingsError, SourceUnavailable
from ledger.settings import Settings
from operations import summary
from operations.complaints import open_errors, print_error, print_warning
from operations.cycle import run_cycle
from operations.dashboard_command import address
from operations.dbt_runner import PROJECT
from operations.home import prepare_demo_home
from operations.plan import CycleResult, Plan
from operations.progress import Reporter
from operations.service.serve import Service
from operations.service.settings import ServiceSettings
from serving.reader import Reader, open_published

WITHHELD = "0.1"
PUSH_SECONDS = 90.0
DEMO_SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def run_demo(
    settings: Settings, data: str | None, scale: float, reporter: Reporter, as_json: bool
) -> dict[str, Any]:
    """Two days of data, two syncs, two builds; gives the summary as plain values.

    Raises:
        SettingsError: the home holds real data, or the API cannot serve `data`.
        WarehouseError: the warehouse cannot be written, or is in use.
    """
    prepare_demo_home(settings)
    console = summary.open_console(quiet=as_json)
    second_day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first_day = second_day - timedelta(days=1)
    results: list[CycleResult] = []
    with _api(data, scale, first_day) as api:
        _point_sources_at(api)
        ignored: list[str] = api.get("ignored", [])
        for name in ignored:
            print_warning(open_errors(), f"{name} is of no entity and is not read")
        for title, as_of in (("First day", first_day), ("Second day", second_day)):
            console.rule(f"{title}: sync and build", align="left")
            if results:
                _ask(api, "/_demo/advance")
            plan = Plan(
                "demo", sources=list(api["base_urls"]), selectors=[], as_of=None if data else as_of
            )
            results.append(run_cycle(settings, plan, reporter))
            _show_cycle(console, results[-1])
        pushed = None if data else _push(settings, api, console)
    with open_published(settings) as reader:
        _show_marts(console, settings, reader)
        return {
            "succeeded": all(result.succeeded for result in results),
            "pushed": pushed,
            "ignored": ignored,
            "database": _database(settings),
            "days": [result.as_json() for result in results],
            "daily_sales": summary.daily_sales(reader),
            "at_risk": summary.at_risk(reader),
        }


@contextmanager
def _api(data: str | None, scale: float, as_of: datetime) -> Iterator[dict[str, Any]]:
    arguments = ["--scale", str(scale), "--as-of", as_of.isoformat(), "--stream"]
    if data is not None:
        arguments = ["--data", str(Path(data).absolute()), "--withhold", WITHHELD]
    process = subprocess.Popen(
        [sys.executable, "-m", "demo", *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise SettingsError(process.stderr.read().strip().splitlines()[-1])
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()
        process.stderr.close()


def _point_sources_at(api: dict[str, Any]) -> None:
    for source, base_url in api["base_urls"].items():
        os.environ[f"SOURCES__{source.upper()}__BASE_URL"] = base_url
        os.environ[f"SOURCES__{source.upper()}__API_TOKEN"] = api["token"]
        os.environ[f"SOURCES__{source.upper()}__REQUESTS_PER_MINUTE"] = "100000"


def _push(settings: Settings, api: dict[str, Any], console: Console) -> dict[str, Any]:
    """Serve, let the API push webhooks and messages, and wait until all of it is visible."""
    console.rule("Today: webhooks and a Kafka topic, as they happen", align="left")
    os.environ["STREAM__BOOTSTRAP_SERVERS"] = api["bootstrap_servers"]
    for source in ("CRM", "SUPPORT"):
        os.environ[f"WEBHOOKS__{source}__SECRETS"] = DEMO_SECRET
    options = ServiceSettings(port=0, cycle_seconds=1)
    with Service(settings, options) as service:
        url = f"http://127.0.0.1:{service.port}/webhooks"
        answers = _ask(api, "/_demo/push", {"url": url, "secret": DEMO_SECRET})
        deadline = time.monotonic() + PUSH_SECONDS
        while not _all_visible(service, answers["messages"]):
            if time.monotonic() > deadline:
                raise SourceUnavailable(
                    f"what was pushed was not visible after {PUSH_SECONDS:.0f} s; see "
                    f"{settings.home / 'logs' / 'dbt.log'}"
                )
            time.sleep(0.2)
        found = [vars(balance) for balance in service.balances()]
    summary.print_balances(console, found)
    with open_published(settings) as reader:
        summary.print_today(console, reader)
    return {"answers": answers["answers"], "balances": found}


def _all_visible(service: Service, messages: int) -> bool:
    """Whether nothing waits, and every message of the topic was seen and built."""
    found = service.balances()
    seen = sum(balance.received for balance in found if balance.way_in == "stream")
    waiting = sum(balance.waiting for balance in found)
    return seen >= messages and waiting == 0 and service.is_idle


def _ask(api: dict[str, Any], path: str, content: dict[str, str] | None = None) -> dict[str, Any]:
    base = httpx.URL(api["base_urls"]["crm"])
    headers = {"authorization": f"Bearer {api['token']}"}
    try:
        answer = httpx.post(base.join(path), headers=headers, json=content, timeout=120)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
    except httpx.HTTPError as error:
        raise SourceUnavailable(f"the demo's API has gone ({error}); run the demo again") from error
    return found


def _show_cycle(console: Console, result: CycleResult) -> None:
    summary.print_syncs(console, result)
    if result.build is not None:
        summary.print_build(console, result.build)
    if result.publication is not None:
        summary.print_publication(console, result.publication)
    for warning in result.warnings:
        print_warning(console, warning)
    for error in result.errors:
        print_error(console, error)


def _show_marts(console: Console, settings: Settings, reader: Reader) -> None:
    console.rule("What the warehouse knows now", align="left")
    summary.print_dead_letters(console, settings)
    summary.print_at_risk(console, reader)
    summary.print_daily_sales(console, reader)
    console.print("The database:", _database(settings), soft_wrap=True, highlight=False)
    console.print("Open it with:", _opener(settings), soft_wrap=True, highlight=False)
    command = f"WAREHOUSE_HOME={settings.home} {sys.executable} -m operations dashboard"
    console.print("The dashboard, at", f"{address()}:", command, soft_wrap=True, highlight=False)


def _database(settings: Settings) -> str:
    if settings.postgres_url is None:
        return str(settings.published_path)
    return settings.postgres_url.render_as_string(hide_password=True)


def _opener(settings: Settings) -> str:
    """One line for a shell."""
    if settings.postgres_url is not None:
        return f"psql '{_database(settings)}'"
    query = "from health.company_health_metrics order by health_score"
    return (
        f'{sys.executable} -c "import duckdb; '
        f"duckdb.connect('{settings.published_path}', read_only=True).sql('{query}').show()\""
    )
