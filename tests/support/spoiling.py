"""Ways to spoil good data: each rule, and the statement after which it alone must fail."""

from itertools import zip_longest

from quality import History, Usual
from quality.contract import raw_contracts
from support.good_data import AS_OF

SOME = "md5({id}) < '4'"
MOST = "md5({id}) < 'c'"
UNKNOWN = "md5('')"

Spoiling = tuple[str, str]
"""The table that is spoiled, and the statement."""


def _update(table: str, change: str, where: str | None = None, key: str = "id") -> Spoiling:
    condition = (where or f"{key} = (select min({key}) from {table})").format(id=key)
    return table, f"update {table} set {change} where {condition}"


def _emptied(table: str, column: str) -> Spoiling:
    """Filled three days ago, null in the newest day."""
    return table, (
        f"update {table} set"
        " _received_at = _received_at - case when md5(id) < '8' then interval '3 days'"
        " else interval '0 days' end,"
        f" {column} = case when md5(id) < '8' then coalesce({column}, 'X') end"
    )


ORDERS, ITEMS = "raw.commerce__orders", "raw.commerce__order_items"
CUSTOMERS, USERS = "raw.commerce__customers", "raw.crm__users"
TICKETS, FEEDBACK = "raw.support__tickets", "raw.support__feedback"
EVENTS = "raw.events__user_events"
TABLES = [contract.table for contract in raw_contracts()]
AS_ENTERED = [
    _update(ORDERS, "currency = ' eur' || chr(10), status = 'CANCELED '", SOME),
    _update(EVENTS, "currency = 'Eur'", SOME),
    _update(TICKETS, "status = chr(9) || 'Open'", SOME),
]
"""What staging cleans: no rule fails."""


def _short(table: str) -> str:
    return table.partition(".")[2]


RAW: dict[str, Spoiling] = {
    **{
        f"{_short(table)}__is_fresh": (
            table,
            f"update {table} set _received_at = _received_at - interval '3 days'",
        )
        for table in TABLES
        if table != EVENTS
    },
    **{f"{_short(t)}__id_has_its_form": _update(t, "id = ' ' || id", SOME) for t in TABLES},
    "commerce__order_items__order_id_has_its_form": _update(
        ITEMS, "order_id = order_id || chr(10)", SOME
    ),
    "crm__users__email_has_its_form": _update(USERS, "email = 'nobody'", MOST),
    "commerce__customers__email_address_has_its_form": _update(
        CUSTOMERS, "email_address = id || '@'", MOST
    ),
    "commerce__orders__currency_has_its_form": _update(ORDERS, "currency = 'EU'", SOME),
    "events__user_events__currency_has_its_form": _update(EVENTS, "currency = 'Euro'", SOME),
    "commerce__customers__segment_is_one_of_the_contract": _update(CUSTOMERS, "segment = 'whale'"),
    "support__tickets__priority_is_one_of_the_contract": _update(TICKETS, "priority = 'asap'"),
    "support__feedback__sentiment_is_one_of_the_contract": _update(FEEDBACK, "sentiment = ''"),
    "commerce__orders__status_is_mostly_known": _update(ORDERS, "status = 'lost'", SOME),
    "support__tickets__status_is_mostly_known": _update(TICKETS, "status = ''", SOME),
    "commerce__orders__customer_id_is_mostly_there": _update(ORDERS, "customer_id = null", MOST),
    "commerce__products__name_is_mostly_there": _update(
        "raw.commerce__products", "name = null", MOST
    ),
    "support__tickets__company_id_is_mostly_there": _update(TICKETS, "company_id = null", MOST),
    "commerce__customers__emails_are_mostly_unique": _update(
        CUSTOMERS, "email_address = ' Same@x.y'", SOME
    ),
    **{
        f"{_short(table)}__columns_are_as_filled_as_before": _emptied(table, column)
        for table, column in {
            "raw.crm__companies": "domain",
            USERS: "role",
            CUSTOMERS: "phone",
            "raw.commerce__products": "brand",
            ORDERS: "shipping_address_country",
            TICKETS: "subject",
            FEEDBACK: "channel",
        }.items()
    },
}
"""By rule of the raw suite."""

