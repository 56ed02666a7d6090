"""Metrics API: p95 of kept answers at 50 connections, and computed ones against the bare query.

Service, load and database share the machine. Kept answers are asked for at a steady rate, as fast
as a dashboard would be refreshed by hundreds of people; what is possible at full speed is printed
beside it. Computed ones are asked for one by one, each from another day on, as nobody asked before;
beside them stands what a request costs whose query finds nothing to do.
"""

import asyncio
import gc
import multiprocessing
import socket
import statistics
import sys
import time
from contextlib import AsyncExitStack
from datetime import date, timedelta

import uvicorn

from benchmarks.exports import fill
from benchmarks.measure import empty_warehouse, figure, quick
from ledger.engine import open_ledger
from ledger.settings import Settings
from ledger.tokens import create_token
from operations.dbt_runner import parse
from operations.service.app import Application, create_app
from operations.service.serve import SWITCH_SECONDS
from operations.service.settings import ServiceSettings
from serving.api import open_data_api
from serving.reader import open_published
from serving.semantic import Filter, MetricQuery, SemanticFile

CONNECTIONS = 50
RATE = 1_000
METRIC = "/metrics/total_revenue"
HIT = f"{METRIC}?group_by=currency"
Waits = list[float]


def serve(settings: Settings, bound: socket.socket) -> None:
    """The web application alone, without the worker."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()  # as the worker does after its first cycle
    ledger = open_ledger(settings)
    with open_data_api(settings, ledger) as data:
        application = Application(ServiceSettings(), ledger, {}, lambda _: None, data=data)
        config = uvicorn.Config(create_app(application), log_config=None, access_log=False)
        uvicorn.Server(config).run(sockets=[bound])


async def ask(port: int, token: str, paths: list[str], connections: int, rate: float) -> Waits:
    """Seconds that each request waited; rate 0 is full speed."""
    waits: Waits = []
    numbers = iter(range(len(paths)))
    begin = time.perf_counter()

    async def connection(stack: AsyncExitStack) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        for number in numbers:
            if rate:
                await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
            sent = time.perf_counter()
            head = f"GET {paths[number]} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}"
            writer.write(f"{head}\r\n\r\n".encode())
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = answer.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(length))
            assert answer.startswith(b"http/1.1 200"), body
            waits.append(time.perf_counter() - sent)

    async with AsyncExitStack() as stack:
        await asyncio.gather(*(connection(stack) for _ in range(connections)))
    return waits


def load(port: int, token: str, path: str, requests: int) -> tuple[float, float]:
    """p95 in milliseconds at the steady rate, and requests a second at full speed."""
    asyncio.run(ask(port, token, [path] * 200, CONNECTIONS, 0))
    steady = asyncio.run(ask(port, token, [path] * requests, CONNECTIONS, RATE))
    start = time.perf_counter()
    asyncio.run(ask(port, token, [path] * requests, CONNECTIONS, 0))
    speed = requests / (time.perf_counter() - start)
    return statistics.quantiles(steady, n=20)[-1] * 1000, speed


def by_month_since(number: int) -> list[str]:
    """First days of as many questions: revenue by month from a day on."""
    return [str(date(2025, 1, 1) + timedelta(days=index)) for index in range(number)]


def bare(settings: Settings, number: int) -> Waits:
    """The statement of a computed answer, over a connection that is open."""
    manifest = settings.home / "target" / "semantic_manifest.json"
    layer = SemanticFile(manifest, settings.engine_name).layer()
    waits = []
    with open_published(settings) as reader:
        for day in by_month_since(number):
            since = Filter("metric_time", ">=", (day,))
            query = MetricQuery("total_revenue", ("metric_time__month",), (since,))
            statement, values = layer.statement(query), layer.values(query)
            start = time.perf_counter()
            reader.fetch(statement.sql, [values[index] for index in statement.order])
            waits.append(time.perf_counter() - start)
    return waits


def measure(settings: Settings, engine: str, requests: int, number: int) -> None:
    """Print the figures of an engine."""
    ledger = open_ledger(settings)
    _, token = create_token(ledger, "bench", ["metrics"], requests_per_minute=10**9)
    ledger.dispose()
    parse(settings)
    bound = socket.create_server(("127.0.0.1", 0))
    process = multiprocessing.get_context("fork").Process(
        target=serve, args=(settings, bound), daemon=True
    )
    process.start()
    port = bound.getsockname()[1]
    p95, speed = load(port, token, HIT, requests)
    aim = f"{p95:.1f} ms at {RATE:,} requests/s; {speed:,.0f} requests/s at full speed"
    figure("kept answer, p95 ms at 50 connections", engine, p95, "≤ 5", aim)
    nothing = [f"{METRIC}?filters=currency:A{index}" for index in range(number)]
    least = statistics.median(asyncio.run(ask(port, token, nothing, 1, 0))) * 1000
    months = f"{METRIC}?group_by=metric_time__month&filters=metric_time>="
    paths = [f"{months}{day}" for day in by_month_since(number)]
    ours = statistics.median(asyncio.run(ask(port, token, paths, 1, 0))) * 1000
    process.terminate()
    process.join()
    theirs = statistics.median(bare(settings, number)) * 1000
    shown = f"{ours:.1f} ms against {theirs:.1f} ms; {least:.1f} ms if no row is read"
    figure("computed answer against the bare query", engine, ours / theirs, "≤ 1.3", shown)


def main() -> None:
    """Print the figures."""
    rows, requests, number = (100_000, 4_000, 10) if quick() else (2_000_000, 20_000, 50)
    for engine in ("duckdb", "postgres"):
        with empty_warehouse(engine) as settings:
            fill(settings, rows)
            measure(settings, engine, requests, number)


if __name__ == "__main__":
    main()
