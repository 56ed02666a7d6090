"""Alerts: root causes that are at fault ─▶ messages to be sent, each written before it is sent.

A root cause makes one message when it begins and one when it has ended, however long it lasts. One
that comes and goes makes a message that says so, and then none until it has been quiet for a while.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from ledger.tables import alerts

PROBLEM = "problem"
FLAPPING = "flapping"
RECOVERY = "recovery"
FLAPS = 3
"""Problems of one root cause within `FLAP_WINDOW`; the next one is called flapping."""
FLAP_WINDOW = timedelta(hours=1)
QUIET = timedelta(minutes=15)
"""For so long a root cause that flapped must be well before it counts as mended."""
FIRST_RETRY = timedelta(seconds=10)
LONGEST_RETRY = timedelta(minutes=10)
GIVE_UP_AFTER = timedelta(days=1)


def raise_alerts(
    connection: Connection,
    faults: Mapping[str, str],
    well_since: Mapping[str, datetime],
    channels: Sequence[str],
    at: datetime,
) -> list[str]:
    """Write what has to be said about the faults (root cause ─▶ message); gives the messages.

    `well_since` is since when what is well now has been so.
    """
    said = []
    newest = {row["root_cause"]: row["kind"] for row in newest_alerts(connection)}
    for cause in sorted(faults.keys() | newest.keys()):
        kind = newest.get(cause)
        if cause in faults:
            if kind in (PROBLEM, FLAPPING):
                continue
            is_flapping = _problems(connection, cause, at - FLAP_WINDOW) >= FLAPS
            kind = FLAPPING if is_flapping else PROBLEM
            message = f"{cause}: {faults[cause]}"
            if is_flapping:
                message = f"{cause} comes and goes; silent until it is well for a while. {message}"
        elif kind == PROBLEM or (
            kind == FLAPPING and at - well_since.get(cause, at - QUIET) >= QUIET
        ):
            kind, message = RECOVERY, f"{cause}: well again"
        else:
            continue
        said.append(message)
        addressed: Sequence[str | None] = channels or [None]
        for channel in addressed:
            connection.execute(
                insert(alerts).values(
                    root_cause=cause,
                    kind=kind,
                    channel=channel,
                    message=message,
                    created_at=at,
                    attempts=0,
                )
            )
    return said


def newest_alerts(connection: Connection) -> list[RowMapping]:
    """What was last said of each root cause; of several channels, one row."""
    newest = select(func.max(alerts.c.alert_id)).group_by(alerts.c.root_cause)
    query = select(alerts).where(alerts.c.alert_id.in_(newest))
    return list(connection.execute(query).mappings())


def _problems(connection: Connection, cause: str, since: datetime) -> int:
    columns = alerts.c
    query = select(columns.created_at).distinct()
    query = query.where(columns.root_cause == cause, columns.kind == PROBLEM)
    return len(connection.execute(query.where(columns.created_at > since)).all())


def to_deliver(connection: Connection, at: datetime) -> list[RowMapping]:
    """Messages that a channel has not taken and that are due to be tried, oldest first."""
    columns = alerts.c
    query = select(alerts).where(
        columns.delivered_at.is_(None),
        columns.channel.is_not(None),
        columns.created_at > at - GIVE_UP_AFTER,
    )
    rows = connection.execute(query.order_by(columns.alert_id)).mappings()
    return [row for row in rows if at >= row["created_at"] + _pause(row["attempts"])]


def _pause(attempts: int) -> timedelta:
    """Time from a message to its next attempt: 0, 10, 30, 70 s, … doubling up to 10 minutes."""
    waited = timedelta()
    for attempt in range(attempts):
        waited += min(FIRST_RETRY * 2 ** min(attempt, 10), LONGEST_RETRY)
    return waited


def record_delivery(connection: Connection, alert_id: int, error: str | None, at: datetime) -> None:
    """Keep that a channel took a message, or why not."""
    columns = alerts.c
    connection.execute(
        update(alerts)
        .where(columns.alert_id == alert_id)
        .values(
            attempts=columns.attempts + 1,
            error=error,
            delivered_at=at if error is None else None,
        )
    )
