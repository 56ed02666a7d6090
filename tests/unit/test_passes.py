"""Passes: what makes one suspicious, when an entity was read in full, and where the cursor goes."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger.runs import now
from loaders import passes
from loaders.passes import (
    QUIET_PASSES,
    Completeness,
    PassReport,
    RecentKeys,
    _repeats,
    bounded_cursor,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)


def repeats(*pages: str) -> list[bool]:
    """Whether each page of one-letter records repeats records, as the reader asks it."""
    seen, previous, found = RecentKeys(), list[str](), list[bool]()
    for page in pages:
        found.append(_repeats(list(page), previous, seen))
        for record in page:
            seen.add(record)
        previous = list(page)
    return found


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (("abc", "def"), [False, False]),
        (("abc", "cde"), [False, False]),
        (("abc", "bcd"), [False, False]),
        (("abc", "abc"), [False, True]),
        (("abc", "dec"), [False, True]),
        (("abc", "ade"), [False, True]),
        (("abc", "cbd"), [False, True]),
        (("abc", "def", "abc"), [False, False, True]),
        (("abc", "c"), [False, True]),
        (("abc", ""), [False, False]),
    ],
)
def test_an_overlap_is_no_repeat(pages: tuple[str, ...], expected: list[bool]) -> None:
    assert repeats(*pages) == expected


def test_recent_keys_forget_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "RECENT_KEYS", 10)
    keys = RecentKeys()
    for number in range(35):
        keys.add(str(number))
        assert all(str(n) in keys for n in range(max(0, number - 9), number + 1))
    assert "0" not in keys
    assert len(keys._new) + len(keys._old) <= 20


def report(
    pages: int = 2, repeated: bool = False, moved: bool = False, start: int = 0, oldest: int = 0
) -> PassReport:
    return PassReport(
        pages=pages,
        repeated=repeated,
        moved=moved,
        started_at=AT + timedelta(hours=start),
        oldest_landed=AT + timedelta(hours=oldest) if oldest else None,
    )


def test_a_calm_pass_is_enough() -> None:
    assert Completeness().settled(report())
    assert Completeness().settled(report(pages=1, repeated=True, moved=True))


def test_moved_rows_ask_for_a_pass_that_misses_nothing() -> None:
    complete = Completeness()
    assert not complete.settled(report(moved=True))
    assert not complete.settled(report(moved=True, start=2, oldest=-5))
    assert complete.settled(report(moved=True, start=4, oldest=3))


def test_repeated_rows_ask_for_several_quiet_passes() -> None:
    complete = Completeness()
    assert not complete.settled(report(repeated=True))
    verdicts = [complete.settled(report(repeated=True, start=n)) for n in range(1, 4)]
    assert verdicts == [False] * (QUIET_PASSES - 1) + [True]
    complete = Completeness()
    assert not complete.settled(report(repeated=True))
    assert not complete.settled(report(repeated=True, start=1))
    assert not complete.settled(report(repeated=True, start=2, oldest=-1))
    assert not complete.settled(report(repeated=True, start=3))
    assert complete.settled(report(start=4))


def test_the_cursor_stays_behind_the_clock_and_never_goes_back() -> None:
    assert bounded_cursor(PassReport(), None) is None
    assert bounded_cursor(PassReport(), AT) == AT
    assert bounded_cursor(PassReport(largest_version=AT), None) == AT
    assert bounded_cursor(PassReport(largest_version=AT - timedelta(days=1)), AT) == AT
    future = bounded_cursor(PassReport(largest_version=AT + timedelta(days=99_999)), AT)
    assert future is not None
    assert AT < future <= now()


def test_the_cursor_stays_behind_the_begin_of_the_pass() -> None:
    """Pages read early do not show what changed while later ones were read."""
    minutes = [timedelta(minutes=n) for n in range(40)]
    seen = PassReport(started_at=AT, largest_version=AT + minutes[29])
    assert bounded_cursor(seen, None) == AT
    assert bounded_cursor(seen, AT - minutes[10]) == AT
    assert bounded_cursor(seen, AT + minutes[5]) == AT + minutes[5]
    calm = PassReport(started_at=AT, largest_version=AT - minutes[29])
    assert bounded_cursor(calm, None) == AT - minutes[29]
