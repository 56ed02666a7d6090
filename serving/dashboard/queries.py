"""What the dashboard shows: published marts ─▶ data frames. Each figure is a mart's own."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pandas as pd

from serving.reader import Reader

# History keeps the first score of each day and is never rewritten. A page shows the current one, so
# the day of the current scores is taken from them, in the view only: its parts agree.
NEWEST_DAY = "select max(cast(calculated_at as date)) from health.company_health_metrics"
BANDS = "select health_band, min_score from health.health_score_bands order by min_score desc"
COMPANIES = """
select
    metrics.company_id,
    metrics.company_name,
    companies.account_name,
    companies.industry,
    metrics.health_score,
    metrics.health_band,
    metrics.event_count_90d,
    metrics.engaged_users,
    metrics.support_tickets_30d,
    metrics.urgent_tickets_30d,
    metrics.last_event_at
from health.company_health_metrics as metrics
left join core.dim_company as companies on metrics.company_id = companies.company_id
order by metrics.health_score, metrics.company_name
"""
TREND = f"""
with scores as (
    select as_of_date, health_band, health_score
    from health.company_health_history where as_of_date < ({NEWEST_DAY})
    union all
    select cast(calculated_at as date) as as_of_date, health_band, health_score
    from health.company_health_metrics
)

select as_of_date, health_band, count(*) as companies, sum(health_score) as score_sum
from scores
where as_of_date > ?
group by as_of_date, health_band
order by as_of_date
"""
EARLIEST_DAY = "select min(as_of_date) from health.company_health_history where as_of_date >= ?"
MOVES = """
select
    later.company_id,
    metrics.company_name,
    later.component,
    earlier.points as earlier_points,
    later.points as later_points,
    later.reason
from health.company_health_components as later
inner join health.company_health_component_history as earlier
    on later.company_id = earlier.company_id and later.component = earlier.component
inner join health.company_health_metrics as metrics on later.company_id = metrics.company_id
where earlier.as_of_date = ?
"""
COMPONENTS = """
select component, points, max_points, reason
from health.company_health_components where company_id = ? order by component
"""
SCORE_HISTORY = f"""
select as_of_date, health_score, health_band
from health.company_health_history where company_id = ? and as_of_date < ({NEWEST_DAY})
union all
select cast(calculated_at as date) as as_of_date, health_score, health_band
from health.company_health_metrics where company_id = ?
order by as_of_date
"""
COMPONENT_HISTORY = f"""
select as_of_date, component, points
from health.company_health_component_history where company_id = ? and as_of_date < ({NEWEST_DAY})
union all
select cast(calculated_at as date) as as_of_date, component, points
from health.company_health_components where company_id = ?
order by as_of_date, component
"""
COMPANY_SALES = """
select
    substring(date_key, 1, 7) as month,
    currency,
    count(distinct order_id) as orders,
    sum(net_amount) as revenue
from core.fct_sales
where company_key = (select company_key from core.dim_company where company_id = ?)
    and not is_cancelled and not is_deleted
group by substring(date_key, 1, 7), currency
order by month, currency
"""
COMPANY_TICKETS = """
select opened_at, priority, ticket_status, is_resolved, resolution_hours
from core.fct_support_tickets
where company_id = ? and not is_deleted
order by opened_at desc limit 50
"""
DAILY_SALES = """
select sales_date, order_count, total_revenue, average_order_value, unique_customers
from sales.daily_sales where sales_date > ? order by sales_date
"""
NEWEST_SALE = "select max(sales_date) from sales.daily_sales"
SALES_TOTALS = "select sum(total_revenue), sum(order_count) from sales.daily_sales"
REGIONS = """
select country, customer_count, total_revenue from sales.sales_by_region order by total_revenue desc
"""
SEGMENTS = """
select segment, customer_count, order_count, total_revenue, average_order_value
from sales.sales_by_segment order by total_revenue desc
"""
TODAY = """
select currency, purchases, revenue, active_users from sales.metrics_today order by currency
"""
CHECKS = """
select is_healthy, name, value, threshold, unit, since, advice, checked_at
from operations.pipeline_health order by is_healthy, name
"""
SYNCS = """
select
    source, entity, status, started_at, duration_seconds, received, landed, duplicate, dead, error
from operations.sync_history order by started_at desc limit 50
"""
LETTERS = """
select way_in, source, entity, status, letter_count, oldest_at, newest_at
from operations.dead_letter_summary order by letter_count desc
"""
FAILING_RULES = """
select results.suite, results.rule, results.status, results.failing_count, results.since,
    results.observed
from operations.quality_results as results
inner join (
    select suite, rule, max(since) as since
    from operations.quality_results group by suite, rule
) as newest
    on results.suite = newest.suite and results.rule = newest.rule and results.since = newest.since
where results.status <> 'passed'
order by results.since
"""
RULES = "select suite, count(distinct rule) as rules from operations.quality_results group by suite"
PUBLICATIONS = """
select version, status, as_of, created_at, duration_seconds, audit
from operations.publications order by version desc limit 50
"""
MOVE_DAYS = 7
TREND_DAYS = 90
SALES_DAYS = 365


def frame(reader: Reader, query: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
    """Rows of a query as a data frame; decimals as numbers, for charts."""
    rows, names = reader.fetch_named(query, parameters)
    found = pd.DataFrame(rows, columns=list(names))
    for name in found.columns:
        found[name] = found[name].map(_plain) if found[name].dtype == object else found[name]
    return found


def _plain(value: Any) -> Any:
    return float(value) if type(value).__name__ == "Decimal" else value


def value(reader: Reader, query: str, parameters: Sequence[Any] = ()) -> Any:
    """The one value of a query; None when there is none."""
    rows = reader.fetch(query, parameters)
    return rows[0][0] if rows else None


def trend(reader: Reader) -> pd.DataFrame:
    """Companies by band and average score, a row a day and band."""
    newest = value(reader, NEWEST_DAY)
    if newest is None:
        return pd.DataFrame()
    found = frame(reader, TREND, [newest - timedelta(days=TREND_DAYS)])
    days = found.groupby("as_of_date")[["score_sum", "companies"]].sum()
    average = (days["score_sum"] / days["companies"]).rename("average_score")
    return found.join(average, on="as_of_date")


def moves(reader: Reader) -> tuple[pd.DataFrame, date | None, date | None]:
    """What each company gained or lost within a week until now, and by what; with the days.

    The component that moved furthest gives the reason.
    """
    newest = value(reader, NEWEST_DAY)
    if newest is None:
        return pd.DataFrame(), None, None
    earliest = value(reader, EARLIEST_DAY, [newest - timedelta(days=MOVE_DAYS)])
    found = frame(reader, MOVES, [earliest])
    if found.empty or earliest == newest:
        return pd.DataFrame(), earliest, newest
    found["change"] = found["later_points"] - found["earlier_points"]
    found["distance"] = found["change"].abs()
    furthest = found.sort_values("distance").groupby("company_id").tail(1)
    total = found.groupby("company_id")["change"].sum()
    moved = furthest.drop(columns="change").join(total.rename("change"), on="company_id")
    moved = moved[moved["distance"] > 0]
    columns = ["company_id", "company_name", "change", "component", "reason"]
    return moved[columns].sort_values("change").reset_index(drop=True), earliest, newest
