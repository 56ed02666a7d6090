"""What a refused publication says to whoever is on call: one line, with figures."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, select

from ledger.engine import open_ledger
from ledger.errors import TargetError
from ledger.quality import ERROR, FAILED, RuleOutcome, SuiteResult
from ledger.settings import Settings
from ledger.tables import publications
from operations import audit

AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
SHRUNK = "daily_sales__has_the_rows_of_the_day_before"
FIGURES = "44 rows, 60 the day before, at least 57 allowed"
Refuse = Callable[..., str]


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Engine]:
    engine = open_ledger(settings)
    yield engine
    engine.dispose()


@pytest.fixture
def refuse(settings: Settings, ledger: Engine, monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """The reason that readers find, given what failed."""

    def run(*failures: RuleOutcome) -> str:
        result = SuiteResult("marts", failures)
        monkeypatch.setattr(audit, "check_and_record", lambda *_, **__: result)
        monkeypatch.setattr(audit, "refresh_operations", lambda *_: None)
        version, reason = audit.audit_and_publish(settings, ledger, "run", AS_OF, None)
        assert version is None
        with ledger.connect() as connection:
            kept = connection.scalars(select(publications.c.audit)).all()
        assert kept[-1] == reason
        return str(reason)

    return run


def failure(rule: str, observed: str, status: str = FAILED) -> RuleOutcome:
    return RuleOutcome(rule, "sales.daily_sales", None, status, 1, observed)


def test_fewer_rows_are_told_with_figures_and_how_to_accept_them(refuse: Refuse) -> None:
    reason = refuse(failure(SHRUNK, FIGURES))
    assert reason.startswith(f"expectations: {SHRUNK} ({FIGURES}) failed; ")
    assert "raise shrink_max_ratio in seeds/quality_thresholds.csv" in reason


def test_the_reason_stays_one_line_of_bounded_length(refuse: Refuse) -> None:
    reason = refuse(*(failure(f"daily_sales__rule_{number}", "1\n" * 400) for number in range(9)))
    assert len(reason) < 500
    assert "\n" not in reason
    assert "and 6 more failed" in reason
    assert "shrink_max_ratio" not in reason


def test_an_error_of_the_database_may_quote_a_row_and_is_not_told(refuse: Refuse) -> None:
    assert "nobody" not in refuse(failure("dim__rule", "cannot convert 'nobody@a.b'", ERROR))


def test_marts_that_cannot_be_published_are_rejected_with_the_reason(
    settings: Settings, ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TargetError("cannot publish the marts: no space left")

    monkeypatch.setattr(audit, "check_and_record", lambda *_, **__: SuiteResult("marts", []))
    monkeypatch.setattr(audit, "publish", fail)
    with pytest.raises(TargetError, match="no space left"):
        audit.audit_and_publish(settings, ledger, "run", AS_OF, None)
    with ledger.connect() as connection:
        (newest,) = connection.execute(select(publications.c.status, publications.c.audit))
    assert newest == ("rejected", "cannot publish the marts: no space left")
