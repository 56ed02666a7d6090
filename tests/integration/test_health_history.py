"""What is kept of the past: the score and its components by day, and the scoring configuration.

Four builds of the same companies: the morning and the evening of a day, a week later with another
weight, and thirty days after the first with everything rebuilt.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from support.modelled import BY_NAME, VIEWS, ModelledWarehouse

from ledger.settings import Settings

MORNING = datetime(2026, 3, 2, 9, tzinfo=UTC)
EVENING = MORNING + timedelta(hours=9)
WEEK_LATER, MONTH_LATER = MORNING + timedelta(days=7), MORNING + timedelta(days=30)
DAY, DAY_7, DAY_30 = MORNING.date(), WEEK_LATER.date(), MONTH_LATER.date()
HISTORIES = ("+company_health_history", "+company_health_component_history")
HEAVIER_ENGAGEMENT = """
    update health.health_score_components
    set points_per_unit = points_per_unit + 1
    where component = 'engagement'
"""
COMPONENTS = "select company_id, component, as_of_date, points, reason, calculated_at"
SCORES = """
    select
        company_id, as_of_date, health_score, health_band, health_score_change_7d,
        health_score_change_30d, config_version, calculated_at
"""


@dataclass
class Kept:
    """What the histories hold, and what was calculated, after each build."""

    scores: list[list[tuple[Any, ...]]] = field(default_factory=list)
    components: list[list[tuple[Any, ...]]] = field(default_factory=list)
    calculated: list[dict[str, int]] = field(default_factory=list)


def row(entity: str, id: str, at: datetime, **fields: Any) -> tuple[Any, Any, bool]:
    times = {"created_at": at.isoformat(), "updated_at": at.isoformat()}
    contract = BY_NAME[entity].contract
    return BY_NAME[entity], msgspec.convert({"id": id, **times, **fields}, contract), False


def company(id: str) -> tuple[Any, Any, bool]:
    return row("companies", id, MORNING, account_id="1", name=id, is_active=True)


def feedback(id: str, at: datetime, sentiment: str) -> tuple[Any, Any, bool]:
    return row("feedback", id, at, company_id="talking", user_id="1", sentiment=sentiment)


@pytest.fixture(scope="module")
def kept(built_module_settings: Settings) -> Kept:
    """Company `talking` has feedback, `silent` none, and `late` comes a week later."""
    warehouse, kept = ModelledWarehouse(built_module_settings, seeded=True), Kept()

    def build(at: datetime, rows: Iterable[tuple[Any, Any, bool]] = (), full: bool = False) -> None:
        warehouse.land(at.isoformat(), rows, received_at=at)
        warehouse.dbt("run", *HISTORIES, exclude=VIEWS, as_of=at, full=full)
        kept.scores.append(warehouse.rows(f"{SCORES} from health.company_health_history"))
        components = f"{COMPONENTS} from health.company_health_component_history"
        kept.components.append(warehouse.rows(components))
        calculated = "select company_id, health_score from health.company_health_metrics"
        kept.calculated.append(dict(warehouse.rows(calculated)))

    build(MORNING, [company("talking"), company("silent"), feedback("1", MORNING, "positive")])
    build(EVENING, [feedback("2", EVENING, "negative")])
    warehouse.execute(HEAVIER_ENGAGEMENT)
    build(WEEK_LATER, [company("late")])
    build(MONTH_LATER, full=True)
    return kept


def test_the_first_score_and_reasons_of_a_day_stay(kept: Kept) -> None:
    # 100 * 0.4 + 1 * 3 + 20 + 10, and in the evening 50 * 0.4 + 2 * 3 + 20 + 10.
    assert kept.calculated[:2] == [{"talking": 73, "silent": 40}, {"talking": 56, "silent": 40}]
    assert sorted(kept.scores[0])[1][:4] == ("talking", DAY, 73, "healthy")
    first = [found for found in kept.components[0] if found[0] == "talking"]
    assert {(component, points, reason) for _, component, _, points, reason, _ in first} == {
        ("sentiment", Decimal(40), "average sentiment 100 from 1 feedback in 90 days"),
        ("engagement", Decimal(3), "1 feedback in 90 days"),
        ("support", Decimal(20), "0 urgent tickets in 30 days"),
        ("recency", Decimal(10), "1 feedback in 7 days"),
    }
    assert sorted(kept.scores[1]) == sorted(kept.scores[0])
    assert sorted(kept.components[1]) == sorted(kept.components[0])


def test_a_day_is_compared_with_the_days_7_and_30_before(kept: Kept) -> None:
    changes: dict[tuple[str, date], tuple[Any, ...]] = {
        (company_id, day): (score, of_week, of_month)
        for company_id, day, score, _, of_week, of_month, _, _ in kept.scores[-1]
    }
    assert changes == {
        ("talking", DAY): (73, None, None),
        ("silent", DAY): (40, None, None),
        # 50 * 0.4 + 2 * 4 + 20 + 10, compared with the first score of the day.
        ("talking", DAY_7): (58, -15, None),
        ("silent", DAY_7): (40, 0, None),
        ("late", DAY_7): (40, None, None),
        # No feedback in 7 days any more. 23 days before is not 7 days before.
        ("talking", DAY_30): (48, None, -25),
        ("silent", DAY_30): (40, None, 0),
        ("late", DAY_30): (40, None, None),
    }
    assert len(kept.scores[-1]) == len(changes)


def test_a_score_names_the_configuration_it_was_calculated_with(kept: Kept) -> None:
    versions: dict[date, set[str]] = {}
    for _, day, *_, version, _ in kept.scores[-1]:
        versions.setdefault(day, set()).add(version)
    assert all(len(found) == 1 for found in versions.values())
    assert versions[DAY] != versions[DAY_7] == versions[DAY_30]


@pytest.mark.parametrize("build", [1, 2, 3], ids=["second", "weights", "full refresh"])
def test_no_build_rewrites_a_row(kept: Kept, build: int) -> None:
    """Nor removes one: `--full-refresh` least of all, because nothing could bring it back."""
    assert set(kept.scores[build - 1]) <= set(kept.scores[build])
    assert set(kept.components[build - 1]) <= set(kept.components[build])


def test_every_score_has_its_components(kept: Kept) -> None:
    totals: dict[tuple[str, date], list[Decimal]] = {}
    for company_id, _, day, points, _, _ in kept.components[-1]:
        totals.setdefault((company_id, day), []).append(points)
    assert all(len(points) == 4 for points in totals.values())
    scores = {(company_id, day): score for company_id, day, score, *_ in kept.scores[-1]}
    assert scores == {key: sum(points) for key, points in totals.items()}
