"""Snapshots keep the scoring configuration: each seed of it, row by row, with periods."""

from typing import Any

from support.modelled import ModelledWarehouse

from ledger.settings import Settings
from operations import dbt_runner

# By seed: its key, statements that edit, remove and add a row, and the keys of those rows.
EDITS: dict[str, tuple[str, tuple[str, str, str], tuple[str, str, str]]] = {
    "health_score_components": (
        "component",
        (
            "update health.health_score_components set max_points = 50"
            " where component = 'sentiment'",
            "delete from health.health_score_components where component = 'recency'",
            "insert into health.health_score_components"
            " select 'added', window_days, points_per_unit, max_points, points_otherwise,"
            " value_without_events from health.health_score_components where component = 'support'",
        ),
        ("sentiment", "recency", "added"),
    ),
    "health_score_bands": (
        "health_band",
        (
            "update health.health_score_bands set min_score = 75 where health_band = 'healthy'",
            "delete from health.health_score_bands where health_band = 'watch'",
            "insert into health.health_score_bands values ('added', 50)",
        ),
        ("healthy", "watch", "added"),
    ),
    "sentiment_scores": (
        "sentiment",
        (
            "update health.sentiment_scores set sentiment_score = 60 where sentiment = 'neutral'",
            "delete from health.sentiment_scores where sentiment = 'negative'",
            "insert into health.sentiment_scores values ('added', 70)",
        ),
        ("neutral", "negative", "added"),
    ),
}


def test_every_scoring_seed_has_a_snapshot(settings: Settings) -> None:
    """The seeds that make `config_version` what it is."""
    nodes = dbt_runner.parse(settings).nodes
    parents = nodes["model.warehouse.int_health_score__configuration"].depends_on.nodes
    seeds = {id.rpartition(".")[2] for id in parents if id.startswith("seed.")}
    assert seeds == EDITS.keys()
    snapshots = {id.rpartition(".")[2] for id in nodes if id.startswith("snapshot.")}
    assert snapshots == {f"{seed}_snapshot" for seed in seeds}


def test_periods_are_closed_when_a_row_changes_or_goes(built_settings: Settings) -> None:
    warehouse = ModelledWarehouse(built_settings, seeded=True)
    warehouse.dbt("snapshot")
    for _, statements, _ in EDITS.values():
        for statement in statements:
            warehouse.execute(statement)
    warehouse.dbt("snapshot")
    for seed, (key, _, (edited, removed, added)) in EDITS.items():
        periods: dict[str, list[tuple[Any, Any]]] = {}
        table = f"health.{seed}_snapshot"
        query = f"select {key}, valid_from, valid_to from {table} order by {key}, valid_from"
        for name, valid_from, valid_to in warehouse.rows(query):
            periods.setdefault(name, []).append((valid_from, valid_to))
        first = min(valid_from for found in periods.values() for valid_from, _ in found)
        (closed,) = periods.pop(removed)
        assert closed[0] == first < closed[1], f"{seed}: a row that is gone"
        changed = periods.pop(edited)
        second = changed[1][0]
        assert changed == [(first, second), (second, None)], f"{seed}: a row that was edited"
        assert periods.pop(added) == [(second, None)], f"{seed}: a row that was added"
        assert periods, "a row that stays as it was"
        assert all(found == [(first, None)] for found in periods.values()), seed
