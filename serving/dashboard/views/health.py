"""Company health: who is well, who is leaving, who moved and why."""

import streamlit as st

from serving.dashboard import charts
from serving.dashboard.parts import LAST_POINT, chart, figures, page, table
from serving.dashboard.queries import COMPANIES, frame, moves, trend

SHOWN = 10


def show() -> None:
    """The page."""
    with page("Company health") as reader:
        companies = frame(reader, COMPANIES)
        if companies.empty:
            st.info("No active company is known yet. They come with the source crm.")
            return
        bands = companies["health_band"].value_counts()
        figures(
            {
                "Companies": f"{len(companies):,}",
                "Average score": f"{companies['health_score'].mean():.1f}",
                "At risk": f"{int(bands.get('at_risk', 0)):,}",
                "Watch": f"{int(bands.get('watch', 0)):,}",
                "Healthy": f"{int(bands.get('healthy', 0)):,}",
            }
        )
        left, right = st.columns(2)
        scores = companies[["company_name", "health_score", "health_band"]]
        with left:
            chart("Scores", scores, charts.score_distribution, "No company has a score.")
        with right:
            empty = "There is no history yet; each day adds to it."
            chart("Trend", trend(reader), charts.score_trend, empty)
            st.caption(LAST_POINT)
        moved, earlier, later = moves(reader)
        st.subheader("Movers")
        if moved.empty:
            st.info("Nobody moved, or there are not two days to compare yet.")
        else:
            st.caption(
                f"From the first score of {earlier} to the current one of {later}; "
                "what moved the score most is the reason."
            )
            worse, better = st.columns(2)
            names = ["company_name", "change", "component", "reason"]
            with worse:
                st.markdown("**Down**")
                table(moved[moved["change"] < 0].head(SHOWN)[names])
            with better:
                st.markdown("**Up**")
                table(moved[moved["change"] > 0].iloc[::-1].head(SHOWN)[names])
        st.subheader("Most at risk")
        columns = ["company_name", "account_name", "industry", "health_score", "health_band"]
        table(companies.head(SHOWN)[[*columns, "urgent_tickets_30d", "last_event_at"]])
