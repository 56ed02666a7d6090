"""The dashboard: one published version ─▶ company health, sales and pipeline, in the browser.

Streamlit runs `app.py`; everything it shows is read by `queries.py` from one audited version. The
shapes of countries are Natural Earth's (public domain), as packed by world-atlas 2.0.2 (ISC).
"""
