"""Published versions under test, made by hand: tables of the marts ─▶ what readers open."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import duckdb
import psycopg2
from psycopg2.extras import execute_values

from ledger.settings import Settings

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
TABLES = {
    "core.dim_company": (
        "company_key text, company_id text, account_id text, company_name text, is_active boolean,"
        " is_unknown boolean"
    ),
    "core.dim_customer": (
        "customer_key text, customer_id text, company_key text, full_name text, segment text,"
        " total_orders bigint, lifetime_value decimal(28,6), is_unknown boolean"
    ),
    "core.dim_product": "product_key text, product_id text, sku text, product_name text",
    "core.dim_location": "location_key text, country text, state text, city text",
    "core.fct_sales": (
        "sales_key text, order_id text, order_item_id text, date_key text, customer_key text,"
        " product_key text, location_key text, company_key text, currency text,"
        " order_status text, quantity bigint, unit_price decimal(18,6),"
        " total_amount decimal(28,6), discount_amount decimal(18,6), net_amount decimal(28,6),"
        " is_cancelled boolean, is_deleted boolean, ordered_at timestamp, _dlt_load_id text"
    ),
    "core.fct_support_tickets": (
        "ticket_id text, company_key text, priority text, opened_at timestamp"
    ),
    "health.company_health_metrics": (
        "company_id text, account_id text, company_name text, health_score bigint,"
        " health_band text, last_event_at timestamp, calculated_at timestamp"
    ),
    "sales.metrics_today": (
        "metrics_date date, currency text, purchases bigint, revenue decimal(28,6),"
        " active_users bigint"
    ),
    "sales.daily_sales": (
        "sales_date date, order_count bigint, total_revenue decimal(28,6),"
        " average_order_value decimal(28,6), unique_customers bigint"
    ),
}
OPERATIONS = (
    "version bigint, status text, as_of timestamp with time zone,"
    " created_at timestamp with time zone"
)
Rows = Mapping[str, Iterable[tuple[Any, ...]]]


def publish(settings: Settings, version: int, rows: Rows, as_of: datetime = AS_OF) -> None:
    """Make a version with these rows the one that readers see."""
    publication = (version, "published", as_of, datetime.now(UTC))
    if settings.postgres_url is None:
        _publish_file(settings, publication, rows)
    else:
        _publish_schemas(settings, publication, rows)


def _publish_file(settings: Settings, publication: tuple[Any, ...], rows: Rows) -> None:
    folder = settings.home / "published"
    folder.mkdir(exist_ok=True)
    path = folder / f"{publication[0]}.duckdb"
    with duckdb.connect(str(path)) as connection:
        _fill(connection, publication, rows)
    link = settings.home / "published.duckdb.new"
    link.unlink(missing_ok=True)
    link.symlink_to(path.relative_to(settings.home))
    link.replace(settings.published_path)


def _fill(connection: Any, publication: tuple[Any, ...], rows: Rows) -> None:
    for schema in ("core", "health", "sales", "operations"):
        connection.execute(f"create schema {schema}")
    connection.execute(f"create table operations.publications ({OPERATIONS})")
    connection.execute("insert into operations.publications values (?, ?, ?, ?)", publication)
    for table, columns in TABLES.items():
        connection.execute(f"create table {table} ({columns})")
        values = list(rows.get(table, ()))
        if values:
            marks = ", ".join("?" for _ in values[0])
            connection.executemany(f"insert into {table} values ({marks})", values)


def _publish_schemas(settings: Settings, publication: tuple[Any, ...], rows: Rows) -> None:
    connection = psycopg2.connect(**settings.postgres_parameters())
    with connection, connection.cursor() as cursor:
        for schema in ("core", "health", "sales", "operations"):
            cursor.execute(f"create schema if not exists {schema}")
        cursor.execute(f"create table if not exists operations.publications ({OPERATIONS})")
        cursor.execute("insert into operations.publications values (%s, %s, %s, %s)", publication)
        for table, columns in TABLES.items():
            cursor.execute(f"create table if not exists {table} ({columns})")
            cursor.execute(f"delete from {table}")
            execute_values(cursor, f"insert into {table} values %s", rows.get(table, ()))
    connection.close()


def execute(settings: Settings, *statements: str) -> None:
    """Change the current version behind readers' backs: for tests that need many rows."""
    if settings.postgres_url is None:
        with duckdb.connect(str(settings.published_path.resolve())) as connection:
            for statement in statements:
                connection.execute(statement)
        return
    opened = psycopg2.connect(**settings.postgres_parameters())
    with opened, opened.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    opened.close()