SCHEMA_CHANGES = {
    f"{_short(table)}__columns_are_those_of_the_contract": (table, column, good, bad)
    for table in TABLES
    for column, good, bad in [
        ("unit_price", "numeric(18,6)", "numeric(20,2)")
        if table == ITEMS
        else ("_extra", "text", "bigint")
    ]
}
"""By rule: table, column, its type and another one."""

SALES, METRICS, DAILY = "core.fct_sales", "health.company_health_metrics", "sales.daily_sales"
FACT_TICKETS, FACT_FEEDBACK = "core.fct_support_tickets", "core.fct_feedback"
FACT_EVENTS = "core.fct_user_events"
FUTURE = "'2099-01-01 00:00:00'"
TIMES = {
    SALES: (f"ordered_at = {FUTURE}", "sales_key"),
    FACT_TICKETS: (f"opened_at = {FUTURE}, resolved_at = null", "ticket_id"),
    FACT_FEEDBACK: (f"created_at = {FUTURE}", "feedback_id"),
    FACT_EVENTS: (f"occurred_at = {FUTURE}", "event_id"),
}
ONE_TIME_AHEAD = [_update(table, change, key=key) for table, (change, key) in TIMES.items()]
"""One wrong date in every fact: no rule fails."""
MARTS: dict[str, tuple[str, Spoiling]] = {
    **{
        f"{_short(table)}__{change.partition(' ')[0]}_is_mostly_past": (
            table,
            _update(table, change, SOME, key),
        )
        for table, (change, key) in TIMES.items()
    },
    "fct_sales__customer_is_mostly_named": (
        SALES,
        _update(SALES, f"customer_key = {UNKNOWN}", MOST, "sales_key"),
    ),
    "fct_sales__product_is_mostly_named": (
        SALES,
        _update(SALES, f"product_key = {UNKNOWN}", SOME, "sales_key"),
    ),
    "fct_sales__customer_has_mostly_arrived": (
        SALES,
        _update("core.dim_customer", "is_inferred = true", "md5({id}) < '8'", "customer_key"),
    ),
    "fct_sales__product_has_mostly_arrived": (
        SALES,
        _update("core.dim_product", "is_inferred = true", "md5({id}) < '8'", "product_key"),
    ),
    "fct_sales__sums_equal_staging": (
        SALES,
        _update(SALES, "total_amount = total_amount + 0.000001", key="sales_key"),
    ),
    **{
        f"{_short(table)}__has_the_rows_of_staging": (
            table,
            (table, f"delete from {table} where {key} = (select min({key}) from {table})"),
        )
        for table, key in {
            FACT_TICKETS: "ticket_id",
            FACT_FEEDBACK: "feedback_id",
            FACT_EVENTS: "event_id",
        }.items()
    },
    "fct_support_tickets__resolved_after_opened": (
        FACT_TICKETS,
        _update(FACT_TICKETS, "resolved_at = opened_at - interval '1 minute'", SOME, "ticket_id"),
    ),
    "dim_customer__email_has_the_form_of_an_address": (
        "core.dim_customer",
        _update("core.dim_customer", "email = 'a@b'", SOME, "customer_key"),
    ),
    "daily_sales__total_revenue_equals_fct_sales": (
        DAILY,
        _update(DAILY, "total_revenue = total_revenue + 0.000001", key="sales_date"),
    ),
    "company_health_metrics__score_is_in_range": (
        METRICS,
        _update(METRICS, "health_score = 101, health_band = 'healthy'", key="company_id"),
    ),
    "company_health_metrics__mean_score_is_believable": (
        METRICS,
        _update(
            METRICS,
            "health_score = case when company_id like '%1' then 99 else 100 end,"
            " health_band = 'healthy'",
            "true",
        ),
    ),
    "company_health_metrics__scores_differ": (
        METRICS,
        _update(METRICS, "health_score = 50, health_band = 'watch'", "true"),
    ),
    "company_health_metrics__band_fits_score": (
        METRICS,
        _update(METRICS, "health_score = 30, health_band = 'healthy'", key="company_id"),
    ),
}
"""By rule of the marts suite: the table that is checked, and how it or its neighbour is spoiled."""

