"""One company: its score and what makes it, how both went, its sales and tickets."""

import streamlit as st

from serving.dashboard import charts
from serving.dashboard.parts import LAST_POINT, chart, figures, page, table
from serving.dashboard.queries import (
    COMPANIES,
    COMPANY_SALES,
    COMPANY_TICKETS,
    COMPONENT_HISTORY,
    COMPONENTS,
    SCORE_HISTORY,
    frame,
)
from serving.reader import Reader


def show() -> None:
    """The page."""
    with page("One company") as reader:
        companies = frame(reader, COMPANIES).set_index("company_id")
        if companies.empty:
            st.info("No active company is known yet. They come with the source crm.")
            return
        asked = st.query_params.get("id")
        ids = list(companies.index)
        chosen = st.selectbox(
            "Company, those at risk first",
            ids,
            index=ids.index(asked) if asked in ids else 0,
            format_func=lambda id: f"{companies.loc[id, 'company_name']} ({id})",
        )
        st.query_params["id"] = chosen
        company = companies.loc[chosen]
        figures(
            {
                "Score": f"{company['health_score']:.0f}",
                "Band": str(company["health_band"]),
                "Feedback in 90 days": f"{company['event_count_90d']:,}",
                "Engaged users": f"{company['engaged_users']:,}",
                "Tickets in 30 days": f"{company['support_tickets_30d']:,}",
            }
        )
        st.subheader("What makes the score")
        table(frame(reader, COMPONENTS, [chosen]))
        _days(reader, chosen)
        st.subheader("Sales by month")
        table(frame(reader, COMPANY_SALES, [chosen]), "No sales.")
        st.subheader("Newest tickets")
        table(frame(reader, COMPANY_TICKETS, [chosen]), "No tickets.")


def _days(reader: Reader, company_id: str) -> None:
    """How the score and its components went."""
    left, right = st.columns(2)
    with left:
        history = frame(reader, SCORE_HISTORY, [company_id, company_id])
        chart(
            "Score by day",
            history,
            lambda data: charts.lines(data, "as_of_date", "health_score", "Score"),
            "There is no history yet; each day adds to it.",
        )
    with right:
        components = frame(reader, COMPONENT_HISTORY, [company_id, company_id])
        chart(
            "Points by day and component",
            components,
            lambda data: charts.lines(data, "as_of_date", "points", "Points", "component"),
            "There is no history yet; each day adds to it.",
        )
    st.caption(LAST_POINT)
