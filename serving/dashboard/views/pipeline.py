"""Pipeline: is it well, what came in, what was refused, what was tested, what was published."""

import streamlit as st

from serving.dashboard.parts import figures, page, table
from serving.dashboard.queries import (
    CHECKS,
    FAILING_RULES,
    LETTERS,
    PUBLICATIONS,
    RULES,
    SYNCS,
    frame,
)


def show() -> None:
    """The page."""
    with page("Pipeline") as reader:
        checks, letters = frame(reader, CHECKS), frame(reader, LETTERS)
        failing, rules = frame(reader, FAILING_RULES), frame(reader, RULES)
        wrong = int((~checks["is_healthy"].astype(bool)).sum()) if len(checks) else 0
        waiting = letters[letters["status"] == "open"]["letter_count"].sum() if len(letters) else 0
        figures(
            {
                "Checks that are not well": f"{wrong:,} of {len(checks):,}",
                "Rules that fail": f"{len(failing):,} of {int(rules['rules'].sum()):,}",
                "Open dead letters": f"{int(waiting):,}",
            }
        )
        st.subheader("Checks")
        table(checks, "Nothing was checked yet.")
        st.subheader("Rules that fail")
        table(failing, "Every dbt test and every expectation holds.")
        st.subheader("Publications")
        table(frame(reader, PUBLICATIONS).head(10))
        st.subheader("Newest syncs")
        table(frame(reader, SYNCS).head(20), "Nothing was synced yet.")
        st.subheader("Dead letters")
        table(letters, "Nothing was refused.")
