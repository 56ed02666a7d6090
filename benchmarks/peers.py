"""Three ways to land the same orders, each in a process of its own.

`python -m benchmarks.peers WAY URL` with the warehouse's settings in the environment prints CPU
seconds and peak memory. Ways: `ours`, `dlt_defaults` (the `rest_api` source as documented) and
`bare` (GET, decode, COPY: no checks, no state).
"""

import csv
import io
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec

from ledger.engine import open_ledger
from ledger.runs import recorded_run
from ledger.settings import Settings, load_settings
from loaders.contracts import Order, entities_of
from loaders.sources.base import ApiSource
from loaders.sync import SourceSync


def ours(settings: Settings, url: str) -> None:
    """What `warehouse sync commerce` does."""
    ledger = open_ledger(settings)
    source = ApiSource(
        "commerce",
        entities_of("commerce"),
        base_url=f"{url}/commerce",
        api_token="none",
        requests_per_minute=10**6,
    )
    with recorded_run(ledger, "bench", settings.target) as run_id:
        syncs = SourceSync(settings, ledger, source, run_id, full=False).run(lambda *_: None)
    assert not any(sync.error for sync in syncs), [sync.error for sync in syncs]


def dlt_defaults(settings: Settings, url: str) -> None:
    """dlt's declarative REST source, nothing tuned."""
    import dlt
    from dlt.sources.rest_api import rest_api_source

    from loaders.target import Target

    source = rest_api_source(
        {
            "client": {
                "base_url": f"{url}/commerce",
                "paginator": {"type": "json_link", "next_url_path": "next"},
            },
            "resources": [
                {
                    "name": "orders",
                    "endpoint": {
                        "path": "orders",
                        "params": {"limit": 1000},
                        "data_selector": "data",
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        "peer",
        pipelines_dir=str(settings.pipelines_dir),
        destination=Target(settings).destination(),
        dataset_name="peer",
    )
    pipeline.run(source)


def bare(settings: Settings, url: str) -> None:
    """The floor: nothing but GET, decode and COPY."""
    folder = settings.home
    orders, items = folder / "orders.csv", folder / "items.csv"
    with orders.open("w", newline="") as order_file, items.open("w", newline="") as item_file:
        order_writer, item_writer = csv.writer(order_file), csv.writer(item_file)
        for order in _bare_orders(url):
            address: Any = order.shipping_address or None
            order_writer.writerow(
                (
                    order.id,
                    order.customer_id,
                    order.status,
                    order.currency,
                    address.street,
                    address.city,
                    address.country,
                    address.zip_code,
                    order.created_at,
                    order.updated_at,
                )
            )
            item_writer.writerows(
                (
                    order.id,
                    item.id,
                    item.product_id,
                    item.quantity,
                    item.unit_price,
                    item.discount_amount,
                )
                for item in order.items
            )
    _bare_copy(settings, orders, items)


def _bare_orders(url: str) -> Iterator[Order]:
    class Page(msgspec.Struct):
        data: list[Order]
        next: str | None

    decoder = msgspec.json.Decoder(Page)
    with httpx.Client(base_url=url) as client:
        address: str | None = "/commerce/orders?limit=1000"
        while address:
            page = decoder.decode(client.get(address).content)
            yield from page.data
            address = page.next


ORDERS = (
    "create table bare_orders (id text, customer_id text, status text, currency text, street text,"
    " city text, country text, zip_code text, created_at timestamptz, updated_at timestamptz)"
)
ITEMS = (
    "create table bare_items (order_id text, id text, product_id text, quantity bigint,"
    " unit_price numeric(18, 6), discount_amount numeric(18, 6))"
)


def _bare_copy(settings: Settings, orders: Path, items: Path) -> None:
    files = (("bare_orders", ORDERS, orders), ("bare_items", ITEMS, items))
    if settings.postgres_url is None:
        import duckdb

        with duckdb.connect(str(settings.warehouse_path)) as connection:
            for name, ddl, path in files:
                connection.execute(ddl)
                connection.execute(f"copy {name} from '{path}' (header false)")
        return
    import psycopg2

    connection = psycopg2.connect(**settings.postgres_parameters())
    with connection, connection.cursor() as cursor:
        for name, ddl, path in files:
            cursor.execute(ddl)
            with io.FileIO(path) as stream:
                cursor.copy_expert(f"copy {name} from stdin (format csv)", stream)
    connection.close()


def main() -> None:
    """Run one way and print what it took."""
    way, url = sys.argv[1:]
    settings = load_settings()
    start, wall = time.process_time(), time.perf_counter()
    {"ours": ours, "dlt_defaults": dlt_defaults, "bare": bare}[way](settings, url)
    cpu, wall = time.process_time() - start, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu_seconds": cpu, "wall_seconds": wall, "peak_mib": peak}))


if __name__ == "__main__":
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    main()
