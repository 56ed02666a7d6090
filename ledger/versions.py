"""Which of several versions of a record counts, for the queries of Python.

dbt's models ask the macro `version_order`; a test holds both to one order.
"""


def newest_first(version: str | None = "updated_at", is_deleted: str = "_is_deleted") -> str:
    """Columns to order versions by; without a version, what was received last counts.

    The hash decides between versions of one moment, the load between repeats of a row. Staging has
    another name for `_is_deleted`.
    """
    columns = (version, "_received_at", "_row_hash", is_deleted, "_dlt_load_id")
    return ", ".join(f"{column} desc" for column in columns if column)
