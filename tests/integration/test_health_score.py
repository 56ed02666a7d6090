"""The health score against an oracle written from the design, on both engines.

One build holds a few hundred companies with random feedback and tickets, and for each a twin whose
feedback is more negative.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from support.modelled import VIEWS, ModelledWarehouse

from ledger.settings import Settings
from loaders.contracts import ENTITIES

SEED = 20260302
AS_OF = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)
MIDNIGHT = AS_OF.replace(hour=0, minute=0)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
SCORES = {"positive": 100, "neutral": 50, "negative": 0}
WORSE = {"positive": "neutral", "neutral": "negative", "negative": "negative"}
EDGES = [
    AS_OF,
    AS_OF + SECOND,
    MIDNIGHT - 7 * DAY,
    MIDNIGHT - 7 * DAY + SECOND,
    MIDNIGHT - 30 * DAY,
    MIDNIGHT - 30 * DAY - SECOND,
    MIDNIGHT - 90 * DAY,
    MIDNIGHT - 90 * DAY - SECOND,
]
BY_NAME = {entity.name: entity for entity in ENTITIES}


@dataclass
class Company:
    id: str
    feedback: list[tuple[datetime, str]] = field(default_factory=list)
    tickets: list[tuple[datetime, str]] = field(default_factory=list)

    def components(self) -> dict[str, Fraction]:
        """The formula of the design, in exact fractions."""
        recent = [s for at, s in self.feedback if MIDNIGHT - 90 * DAY <= at <= AS_OF]
        status = Fraction(sum(SCORES[s] for s in recent), len(recent)) if recent else Fraction(50)
        urgent = any(p == "urgent" and MIDNIGHT - 30 * DAY <= at <= AS_OF for at, p in self.tickets)
        active = any(MIDNIGHT - 7 * DAY < at <= AS_OF for at, _ in self.feedback)
        return {
            "sentiment": min(status * Fraction(2, 5), Fraction(40)),
            "engagement": Fraction(min(len(recent) * 3, 30)),
            "support": Fraction(10 if urgent else 20),
            "recency": Fraction(10 if active else 0),
        }

    def score(self) -> int:
        total = sum(self.components().values(), Fraction(0))
        return int(max(Fraction(0), min(Fraction(100), total)) + Fraction(1, 2))


def generated() -> list[Company]:
    rng = random.Random(SEED)
    companies = [
        Company("silent"),
        Company("design-best", [(AS_OF - n * SECOND, "positive") for n in range(10)]),
        Company("design-worst", [(MIDNIGHT - 80 * DAY, "negative")], [(AS_OF, "urgent")]),
        Company("edge-of-7", [(MIDNIGHT - 7 * DAY, "neutral")]),
        Company("inside-7", [(MIDNIGHT - 7 * DAY + SECOND, "neutral")]),
    ]
    for number in range(150):
        company = Company(f"company-{number}")
        for _ in range(rng.choice((0, 1, 2, 3, 7, 13))):
            company.feedback.append((_moment(rng), rng.choice(list(SCORES))))
        for _ in range(rng.choice((0, 0, 1, 3))):
            company.tickets.append((_moment(rng), rng.choice(("urgent", "high", "low"))))
        twin = Company(f"{company.id}-worse", list(company.feedback), company.tickets)
        for position in range(len(twin.feedback)):
            if rng.random() < 0.5:
                at, sentiment = twin.feedback[position]
                twin.feedback[position] = (at, WORSE[sentiment])
        companies += [company, twin]
    return companies


def _moment(rng: random.Random) -> datetime:
    if rng.random() < 0.4:
        return rng.choice(EDGES)
    return AS_OF - timedelta(seconds=rng.randrange(-86_400, 120 * 86_400))


def _land(warehouse: ModelledWarehouse, companies: list[Company]) -> None:
    rows: list[tuple[Any, Any, bool]] = []

    def add(entity: str, **fields: Any) -> None:
        contract = BY_NAME[entity].contract
        rows.append((BY_NAME[entity], msgspec.convert(fields, contract), False))

    old = {"created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z"}
    add("companies", id="gone", account_id="1", name="gone", is_active=False, **old)
    for company in companies:
        add("companies", id=company.id, account_id="1", name=company.id, is_active=True, **old)
        for number, (at, sentiment) in enumerate(company.feedback):
            times = {"created_at": at.isoformat(), "updated_at": at.isoformat()}
            id, user_id = f"{company.id}-{number}", f"user-{number % 3}"
            add(
                "feedback",
                id=id,
                company_id=company.id,
                user_id=user_id,
                sentiment=sentiment,
                **times,
            )
        for number, (at, priority) in enumerate(company.tickets):
            times = {"created_at": at.isoformat(), "updated_at": at.isoformat()}
            id = f"{company.id}-{number}"
            add("tickets", id=id, company_id=company.id, priority=priority, status="open", **times)
    warehouse.land("1.0", rows, received_at=AS_OF)


@pytest.fixture(scope="module")
def scored(built_module_settings: Settings) -> tuple[ModelledWarehouse, list[Company]]:
    """Every company scored once, on each engine."""
    warehouse = ModelledWarehouse(built_module_settings, seeded=True)
    companies = generated()
    _land(warehouse, companies)
    warehouse.dbt("run", "+company_health_metrics+", exclude=VIEWS, as_of=AS_OF)
    return warehouse, companies


Scored = tuple[ModelledWarehouse, list[Company]]


def _scores(warehouse: ModelledWarehouse) -> dict[str, int]:
    query = "select company_id, health_score from health.company_health_metrics"
    return dict(warehouse.rows(query))


def test_every_score_is_the_oracles(scored: Scored) -> None:
    warehouse, companies = scored
    assert _scores(warehouse) == {company.id: company.score() for company in companies}


def test_worked_cases(scored: Scored) -> None:
    scores = _scores(scored[0])
    assert scores["silent"] == 40
    assert scores["design-best"] == 100
    assert scores["design-worst"] == 13
    assert scores["edge-of-7"] == 43
    assert scores["inside-7"] == 53


def test_points_sum_to_the_score_and_stay_in_bounds(scored: Scored) -> None:
    warehouse, companies = scored
    expected = {company.id: company.components() for company in companies}
    query = """
        select company_id, component, points, max_points
        from health.company_health_components
    """
    totals: dict[str, Fraction] = {}
    for company_id, component, points, max_points in warehouse.rows(query):
        assert 0 <= points <= max_points
        assert abs(Fraction(points) - expected[company_id][component]) < Fraction(1, 10_000)
        totals[company_id] = totals.get(company_id, Fraction(0)) + Fraction(points)
    for company_id, score in _scores(warehouse).items():
        assert 0 <= score <= 100
        assert score == int(totals[company_id] + Fraction(1, 2))


def test_more_negative_feedback_never_raises_the_score(scored: Scored) -> None:
    scores = _scores(scored[0])
    pairs = [(id, id.removesuffix("-worse")) for id in scores if id.endswith("-worse")]
    assert len(pairs) == 150
    assert all(scores[worse] <= scores[better] for worse, better in pairs)
    assert any(scores[worse] < scores[better] for worse, better in pairs)