SHRINKING = (
    *(SALES, FACT_TICKETS, FACT_FEEDBACK, FACT_EVENTS, DAILY),
    *("core.dim_customer", "core.dim_company", "core.dim_product"),
)
VOLUMES = [table for table in TABLES if table not in (EVENTS, ITEMS)]
FORMER_DAYS = History(
    usual={table: Usual(10**6, 7) for table in VOLUMES},
    synced_at=dict.fromkeys(VOLUMES, AS_OF),
    published_rows=dict.fromkeys(SHRINKING, 10**6),
)
"""Good data is little against these."""
HISTORY = {
    "raw": {f"{_short(table)}__has_its_usual_volume" for table in VOLUMES},
    "marts": {f"{_short(table)}__has_the_rows_of_the_day_before" for table in SHRINKING},
}
"""By suite, the rules that fail then."""

MESS = (
    ("core.dim_customer", "update core.dim_customer set email = '' where customer_key < '3'"),
    ("core.dim_customer", "update core.dim_customer set email = null where customer_key > 'd'"),
    (
        "core.dim_customer",
        "update core.dim_customer set email = 'no address' || chr(10) || 'a@b.c'"
        " where customer_key between '4' and '5'",
    ),
    ("core.fct_sales", "update core.fct_sales set ordered_at = null where sales_key < '2'"),
    ("core.fct_sales", "update core.fct_sales set ordered_at = '2099-01-01' where sales_key > 'e'"),
    ("core.fct_sales", "delete from core.fct_sales where sales_key between '4' and '5'"),
    (
        "core.fct_support_tickets",
        "update core.fct_support_tickets set resolved_at = opened_at - interval '1 hour'"
        " where ticket_id like '%7' or resolved_at is null and ticket_id like '%3'",
    ),
    (
        "health.company_health_metrics",
        "update health.company_health_metrics set health_score = 101 where company_id like '%4'",
    ),
    (
        "sales.daily_sales",
        "update sales.daily_sales set total_revenue = null where order_count > 1",
    ),
    ("raw.crm__users", "update raw.crm__users set email = '' where id like '%2'"),
    ("raw.crm__users", "update raw.crm__users set email = null where id like '%3'"),
    ("raw.crm__users", "update raw.crm__users set email = 'A@B.C' || chr(9) where id like '%4'"),
    ("raw.crm__users", "update raw.crm__users set email = 'ä@ü.ö' where id like '%5'"),
    ("raw.crm__users", "update raw.crm__users set email = 'a b@c.d' where id like '%6'"),
    ("raw.commerce__orders", "update raw.commerce__orders set currency = '' where id like '%1'"),
    ("raw.commerce__orders", "update raw.commerce__orders set status = '' where id like '%1'"),
    ("raw.commerce__orders", "update raw.commerce__orders set status = 'X' where id like '%2'"),
    (
        "raw.commerce__customers",
        "update raw.commerce__customers set segment = case when id like '%1' then '' end",
    ),
    (
        "raw.commerce__customers",
        "update raw.commerce__customers set email_address = ' Same@x.y ' where id like '%2'"
        " or id like '%4'",
    ),
    (
        "raw.support__tickets",
        "update raw.support__tickets set company_id = null where id < 'tic_00015'",
    ),
)
"""Nulls, empty texts, line ends and letters of all tongues, in raw and marts."""


def in_rounds(spoilings: dict[str, Spoiling]) -> list[dict[str, Spoiling]]:
    """One spoiling a table in each round."""
    by_table: dict[str, list[tuple[str, Spoiling]]] = {}
    for rule, spoiling in spoilings.items():
        by_table.setdefault(spoiling[0], []).append((rule, spoiling))
    return [dict(filter(None, each)) for each in zip_longest(*by_table.values())]
