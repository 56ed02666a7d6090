"""Readers see one audited version, whole, whatever builds and publications do meanwhile."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, NullPool, create_engine, inspect, select, text
from support.modelled import ModelledWarehouse
from support.warehouse import FILE_FORMAT

from ledger.engine import open_ledger
from ledger.errors import NotPublishedError, TargetError
from ledger.publications import current_publication
from ledger.settings import Settings
from ledger.tables import publications
from serving import publish_duckdb
from serving.publish import publish, refresh_operations, reject
from serving.reader import Reader, open_published

READS = int(os.environ.get("PUBLISH_READS", "300"))
AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
READ = """
select (select count(*) from core.dim_date), (select min(year) from core.dim_date),
    (select max(year) from core.dim_date), (select max(order_count) from sales.daily_sales),
    (select count(*) from sales.daily_sales)
"""


@pytest.fixture(scope="module")
def built(module_settings: Settings) -> Iterator[tuple[ModelledWarehouse, Engine]]:
    """Marts whose every row says which state it is of: `year` of a day, orders of a day."""
    warehouse = ModelledWarehouse(module_settings)
    warehouse.dbt(
        "run",
        "+path:models/marts/operations",
        "+dim_date",
        "+fct_sales",
        "+daily_sales",
        as_of=AS_OF,
    )
    ledger = open_ledger(module_settings)
    yield warehouse, ledger
    ledger.dispose()


def set_state(warehouse: ModelledWarehouse, state: int, *, whole: bool = True) -> None:
    """Bring the working marts to a state; one that is not whole is what a failed build leaves."""
    warehouse.execute(f"update core.dim_date set year = {state}")
    mark(warehouse, "core", "dim_date")
    if whole:
        warehouse.execute("delete from sales.daily_sales")
        warehouse.execute(
            "insert into sales.daily_sales (sales_date, order_count, total_revenue,"
            " average_order_value, unique_customers)"
            f" select calendar_date, {state}, 1, 1, 1 from core.dim_date limit {state}"
        )
        mark(warehouse, "sales", "daily_sales")


def mark(warehouse: ModelledWarehouse, schema: str, model: str) -> None:
    """As the pre-hook of a model does."""
    warehouse.execute(
        "insert into operations.unpublished_models (schema_name, model, invocation_id)"
        f" values ('{warehouse.settings.working_schema(schema)}', '{model}', 'test')"
    )


def state_of(reader: Reader) -> int:
    """The state that a reader sees; fails when it is not one, and whole."""
    ((days, oldest, newest, orders, order_days),) = reader.fetch(READ)
    assert days == 1_461
    assert oldest == newest == orders == order_days
    return int(newest)


def seen(settings: Settings) -> int:
    with open_published(settings) as reader:
        return state_of(reader)


def test_nothing_is_published_before_the_first_audit(settings: Settings) -> None:
    ledger = open_ledger(settings)
    reject(ledger, "run", AS_OF, "a test failed")
    refresh_operations(settings, ledger)
    ledger.dispose()
    with pytest.raises(NotPublishedError, match="warehouse run"), open_published(settings):
        pass


def test_a_rejected_build_leaves_readers_the_version_before(
    built: tuple[ModelledWarehouse, Engine],
) -> None:
    warehouse, ledger = built
    settings = warehouse.settings
    set_state(warehouse, 1)
    first = publish(settings, ledger, "run", AS_OF)
    set_state(warehouse, 2, whole=False)
    rejected = reject(ledger, "run", AS_OF, "daily_sales do not add up")
    refresh_operations(settings, ledger)
    with open_published(settings) as reader:
        assert state_of(reader) == 1
        assert reader.publication == first
        told = "select status, audit from operations.publications where version = ?"
        assert reader.fetch(told, [rejected.version]) == [("rejected", "daily_sales do not add up")]
    set_state(warehouse, 2)
    second = publish(settings, ledger, "run", AS_OF)
    assert second.version > rejected.version > first.version
    assert seen(settings) == 2


def test_every_read_is_whole_and_of_one_version_while_builds_fail_and_succeed(
    built: tuple[ModelledWarehouse, Engine],
) -> None:
    warehouse, ledger = built
    settings = warehouse.settings
    set_state(warehouse, 1)
    publish(settings, ledger, "run", AS_OF)
    published, problems, states = [1], list[BaseException](), set[int]()
    ended = threading.Event()

    def read() -> None:
        reads = 0
        try:
            while reads < READS or not ended.is_set():
                least = published[-1]
                with open_published(settings) as reader:
                    state = state_of(reader)
                    assert state_of(reader) == state, "one reader saw two versions"
                assert state >= least, "a reader saw an older version than one before"
                states.add(state)
                reads += 1
        except BaseException as error:
            problems.append(error)

    reader_thread = threading.Thread(target=read)
    reader_thread.start()
    for state in range(2, 12):
        if problems:
            break
        set_state(warehouse, state, whole=False)
        reject(ledger, "run", AS_OF, "half")
        set_state(warehouse, state)
        publish(settings, ledger, "run", AS_OF)
        published.append(state)
    ended.set()
    reader_thread.join()
    assert not problems, problems
    assert len(states) > 1


def test_a_reader_keeps_its_version_and_holds_nothing_up(
    built: tuple[ModelledWarehouse, Engine],
) -> None:
    warehouse, ledger = built
    settings = warehouse.settings
    set_state(warehouse, 1)
    publish(settings, ledger, "run", AS_OF)
    with open_published(settings) as reader:
        assert state_of(reader) == 1
        for state in range(2, 7):
            set_state(warehouse, state)
            publish(settings, ledger, "run", AS_OF)
        assert state_of(reader) == 1
    assert seen(settings) == 6


def test_another_process_that_reads_does_not_stop_a_build(
    built: tuple[ModelledWarehouse, Engine],
) -> None:
    warehouse, ledger = built
    settings = warehouse.settings
    if settings.postgres_url is not None:
        pytest.skip("a PostgreSQL reader is another process already")
    set_state(warehouse, 3)
    publish(settings, ledger, "run", AS_OF)
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True);"
        "print(c.execute('select max(year) from core.dim_date').fetchone()[0], flush=True);"
        "sys.stdin.readline();"
        "print(c.execute('select max(year) from core.dim_date').fetchone()[0], flush=True)"
    )
    command = [sys.executable, "-c", script, str(settings.published_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "3"
        set_state(warehouse, 4)
        publish(settings, ledger, "run", AS_OF)
        shown, _ = process.communicate("\n")
    assert shown.strip() == "3"
    assert seen(settings) == 4


@pytest.mark.parametrize("step", ["_copy_operations", "_show", "clean"])
def test_a_publication_that_dies_at_any_step_is_healed_by_the_next(
    built: tuple[ModelledWarehouse, Engine], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    warehouse, ledger = built
    settings = warehouse.settings
    if settings.postgres_url is not None:
        pytest.skip("one transaction on PostgreSQL: see the next test")
    set_state(warehouse, 5)
    publish(settings, ledger, "run", AS_OF)
    set_state(warehouse, 6)
    real = getattr(publish_duckdb, step)

    def die(*arguments: object) -> None:
        if step == "_show":
            real(*arguments)
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(publish_duckdb, step, die)
        with pytest.raises(TargetError, match="No space left"):
            publish(settings, ledger, "run", AS_OF)
    assert seen(settings) == (5 if step == "_copy_operations" else 6)
    set_state(warehouse, 7)
    last = publish(settings, ledger, "run", AS_OF)
    assert seen(settings) == 7
    with ledger.connect() as connection:
        versions = connection.scalars(select(publications.c.version)).all()
    assert len(set(versions)) == len(versions)
    assert current_publication(ledger) == last
    folder = settings.home / "published"
    assert not list(folder.glob("*.draft"))
    assert len(list(folder.glob("*/*.duckdb"))) <= publish_duckdb.KEPT_FILES + 1


def test_a_publication_that_dies_on_postgres_leaves_nothing(
    built: tuple[ModelledWarehouse, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, ledger = built
    settings = warehouse.settings
    if settings.postgres_url is None:
        pytest.skip("DuckDB publishes files: see the test before")
    set_state(warehouse, 5)
    first = publish(settings, ledger, "run", AS_OF)
    set_state(warehouse, 6)
    with monkeypatch.context() as patch:
        patch.setattr("serving.publish_postgres._mirror", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish(settings, ledger, "run", AS_OF)
    with open_published(settings) as reader:
        assert (state_of(reader), reader.publication) == (5, first)
    publish(settings, ledger, "run", AS_OF)
    assert seen(settings) == 6


def test_columns_that_change_are_published(built: tuple[ModelledWarehouse, Engine]) -> None:
    warehouse, ledger = built
    settings = warehouse.settings
    set_state(warehouse, 1)
    publish(settings, ledger, "run", AS_OF)
    warehouse.execute("alter table sales.daily_sales add column note text")
    warehouse.execute("update sales.daily_sales set note = 'new'")
    try:
        publish(settings, ledger, "run", AS_OF)
        with open_published(settings) as reader:
            assert reader.fetch("select distinct note from sales.daily_sales") == [("new",)]
    finally:
        warehouse.execute("alter table sales.daily_sales drop column note")
        publish(settings, ledger, "run", AS_OF)


def test_bi_tools_read_by_sqlalchemy(built: tuple[ModelledWarehouse, Engine]) -> None:
    """As Superset and Metabase do: the address, the catalogue, a question, then a new version."""
    warehouse, ledger = built
    settings = warehouse.settings
    for state in (1, 2):
        set_state(warehouse, state)
        publish(settings, ledger, "run", AS_OF)
        address = f"duckdb:///{settings.published_path}?access_mode=read_only"
        if settings.postgres_url is not None:
            address = settings.ledger_url.render_as_string(hide_password=False)
        engine = create_engine(address, poolclass=NullPool)
        assert "daily_sales" in inspect(engine).get_table_names(schema="sales")
        with engine.connect() as connection:
            assert connection.scalar(text("select max(year) from core.dim_date")) == state
            if settings.postgres_url is None:
                database = connection.scalar(text("select current_database()"))
                assert database == "published", "saved questions name it in every version"
                written_by = connection.scalar(text(FILE_FORMAT))
                assert str(written_by).startswith("v1.0.0"), "tools bring a DuckDB of their own"
        engine.dispose()
