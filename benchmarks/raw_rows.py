"""Fills raw by SQL, at the speed of the engine: millions of orders or feedback."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import duckdb
import psycopg2

from benchmarks.measure import empty_warehouse
from ledger.settings import Settings
from loaders.target import Target
from operations.dbt_runner import build


@contextmanager
def warehouse_with_feedback(engine: str, companies: int, events: int) -> Iterator[Settings]:
    """A warehouse that is built, with companies and a year of feedback in raw."""
    with empty_warehouse(engine) as settings:
        assert build(settings, command="seed").succeeded
        assert build(settings, command="run").succeeded
        filler = RawFiller(settings)
        filler.companies("1.0", companies)
        day = datetime.now(UTC).isoformat()
        filler.feedback("2.0", 0, events, companies=companies, day=day)
        yield settings


METADATA = (
    "null as _extra, md5(cast({n} as text)) as _row_hash, false as _is_deleted,"
    " cast('{received}' as timestamptz) as _received_at, '{load}' as _dlt_load_id"
)
ITEMS_AN_ORDER = 4


class RawFiller:
    """Appends generated rows as complete loads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._series = (
            "range({0}, {1}) as series(n)"
            if settings.postgres_url is None
            else "generate_series({0}, {1} - 1) as series(n)"
        )

    def execute(self, *statements: str) -> None:
        """Run statements in one transaction, with fresh statistics as after a landing."""
        if self._settings.postgres_url is None:
            with duckdb.connect(str(self._settings.warehouse_path)) as connection:
                for statement in statements:
                    connection.execute(statement)
            return
        connection = psycopg2.connect(**self._settings.postgres_parameters())
        with connection, connection.cursor() as cursor:
            cursor.execute(";\n".join(statements))
            cursor.execute("analyze")
        connection.close()

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Rows of a query."""
        return Target(self._settings).fetch(query)

    def orders(self, load: str, first: int, last: int, *, version: str, step: int = 1) -> None:
        """Orders `first`..`last` (every `step`th) with four items each, as one load.

        `last` is the newest order of a year; the others lie evenly before it.
        """
        series = self._series.format(first // step, last // step)
        meta = METADATA.format(n="n", received=version, load=load)
        number = f"(n * {step})"
        age = f"cast(({last} - {number}) * 365.0 / {last} as int) * interval '1 day'"
        self.execute(
            "insert into raw.commerce__orders (id, customer_id, status, currency,"
            " shipping_address_city, shipping_address_country, created_at, updated_at,"
            " _extra, _row_hash, _is_deleted, _received_at, _dlt_load_id)"
            f" select cast({number} as text), cast({number} % 50000 as text), 'completed', 'GBP',"
            f" 'London', 'United Kingdom', cast('2026-01-01T00:00:00Z' as timestamptz) - {age},"
            f" cast('{version}' as timestamptz), {meta}"
            f" from {series}",
            "insert into raw.commerce__order_items (order_id, order_updated_at, id, product_id,"
            " quantity, unit_price, discount_amount,"
            " _extra, _row_hash, _is_deleted, _received_at, _dlt_load_id)"
            f" select cast({number} as text), cast('{version}' as timestamptz),"
            f" cast(item as text), cast(({number} + item) % 5000 as text), 1 + {number} % 5,"
            f" cast({number} % 90 + 0.99 as numeric(18, 6)), 0.5, {meta}"
            f" from {series} cross join (values (1), (2), (3), (4)) as items(item)",
            self._complete(load),
        )

    def companies(self, load: str, count: int) -> None:
        """Active companies."""
        meta = METADATA.format(n="n", received="2026-01-01T00:00:00Z", load=load)
        self.execute(
            "insert into raw.crm__companies (id, account_id, name, is_active, created_at,"
            " updated_at, _extra, _row_hash, _is_deleted, _received_at, _dlt_load_id)"
            " select cast(n as text), '1', 'Company', true, cast('2025-01-01' as timestamptz),"
            f" cast('2025-01-01' as timestamptz), {meta} from {self._series.format(0, count)}",
            self._complete(load),
        )

    def feedback(self, load: str, first: int, last: int, *, companies: int, day: str) -> None:
        """Feedback of the year that ends on `day`, spread over companies, users and minutes."""
        meta = METADATA.format(n="n", received=day, load=load)
        minutes = "(cast(n as bigint) * 7919 % 525600) * interval '1 minute'"
        moment = f"cast('{day}' as timestamptz) - {minutes}"
        self.execute(
            "insert into raw.support__feedback (id, company_id, user_id, sentiment, created_at,"
            " updated_at, _extra, _row_hash, _is_deleted, _received_at, _dlt_load_id)"
            f" select cast(n as text), cast(n % {companies} as text), cast(n % 300000 as text),"
            # Some companies are content and others not: scores that are all alike are no marts.
            f" case n % {companies} % 3"
            " when 0 then 'positive' when 1 then 'neutral' else 'negative' end,"
            f" {moment}, {moment}, {meta} from {self._series.format(first, last)}",
            self._complete(load),
        )

    def ticket(self, load: str, priority: str, moment: str) -> None:
        """A version of one ticket, with any priority: no contract looks at it."""
        meta = METADATA.format(n=f"'{priority}'", received=moment, load=load)
        at = f"cast('{moment}' as timestamptz)"
        self.execute(
            "insert into raw.support__tickets (id, subject, priority, status, created_at,"
            " updated_at, _extra, _row_hash, _is_deleted, _received_at, _dlt_load_id)"
            f" select 'spoiled', 's', '{priority}', 'open', {at}, {at}, {meta}",
            self._complete(load),
        )

    @staticmethod
    def _complete(load: str) -> str:
        return (
            "insert into raw._dlt_loads (load_id, schema_name, status, inserted_at)"
            f" values ('{load}', 'bench', 0, cast('2026-01-01' as timestamptz))"
        )
