"""Sales: by day, by country on a map, by segment, and today as it happens."""

from datetime import timedelta

import pandas as pd
import streamlit as st

from serving.dashboard import charts
from serving.dashboard.parts import chart, figures, note, page, table
from serving.dashboard.queries import (
    DAILY_SALES,
    NEWEST_SALE,
    REGIONS,
    SALES_DAYS,
    SALES_TOTALS,
    SEGMENTS,
    TODAY,
    frame,
    value,
)


def show() -> None:
    """The page."""
    with page("Sales") as reader:
        newest = value(reader, NEWEST_SALE)
        if newest is None:
            st.info("Nothing was sold yet. Orders come with the source commerce.")
            return
        ((revenue, orders),) = reader.fetch(SALES_TOTALS)
        figures(
            {
                "Revenue": f"{revenue:,.0f}",
                "Orders": f"{orders:,}",
                "Average order": f"{revenue / orders:,.2f}" if orders else "-",
                "Newest day": str(newest),
            }
        )
        st.caption("Orders that are not cancelled; amounts as sold, in whatever currency.")
        daily = frame(reader, DAILY_SALES, [newest - timedelta(days=SALES_DAYS)])
        chart(
            "Revenue by day",
            daily,
            lambda data: charts.lines(data, "sales_date", "total_revenue", "Revenue"),
            "Nothing was sold in a year.",
        )
        _regions(frame(reader, REGIONS))
        chart(
            "Revenue by segment",
            frame(reader, SEGMENTS),
            lambda data: charts.bars(data, "total_revenue", "segment", "Revenue"),
            "No segment has sales.",
        )
        st.subheader("Today, from the topic")
        table(frame(reader, TODAY), "Nothing happened today yet.")


def _regions(regions: pd.DataFrame) -> None:
    unplaced = regions.iloc[0:0]

    def draw(data: pd.DataFrame) -> object:
        nonlocal unplaced
        drawn, unplaced = charts.world_map(data)
        return drawn

    chart("Revenue by country", regions, draw, "No country has sales.")
    if not unplaced.empty:
        names = ", ".join(unplaced["country"])
        total = unplaced["total_revenue"].sum()
        note(f"Not on the map, as no country is spelled so: {names} ({total:,.2f}).")
