"""The script that Streamlit runs: `streamlit run serving/dashboard/app.py`."""

import streamlit as st

from serving.dashboard.parts import STYLE
from serving.dashboard.views import company, health, pipeline, sales

st.set_page_config(page_title="Customer health", layout="wide")
st.html(STYLE)
st.navigation(
    [
        st.Page(health.show, title="Company health", url_path="health", default=True),
        st.Page(company.show, title="One company", url_path="company"),
        st.Page(sales.show, title="Sales", url_path="sales"),
        st.Page(pipeline.show, title="Pipeline", url_path="pipeline"),
    ]
).run()
