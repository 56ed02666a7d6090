"""Companies are counted anew when they are touched, and only then: the rest keeps its rows.

Every case builds step by step, compares with the counts made anew, and says who was counted: one
that counts everybody, or nobody, would be right by chance.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from support.modelled import BY_NAME, VIEWS, Fetch, ModelledWarehouse, Rows

from benchmarks.raw_rows import RawFiller
from ledger.settings import Settings

HOUR = timedelta(hours=1)
COUNTED = {
    "int_companies__feedback": (
        "event_count, scored_event_count, sentiment_total, recent_event_count, engaged_users,"
        " last_event_at, next_count_at, config_version"
    ),
    "int_companies__tickets": (
        "ticket_count, urgent_ticket_count, resolved_count, resolution_microseconds,"
        " next_count_at, config_version"
    ),
}
"""All that is counted of a company, but not the moment it was counted for."""
COUNTS = tuple(COUNTED)
SCORES = ("int_companies__activity", "company_health_components", "company_health_metrics")
FACTS = ("int_feedback__current", "int_tickets__current", "fct_feedback", "fct_support_tickets")
ALL = ("int_companies__current", *FACTS, "int_companies__seen", "dim_company", *COUNTS, *SCORES)
NEW_WEIGHTS = "update health.sentiment_scores set sentiment_score = {} where sentiment = 'neutral'"
BYSTANDER = "bystander"
"""A company that no case touches."""
TOUCHED = (
    *("gets feedback", "moves its feedback", "gets its feedback", "goes its feedback"),
    *("gets a ticket", "moves its ticket", "gets its ticket", "goes its ticket"),
    *("gets what is deleted", "leaves every company", "is resolved"),
)
"""Companies that one build touches, by how."""
Row = tuple[Any, Any, bool]


@dataclass
class Counted:
    """A warehouse, with a clock that goes on from case to case."""

    warehouse: ModelledWarehouse
    as_of: datetime = datetime(2026, 3, 2, 1, tzinfo=UTC)
    landed: int = 0

    def land(self, *rows: Row) -> None:
        """Rows as a load of their own."""
        self.landed += 1
        self.warehouse.land(f"{self.landed}.75", rows, received_at=self.as_of)

    def build(self, *rows: Row, after: timedelta = HOUR / 4) -> None:
        """Build the scores some time later; news of its load come with it."""
        self.land(*rows)
        self.as_of += after
        self.run(*ALL)

    def run(self, *selectors: str, full: bool = False) -> None:
        """Build what holds rows."""
        self.warehouse.dbt("run", *selectors, exclude=VIEWS, as_of=self.as_of, full=full)

    def recounted(self) -> tuple[set[str], set[str]]:
        """Who was counted by the newest build, by model, after a comparison with a count of all."""
        of_newest = f"select company_id from intermediate.{{}} where {self.is_new}"
        with self.warehouse.opened() as fetch:
            feedback, tickets = ({id for (id,) in fetch(of_newest.format(m))} for m in COUNTS)
            assert fetch("select * from operations.touched_companies") == []
            incremental = counts_of(fetch)
        self.run(*COUNTS, full=True)
        with self.warehouse.opened() as fetch:
            assert counts_of(fetch) == incremental
        return feedback, tickets

    @property
    def is_new(self) -> str:
        """Condition: counted for the newest moment."""
        return f"counted_at = '{self.as_of.replace(tzinfo=None).isoformat(sep=' ')}'"

    def all(self) -> set[str]:
        """Every company that the counts hold."""
        rows = self.warehouse.rows(f"select company_id from intermediate.{COUNTS[0]}")
        return {id for (id,) in rows}

    def score_of(self, id: str) -> list[tuple[Any, ...]]:
        """Events and tickets of a company that readers see."""
        return self.warehouse.rows(
            "select event_count_90d, support_tickets_30d from health.company_health_metrics"
            f" where company_id = '{id}'"
        )

    def feedback(self, id: str, company: str, at: datetime | None = None, **more: Any) -> Row:
        """A version of a piece of feedback, newer than those before."""
        more = {"sentiment": "neutral", "user_id": "1", **more}
        return self.row("feedback", id, at or self.as_of, company_id=company, **more)

    def ticket(self, id: str, company: str | None, at: datetime | None = None, **more: Any) -> Row:
        """A version of a ticket, newer than those before."""
        more = {"priority": "urgent", "status": "open", **more}
        return self.row("tickets", id, at or self.as_of, company_id=company, **more)

    def company(self, id: str, is_active: bool = True) -> Row:
        """A version of a company, newer than those before."""
        more = {"account_id": "1", "name": id, "is_active": is_active}
        return self.row("companies", id, self.as_of, **more)

    def row(self, entity: str, id: str, at: datetime, deleted: bool = False, **more: Any) -> Row:
        """A record that changed now."""
        version = (self.as_of + timedelta(seconds=self.landed)).isoformat()
        fields = {"id": id, "created_at": at.isoformat(), "updated_at": version, **more}
        return BY_NAME[entity], msgspec.convert(fields, BY_NAME[entity].contract), deleted


def counts_of(fetch: Fetch) -> list[Rows]:
    """Every row of the counts, without the moment it was counted for."""
    return [
        Counter(fetch(f"select company_id, {columns} from intermediate.{model}"))
        for model, columns in COUNTED.items()
    ]


@pytest.fixture(scope="module")
def counted(built_module_settings: Settings) -> Counted:
    """Companies with what changes later, and one that no case touches."""
    counted = Counted(ModelledWarehouse(built_module_settings, seeded=True))
    companies = [counted.company(id) for id in ("a", "b", "c", BYSTANDER, *TOUCHED)]
    begin = [counted.feedback("still", BYSTANDER), counted.ticket("still", BYSTANDER)]
    for id in ("moving twice", "failing"):
        begin += [counted.feedback(id, "a"), counted.ticket(id, "a")]
    for id in ("moves", "goes"):
        begin += [
            counted.feedback(id, f"{id} its feedback"),
            counted.ticket(id, f"{id} its ticket"),
        ]
    begin += [counted.ticket(id, id) for id in ("leaves every company", "is resolved")]
    counted.build(*companies, *begin)
    return counted


def is_touched_in_every_way(counted: Counted) -> None:
    """All in one build: each way has companies of its own."""
    counted.build(
        counted.feedback("new", "gets feedback"),
        counted.ticket("new", "gets a ticket"),
        counted.feedback("moves", "gets its feedback"),
        counted.ticket("moves", "gets its ticket"),
        counted.feedback("goes", "gets what is deleted", deleted=True),
        counted.ticket("goes", "gets what is deleted", deleted=True),
        counted.ticket("leaves every company", None),
        counted.ticket("is resolved", "is resolved", resolved_at=counted.as_of.isoformat()),
    )
    both = {"gets what is deleted"}
    of_feedback = {"gets feedback", "moves its feedback", "gets its feedback", "goes its feedback"}
    of_tickets = {"gets a ticket", "moves its ticket", "gets its ticket", "goes its ticket"}
    of_tickets |= {"leaves every company", "is resolved"}
    assert both | of_feedback | of_tickets == set(TOUCHED)
    assert counted.recounted() == (both | of_feedback, both | of_tickets)


def moves_twice_before_a_count(counted: Counted) -> None:
    for company in ("b", "c"):
        counted.land(
            counted.feedback("moving twice", company), counted.ticket("moving twice", company)
        )
        counted.run(*FACTS)
    counted.build()
    assert counted.recounted() == ({"a", "b", "c"}, {"a", "b", "c"})


def comes_true_later(counted: Counted) -> None:
    """Nothing lands when it does."""
    soon, later = counted.as_of + HOUR, counted.as_of + 2 * HOUR
    resolved_later = counted.ticket("later", "c", resolved_at=later.isoformat())
    counted.build(counted.feedback("soon", "a", soon), counted.ticket("soon", "b", soon))
    before = counted.score_of("a"), counted.score_of("b")
    counted.build(resolved_later, after=soon - counted.as_of - timedelta(microseconds=1))
    assert counted.recounted() == (set(), {"c"})
    counted.build(after=timedelta(microseconds=1))
    assert (counted.score_of("a"), counted.score_of("b")) != before
    assert counted.recounted() == ({"a"}, {"b"})
    counted.build(after=HOUR)
    assert counted.recounted() == (set(), {"c"})


def is_activated_and_goes(counted: Counted) -> None:
    """Its figures are there already."""
    id = "sleeping"
    counted.build(counted.company(id, is_active=False), counted.feedback("early", id))
    assert counted.score_of(id) == []
    assert counted.recounted() == ({id}, {id})
    counted.build(counted.company(id))
    assert counted.score_of(id) == [(1, 0)]
    assert counted.recounted() == (set(), set())
    counted.build(
        counted.row(
            "companies", id, counted.as_of, deleted=True, account_id="1", name=id, is_active=True
        )
    )
    assert counted.score_of(id) == []
    assert counted.recounted() == (set(), set())


def is_named_before_it_is_known(counted: Counted) -> None:
    counted.build(counted.ticket("strange", "stranger"))
    assert counted.score_of("stranger") == []
    assert counted.recounted() == ({"stranger"}, {"stranger"})
    counted.build(counted.company("stranger"))
    assert counted.score_of("stranger") == [(0, 1)]
    assert counted.recounted() == (set(), set())


def fails_once(counted: Counted) -> None:
    """What a failed count had taken is there for the next one."""
    counted.land(counted.feedback("failing", "b"))
    model = f"intermediate.{COUNTS[0]}"
    counted.warehouse.execute(f"alter table {model} add column in_the_way integer")
    outcome = counted.warehouse.try_dbt("run", *ALL, as_of=counted.as_of)
    assert not outcome.success
    counted.warehouse.execute(f"alter table {model} drop column in_the_way")
    counted.build()
    assert counted.recounted() == ({"a", "b"}, set())


def has_its_facts_built_anew(counted: Counted) -> None:
    counted.warehouse.execute("delete from core.fct_feedback")
    counted.build()
    assert counted.score_of(BYSTANDER) == [(1, 1)]
    counted.run("fct_feedback", full=True)
    counted.build()
    assert counted.recounted() == (counted.all(), set())


def is_built_without_rows(counted: Counted) -> None:
    """`--empty` counts nobody, and takes no note."""
    counted.land(counted.feedback("empty", "a"), counted.ticket("empty", "b"))
    counted.run(*FACTS)
    for hours in (0, 24):
        as_of = counted.as_of + timedelta(hours=hours)
        counted.warehouse.dbt("run", *COUNTS, "--empty", as_of=as_of)
    counted.build()
    assert counted.recounted() == ({"a"}, {"b"})


def are_many(counted: Counted) -> None:
    """More than are looked up one by one."""
    many = [counted.feedback(f"many-{number}", f"many-{number}") for number in range(300)]
    counted.build(*many)
    assert counted.recounted() == (counted.all(), counted.all())


def have_many_rows(counted: Counted) -> None:
    """More than are noted one by one."""
    rows = 100_001
    of_a_load = RawFiller(counted.warehouse.settings).feedback
    of_a_load("many", 0, rows, companies=1, day=counted.as_of.isoformat())
    counted.build()
    assert counted.recounted() == (counted.all(), {"0"})


def have_another_scoring(counted: Counted) -> None:
    counted.warehouse.execute(NEW_WEIGHTS.format(49))
    counted.build()
    everybody = counted.all()
    assert counted.recounted() == (everybody, everybody)
    counted.warehouse.execute(NEW_WEIGHTS.format(50))


def are_looked_at_on_another_day(counted: Counted) -> None:
    everybody = counted.all()
    for days in (1, -1, 91):
        counted.build(after=timedelta(days=days))
        assert counted.recounted() == (everybody, everybody)
    counted.build()
    assert counted.recounted() == (set(), set())


def are_looked_at_before(counted: Counted) -> None:
    """What came true is yet to come again."""
    everybody = counted.all()
    counted.build(counted.feedback("true", "a", counted.as_of + HOUR / 4))
    counted.build(after=-HOUR / 8)
    assert counted.recounted() == (everybody, everybody)
    counted.build()
    assert counted.recounted() == ({"a"}, set())


CASES = (
    is_touched_in_every_way,
    moves_twice_before_a_count,
    comes_true_later,
    is_activated_and_goes,
    is_named_before_it_is_known,
    fails_once,
    has_its_facts_built_anew,
    is_built_without_rows,
    are_many,
    have_many_rows,
    have_another_scoring,
    are_looked_at_before,
    are_looked_at_on_another_day,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_who_is_touched_is_counted_and_scored_as_by_a_full_refresh(
    counted: Counted, case: Callable[[Counted], None]
) -> None:
    case(counted)


def test_a_day_that_was_not_counted_is_not_scored(counted: Counted) -> None:
    counted.build()
    scored = "select distinct calculated_at from health.company_health_metrics"
    before = counted.warehouse.rows(scored)
    next_day = counted.as_of + 24 * HOUR
    outcome = counted.warehouse.try_dbt("build", "int_companies__activity+", as_of=next_day)
    status = {result.node.name: result.status for result in outcome.result.results}
    assert status["counts_are_of_the_day_of_the_score"] == "fail"
    assert {status[name] for name in status if name.startswith("company_health_")} == {"skipped"}
    assert counted.warehouse.rows(scored) == before
    counted.build()
    assert counted.warehouse.rows(scored) != before
