"""What the health checks said last: checks ─▶ one row each, with the moment it became so."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from ledger.tables import health_checks

KEPT = ("name", "is_healthy", "value", "threshold", "unit", "root_cause", "advice")


def record_checks(
    connection: Connection, checks: Sequence[Mapping[str, Any]], at: datetime
) -> bool:
    """Keep the checks (mappings with the keys `KEPT`); gives whether a verdict is new."""
    before = {row["name"]: row for row in known_checks(connection)}
    columns = health_checks.c
    for check in checks:
        values = {name: check[name] for name in KEPT} | {"checked_at": at}
        known = before.pop(check["name"], None)
        if known is None:
            connection.execute(insert(health_checks).values(**values, since=at))
            continue
        if known["is_healthy"] != check["is_healthy"]:
            values["since"] = at
        connection.execute(
            update(health_checks).where(columns.name == check["name"]).values(values)
        )
    if before:
        connection.execute(delete(health_checks).where(columns.name.in_(list(before))))
    return bool(before) or _changed(connection, at)


def _changed(connection: Connection, at: datetime) -> bool:
    query = select(health_checks.c.name).where(health_checks.c.since == at).limit(1)
    return connection.execute(query).first() is not None


def known_checks(connection: Connection) -> Sequence[RowMapping]:
    """The newest verdicts, by name."""
    return connection.execute(select(health_checks).order_by(health_checks.c.name)).mappings().all()
