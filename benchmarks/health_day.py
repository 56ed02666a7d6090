"""The health mart moved one day forward against a full rebuild, with the same result.

20,000 companies, 5 million feedback events; a day's new events land, `as_of` moves by a day: the
median of five days. Wall time in a warm process, as the service builds: views are there already,
of what the mart needs only what is downstream of the news is built, and what is loaded is left out
of the search for garbage.
"""

import gc
import statistics
from datetime import UTC, datetime, timedelta
from functools import partial

from benchmarks.incremental_build import VIEWS
from benchmarks.measure import empty_warehouse, figure, quick, seconds
from benchmarks.raw_rows import RawFiller
from ledger.settings import Settings
from operations.dbt_runner import build

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 5
NEWS = ("source:support.feedback+,+company_health_metrics",)
ALL = ("+company_health_metrics",)
RESULT = """
    select company_id, health_score, event_count_90d, status_score, engaged_users, last_event_at
    from {schema}.company_health_metrics order by company_id
"""


def dbt_run(
    settings: Settings, models: tuple[str, ...], as_of: datetime, *, full_refresh: bool = False
) -> None:
    """Build models of the health mart."""
    result = build(
        settings,
        models,
        exclude=VIEWS,
        full_refresh=full_refresh,
        as_of=as_of,
        command="run",
    )
    assert result.succeeded, result.failures


def measure(engine: str, companies: int, events: int) -> tuple[float, float]:
    """Seconds of a next day and of a full rebuild."""
    with empty_warehouse(engine) as settings:
        assert build(settings, command="seed").succeeded
        assert build(settings, command="run", as_of=FIRST).succeeded
        filler = RawFiller(settings)
        filler.companies("1.0", companies)
        filler.feedback("2.0", 0, events, companies=companies, day=FIRST.isoformat())
        dbt_run(settings, ALL, FIRST)
        gc.freeze()
        moment, count, forward = FIRST, events // 365, []
        for number in range(DAYS):
            moment += timedelta(days=1)
            begin, load = events + number * count, f"{number + 3}.0"
            filler.feedback(load, begin, begin + count, companies=companies, day=moment.isoformat())
            forward.append(seconds(partial(dbt_run, settings, NEWS, moment)))
        result = RESULT.format(schema=settings.working_schema("health"))
        moved = filler.rows(result)
        full = seconds(partial(dbt_run, settings, ALL, moment, full_refresh=True))
        assert filler.rows(result) == moved
    return statistics.median(forward), full


def main() -> None:
    """Print the figure of each engine."""
    companies, events = (200, 20_000) if quick() else (20_000, 5_000_000)
    for engine in ("duckdb", "postgres"):
        forward, full = measure(engine, companies, events)
        figure(
            f"health mart one day forward, {events:,} events",
            engine,
            forward / full,
            "≤ 0.1",
            f"{forward:.1f} s against {full:.1f} s",
        )


if __name__ == "__main__":
    main()
