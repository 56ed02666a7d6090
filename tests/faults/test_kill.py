"""SIGKILL at any moment costs no record: the next run completes raw and the facts by itself.

The source changes between the kills; dlt's working directory is kept after half of them, and lost
after the others.
"""

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select
from support import Warehouse, assert_complete, served_items, served_rows
from support.child import AIMS, start

from demo import SOURCES, DemoServer, Store, generate
from ledger.tables import pipeline_runs, sync_log

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
COMMERCE = SOURCES["commerce"]
KILLS = int(os.environ.get("KILLS") or 5)
KILLS_A_CHECK = 5
SECONDS = 60.0
FACTS = """
    select order_id, order_item_id, quantity, unit_price, discount_amount from core.fct_sales
"""


def change(store: Store, random_: random.Random, turn: int) -> None:
    """Change ten orders and add two, an hour later each turn; one changes within the lag."""
    at = AS_OF + timedelta(hours=turn)
    rows = served_rows(store, "orders")
    chosen = random_.sample(sorted(rows), 12)
    for place, id in enumerate(chosen):
        record = msgspec.json.decode(rows[id])
        late = timedelta(minutes=9) if place == 0 else timedelta()
        record["updated_at"] = (at - late).isoformat()
        record["status"] = random_.choice(("pending", "shipped", "completed"))
        record["items"] = [*record["items"][: random_.randint(1, 6)]]
        if place < 2:
            record["id"] = f"new_{turn}_{place}"
        store.upsert("commerce", "orders", record)


def _served_facts(store: Store) -> list[tuple[Any, ...]]:
    """Every item of every order served, as a fact."""
    items = served_items(store)
    return [(o, i, quantity, price, discount or 0) for o, i, _, quantity, price, discount in items]


@pytest.fixture
def environment() -> Callable[[], dict[str, str]]:
    return lambda: {k: v for k, v in os.environ.items() if k.startswith("SOURCES__")}


def test_killed_at_random(
    warehouse: Warehouse,
    serve: Callable[..., DemoServer],
    environment: Callable[[], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.randrange(2**32))
    print(f"KILL_SEED={seed}")
    random_ = random.Random(seed)
    store = generate(9, 0.05, AS_OF)
    serve(store)
    monkeypatch.setenv("SOURCES__COMMERCE__PAGE_SIZE", "40")
    warehouse.killed = True
    longest = 0.0
    for turn in (1, 2):
        change(store, random_, turn)
        begin = time.monotonic()
        process = start(warehouse.settings, environment(), modelled=True)
        process.join(SECONDS)
        assert process.exitcode == 0
        longest = time.monotonic() - begin
    aims = [*AIMS] * 4
    kills = 0
    while kills < KILLS:
        turn += 1
        change(store, random_, turn)
        aim = aims.pop() if turn % 4 == 0 and aims else None
        process = start(warehouse.settings, environment(), aim, modelled=turn % 3 == 0)
        if aim is None:
            process.join(random_.uniform(0.02, longest))
            process.kill()
        process.join(SECONDS)
        assert process.exitcode == -9 or (aim is None and process.exitcode == 0), process.exitcode
        kills += process.exitcode == -9
        if random_.random() < 0.5:
            shutil.rmtree(warehouse.settings.pipelines_dir, ignore_errors=True)
        if turn % KILLS_A_CHECK == 0 or kills == KILLS:
            process = start(warehouse.settings, environment(), modelled=True)
            process.join(SECONDS)
            assert process.exitcode == 0
            assert_complete(warehouse, store, *COMMERCE)
            assert sorted(warehouse.rows(FACTS)) == sorted(_served_facts(store))
    assert warehouse.sync("commerce").landed == 0
    statuses = Counter(row["status"] for row in warehouse.sync_log())
    print(f"{kills} kills in {turn} runs of {longest:.2f} s; entities: {dict(statuses)}")
    assert statuses["interrupted"] > 0
    with warehouse.ledger.connect() as connection:
        for table in (pipeline_runs, sync_log):
            query = select(func.count()).where(table.c.status == "running")
            assert connection.scalar(query) == 0


@pytest.mark.parametrize("aim", AIMS)
def test_a_package_left_behind_is_asked_for_again(
    warehouse: Warehouse,
    serve: Callable[..., DemoServer],
    environment: Callable[[], dict[str, str]],
    aim: str,
) -> None:
    store = generate(9, 0.02, AS_OF)
    serve(store)
    warehouse.killed = True
    assert not warehouse.sync("commerce").errors
    _kill_at(warehouse, store, environment, aim)
    assert not warehouse.sync("commerce").errors
    assert_complete(warehouse, store, *COMMERCE)
    assert warehouse.sync("commerce").landed == 0


def test_a_warehouse_restored_from_a_backup_is_filled_up_again(
    warehouse: Warehouse,
    serve: Callable[..., DemoServer],
    environment: Callable[[], dict[str, str]],
) -> None:
    """Neither the ledger nor a package left behind may hide what the backup lacks."""
    store = generate(9, 0.02, AS_OF)
    serve(store)
    warehouse.killed = True
    warehouse.sync("commerce")
    kept = [load_id for (load_id,) in warehouse.rows("select load_id from raw._dlt_loads")]
    change(store, random.Random(1), 1)
    assert warehouse.sync("commerce").landed == 12
    _kill_at(warehouse, store, environment, "package made, nothing written")
    warehouse.forget_loads_except(kept)
    assert not warehouse.sync("commerce").errors
    assert_complete(warehouse, store, *COMMERCE)


def test_a_package_left_behind_does_not_fill_a_lost_warehouse(
    warehouse: Warehouse,
    serve: Callable[..., DemoServer],
    environment: Callable[[], dict[str, str]],
) -> None:
    """Its cursor would hide what came before it."""
    store = generate(9, 0.02, AS_OF)
    serve(store)
    warehouse.killed = True
    warehouse.sync("commerce")
    _kill_at(warehouse, store, environment, "package made, nothing written")
    warehouse.lose_data()
    assert not warehouse.sync("commerce").errors
    assert_complete(warehouse, store, *COMMERCE)


def _kill_at(
    warehouse: Warehouse, store: Store, environment: Callable[[], dict[str, str]], aim: str
) -> None:
    change(store, random.Random(1), 1)
    process = start(warehouse.settings, environment(), aim, modelled=False)
    process.join(SECONDS)
    assert process.exitcode == -9
