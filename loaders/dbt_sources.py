"""Generates the dbt source files from the contracts, so that a column is described once.

contracts ─▶ columns ─▶ `models/staging/<source>/_<source>__sources.yml`. Run by `make contracts`;
a unit test fails when a file is stale.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from loaders.columns import EVENTS_WEBHOOK, LANDING, REFERENCE, RawTable, tables_of
from loaders.contracts import ALL_ENTITIES, USER_EVENTS

HEADER = "# Generated from loaders/contracts.py by `make contracts`: change the contract instead.\n"
OVERVIEW = {
    "crm": "CRM API: accounts, companies and their users.",
    "commerce": "Commerce API: customers, products and orders.",
    "support": "Support API: tickets and feedback.",
    "events": "Pushed events: messages of the user event topic, and webhooks of other types.",
    "reference": "GeoNames reference data, from an offline library.",
    "raw": "What the landing itself writes: completed loads and rejected records.",
}
FRESHNESS = {
    "warn_after": {"count": 6, "period": "hour"},
    "error_after": {"count": 24, "period": "hour"},
}


def source_files() -> dict[Path, str]:
    """Every generated file: path below the project's root, and text."""
    tables: dict[str, list[RawTable]] = {}
    for entity in ALL_ENTITIES:
        tables.setdefault(entity.source, []).extend(tables_of(entity))
    tables[USER_EVENTS.source].append(EVENTS_WEBHOOK)
    files = {_path(name): _render(name, own, fresh=True) for name, own in tables.items()}
    files[_path("reference")] = _render("reference", list(REFERENCE), fresh=False)
    files[_path("raw")] = _render("raw", list(LANDING), fresh=False)
    return files


def selectors_of(tables: Iterable[str]) -> list[str]:
    """dbt selectors of everything downstream of these raw tables, in a stable order."""
    names = _selectors()
    return sorted(names[table] for table in tables if table in names)


@cache
def _selectors() -> dict[str, str]:
    """By raw table; made once, for the service asks with every cycle."""
    return {
        table.name: f"source:{entity.source}.{_name(entity.source, table)}+"
        for entity in ALL_ENTITIES
        for table in tables_of(entity)
    }


def write(root: Path) -> list[Path]:
    """Write the files below `root`; returns those that changed."""
    changed = []
    for path, text in source_files().items():
        target = root / path
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            changed.append(path)
    return changed


def _path(source: str) -> Path:
    return Path("models/staging") / source / f"_{source}__sources.yml"


def _render(name: str, tables: list[RawTable], *, fresh: bool) -> str:
    source: dict[str, Any] = {
        "name": name,
        "schema": "raw",
        "description": OVERVIEW.get(name, f"The {name} API."),
    }
    if fresh:
        source["config"] = {"freshness": FRESHNESS, "loaded_at_field": "_received_at"}
    source["tables"] = [_table(name, table) for table in tables]
    text = yaml.safe_dump({"version": 2, "sources": [source]}, sort_keys=False, width=100)
    return HEADER + text


def _name(source: str, table: RawTable) -> str:
    """Name of a raw table within its dbt source."""
    return table.name.removeprefix(f"{source}__").removeprefix(f"{source}_").lstrip("_")


def _table(source: str, table: RawTable) -> dict[str, Any]:
    return {
        "name": _name(source, table),
        "identifier": table.name,
        "description": table.description,
        "columns": [
            {"name": c.name, "data_type": c.data_type, "description": c.description}
            for c in table.columns
        ],
    }


if __name__ == "__main__":
    for path in write(Path(__file__).parents[1]):
        print(f"wrote {path}")
