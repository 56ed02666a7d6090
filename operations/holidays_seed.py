"""Writes the seed of public holidays: `holidays` library ─▶ `seeds/holidays.csv`, sorted.

Safe to repeat: the same library version, years and countries write the same bytes.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

import holidays

YEARS = range(2000, 2041)
COUNTRIES = ("DE", "GB", "US")


def write_holidays(
    path: Path, years: Iterable[int] = YEARS, countries: Iterable[str] = COUNTRIES
) -> int:
    """Write one row a country and day to `path`; returns the number of rows."""
    years = list(years)
    rows = sorted(
        (country, day.isoformat(), name)
        for country in countries
        for day, name in holidays.country_holidays(country, years=years, language="en_US").items()
        if day.year in years
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("country_code", "holiday_date", "holiday_name"))
        writer.writerows(rows)
    return len(rows)


if __name__ == "__main__":
    print(write_holidays(Path("seeds/holidays.csv")))
