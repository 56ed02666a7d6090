"""What the pages share: one version, its age, figures, charts that can be read as tables."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from ledger.errors import NotPublishedError, TargetError
from ledger.settings import load_settings
from serving.reader import Reader, open_published

STALE_AFTER = timedelta(hours=2)
"""`serve` builds everything every hour; older than this, something is wrong, or nothing runs."""
LAST_POINT = "The last point is the current score; before it stands the first score of each day."
STYLE = """
<style>
@media print {
    [data-testid="stSidebar"], [data-testid="stHeader"], [data-testid="stExpander"] {
        display: none;
    }
    .stMain, .stApp { position: static; overflow: visible }
}
table.plain { border-collapse: collapse; width: 100%; font-size: 0.875rem }
table.plain th { text-align: left; font-weight: 600; border-bottom: 2px solid #bbb }
table.plain th, table.plain td { padding: 0.3rem 0.5rem; vertical-align: top }
table.plain td { border-bottom: 1px solid #ddd }
table.plain .number { text-align: right; font-variant-numeric: tabular-nums }
p.note { color: #555; font-size: 0.875rem }
</style>
"""


@contextmanager
def page(title: str) -> Iterator[Reader]:
    """A page on one published version; stops where there is none, saying what to do."""
    st.title(title)
    try:
        with open_published(load_settings()) as reader:
            _show_age(reader)
            yield reader
    except (NotPublishedError, TargetError) as error:
        st.warning(f"There is nothing to show: {error}.", icon=":material/hourglass_empty:")
        st.stop()


def _show_age(reader: Reader) -> None:
    publication = reader.publication
    age = datetime.now(UTC) - publication.created_at
    minutes = int(age.total_seconds() // 60)
    shown = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
    told = (
        f"Version {publication.version}, as of {publication.as_of:%Y-%m-%d %H:%M} UTC, "
        f"published {shown} ago"
    )
    wrong = reader.fetch(
        "select name, advice from operations.pipeline_health where not is_healthy order by name"
    )
    if age > STALE_AFTER:
        st.warning(f"Old figures. {told}.", icon=":material/history:")
    elif wrong:
        names = ", ".join(name for name, _ in wrong)
        st.warning(
            f"{told}. The pipeline is not well ({names}); these figures passed their audit, "
            "and may be late: see Pipeline.",
            icon=":material/warning:",
        )
    else:
        st.caption(f"{told}. Audited; the pipeline is well.")


def figures(values: Mapping[str, str]) -> None:
    """Figures side by side."""
    for column, (label, text) in zip(st.columns(len(values)), values.items(), strict=True):
        column.metric(label, text, border=True)


def chart(title: str, data: pd.DataFrame, draw: Callable[[pd.DataFrame], Any], empty: str) -> None:
    """A chart, with its figures as a table below; or why there is none."""
    st.subheader(title)
    if data.empty:
        st.info(empty)
        return
    drawn: alt.Chart = draw(data)
    st.altair_chart(drawn.properties(description=title), width="stretch")
    with st.expander(f"{title}, as a table"):
        table(data)


def table(data: pd.DataFrame, empty: str = "None.") -> None:
    """A plain table, which a screen reader can read and paper can hold."""
    if data.empty:
        st.caption(empty)
        return
    st.html(table_html(data))


def table_html(data: pd.DataFrame) -> str:
    """What is in it comes from outside: it is escaped, and never read as Markdown or HTML."""
    head = "".join(_heading(name, data[name]) for name in data.columns)
    rows = "".join(_row(row) for row in data.itertuples(index=False))
    return f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def note(text: str) -> None:
    """A remark that quotes what comes from outside."""
    st.html(f'<p class="note">{escape(text)}</p>')


def _row(row: Iterable[Any]) -> str:
    return "<tr>" + "".join(_cell(value) for value in row) + "</tr>"


def _heading(name: Any, values: Iterable[Any]) -> str:
    return f'<th scope="col"{_kind(*values)}>{escape(_label(name))}</th>'


def _cell(value: Any) -> str:
    return f"<td{_kind(value)}>{escape(_text(value))}</td>"


def _kind(*values: Any) -> str:
    return ' class="number"' if any(_is_number(value) for value in values) else ""


def _is_number(value: Any) -> bool:
    """Whether it is a figure: pandas' missing text is a float too."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not pd.isna(value)


def _label(name: Any) -> str:
    return str(name).replace("_", " ")


def _text(value: Any) -> str:
    if value is None or value is pd.NaT or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return str(value)
