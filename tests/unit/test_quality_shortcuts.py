"""Shortcuts of Great Expectations read what it reads itself."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ledger.settings import Settings
from quality import shortcuts
from quality.history import History
from quality.rules import Rule, Scope
from quality.session import Session
from quality.suites.marts import marts_rules
from quality.suites.raw import raw_rules
from quality.thresholds import read_thresholds

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ASKED: tuple[dict[str, Any] | None, ...] = (
    None,
    {"result_format": "BOOLEAN_ONLY"},
    {"result_format": {"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]}},
    {"column": "said for a run, and not of the expectation", "catch_exceptions": True},
)


@pytest.fixture(scope="module")
def rules() -> list[Rule]:
    scope = Scope(NOW, NOW, {}, read_thresholds(), History())
    return [*raw_rules(scope), *marts_rules(scope)]


def test_an_expectation_has_the_same_values(rules: list[Rule]) -> None:
    assert len(rules) > 80
    for rule in rules:
        own = rule.expectation
        expected = [shortcuts.OWN[name](own) for name in shortcuts.NAMES]
        runs = [shortcuts.OWN["_get_runtime_kwargs"](own, asked) for asked in ASKED]
        shortcuts.take_shortcuts()
        assert [getattr(own, name)() for name in shortcuts.NAMES] == expected
        assert [own._get_runtime_kwargs(asked) for asked in ASKED] == runs


def test_a_context_keeps_what_it_does_not_save(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        connection.execute("create schema core; create table core.dim_date as select 1 as day")
    session = Session(settings)
    with session.opened():
        first, again = session.batch("core.dim_date"), session.batch("core.dim_date")
    (source,) = session.context.data_sources.all().values()
    assert [asset.name for asset in source.assets] == ["core.dim_date"]
    assert first.id == again.id


def test_another_version_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    untouched = type("Expectation", (), {})
    monkeypatch.setattr(shortcuts, "Expectation", untouched)
    monkeypatch.setattr(shortcuts, "COMPARED_WITH", "0.0.")
    shortcuts.take_shortcuts()
    assert not hasattr(untouched, shortcuts.NAMES[0])
    monkeypatch.undo()
    monkeypatch.setattr(shortcuts, "Expectation", untouched)
    shortcuts.take_shortcuts()
    assert hasattr(untouched, shortcuts.NAMES[0])
