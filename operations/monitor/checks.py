"""The checks: ledger and disk ─▶ what was measured, whether it is well, what is at fault.

Checks that one fault turns red carry the same root cause, so that they make one alert: a source
that is down is `source:crm`, whatever else is late because of it.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from ledger.alerts import GIVE_UP_AFTER
from ledger.balance import balances
from ledger.dead_letters import QUALITY
from ledger.inbox import WAITING, WAITING_SINCE
from ledger.publications import REJECTED, current_publication
from ledger.quality import ERROR, PASSED, newest_results
from ledger.tables import (
    alerts,
    circuit_breakers,
    dead_letters,
    inbox,
    pipeline_runs,
    publications,
    stream_positions,
    sync_log,
)
from operations.monitor import freshness
from operations.monitor.context import Check, Context

ENOUGH_RUNS = 1000
SHOWN_RULES = 3
GIBIBYTE = 2**30


def evaluate(context: Context) -> list[Check]:
    """Every check, with the root cause of what follows from something else."""
    found = [check for family in FAMILIES for check in family(context)]
    causes = [check.root_cause for check in found if not check.is_healthy]
    explained = [cause for cause in causes if cause != "cycle"]
    return [
        replace(check, is_healthy=True, advice="")
        if check.root_cause == "cycle" and explained
        else check
        for check in _behind(found)
    ]


def _behind(found: list[Check]) -> list[Check]:
    """The checks, with what is behind a late publication, or behind marts that are old."""
    wrong = [check for check in found if not check.is_healthy]
    causes = sorted({check.root_cause for check in wrong})
    candidates = [cause for cause in ("build", "quality") if cause in causes]
    if not any(check.root_cause == "publication" and not _is_age(check) for check in wrong):
        # Marts that grow old while nothing waits for a publication: whatever builds them pulls too.
        candidates += [cause for cause in causes if cause.startswith("source:")]
    cause = candidates[0] if candidates else "publication"
    return [
        replace(check, root_cause=cause) if check.root_cause == "publication" else check
        for check in found
    ]


def _is_age(check: Check) -> bool:
    return check.name.startswith("mart_freshness:")


def _inbox(context: Context) -> list[Check]:
    query = select(func.count(), func.min(WAITING_SINCE)).where(WAITING)
    number, oldest = context.connection.execute(query).one()
    lag = context.minutes_since(oldest)
    advice = f"{number:,} events wait; is `warehouse serve` running, and what does its log say?"
    depth = number / context.queue_limit
    return [
        context.check("webhook_lag", lag, "inbox", advice),
        context.check("queue_depth", depth, "inbox", advice),
    ]


def _stream(context: Context) -> list[Check]:
    columns = stream_positions.c
    query = select(func.sum(columns.lag), func.max(columns.observed_at))
    lag, observed_at = context.connection.execute(query).one()
    if not context.reads_stream or observed_at is None:
        return []
    silence = context.minutes_since(observed_at)
    return [
        context.check(
            "stream_lag",
            float(lag),
            "stream",
            f"the topic is {lag:,} messages ahead; more partitions, or is the worker held up?",
        ),
        context.check(
            "stream_silence",
            silence,
            "stream",
            "the broker has not answered; check STREAM__BOOTSTRAP_SERVERS and the broker",
        ),
    ]


def _breakers(context: Context) -> list[Check]:
    columns = circuit_breakers.c
    query = select(columns.source, columns.state).order_by(columns.source)
    return [
        context.check(
            f"circuit_breaker:{source}",
            float(state != "closed"),
            f"source:{source}",
            f"{source} failed so often that it is left alone for a while, and then tried again",
        )
        for source, state in context.connection.execute(query)
    ]


def _publication(context: Context) -> list[Check]:
    columns = publications.c
    query = select(columns.status, columns.audit).order_by(columns.version.desc()).limit(1)
    newest = context.connection.execute(query).first()
    current = current_publication(context.connection)
    rejected = newest is not None and newest.status == REJECTED
    reason = newest.audit if newest is not None and rejected else "run `warehouse build`"
    shown = "readers see nothing yet"
    if current is not None:
        shown = f"readers see version {current.version} of {current.created_at:%Y-%m-%d %H:%M} UTC"
    advice = f"{shown}; {reason}"
    pulled = select(func.min(sync_log.c.finished_at)).where(sync_log.c.landed > 0)
    pushed = select(func.min(inbox.c.landed_at)).where(inbox.c.status == "landed")
    if current is not None:
        pulled = pulled.where(sync_log.c.finished_at > current.created_at)
        pushed = pushed.where(inbox.c.landed_at > current.created_at)
    lag = context.minutes_since(context.connection.scalar(pulled))
    push_lag = context.minutes_since(context.connection.scalar(pushed))
    return [
        context.check("publication", float(rejected), "publication", advice),
        context.check("publication_lag", lag, "publication", advice),
        context.check("push_freshness", push_lag, "publication", advice),
    ]


def _quality(context: Context) -> list[Check]:
    failing = [row for row in newest_results(context.connection) if row["status"] != PASSED]
    broken = [row["rule"] for row in failing if row["suite"] == "dbt" and row["status"] == ERROR]
    rules = [row["rule"] for row in failing if row["rule"] not in broken]

    def named(names: list[str]) -> str:
        return ", ".join(names[:SHOWN_RULES]) + (" …" if len(names) > SHOWN_RULES else "")

    look = "see operations.quality_failures, and `warehouse dead-letters list` for records"
    log = context.settings.home / "logs" / "dbt.log"
    return [
        context.check("quality", len(rules), "quality", f"{named(rules)} failed; {look}"),
        context.check("build", len(broken), "build", f"{named(broken)} failed; see {log}"),
    ]


def _dead_letters(context: Context) -> list[Check]:
    """Those of records in raw are the business of the check of quality."""
    query = select(func.count(), func.min(dead_letters.c.first_seen_at)).where(
        dead_letters.c.status == "open", dead_letters.c.way_in != QUALITY
    )
    number, oldest = context.connection.execute(query).one()
    advice = "see `warehouse dead-letters list`; mend and replay them, or discard them"
    days = context.minutes_since(oldest) / (24 * 60)
    return [
        context.check("dead_letters", number, "dead_letters", advice),
        context.check("dead_letter_age", days, "dead_letters", advice),
    ]


def _balance(context: Context) -> list[Check]:
    wrong = [f"{b.way_in} {b.source}" for b in balances(context.ledger) if not b.balanced]
    advice = f"received is not landed + duplicate + dead + waiting for {', '.join(wrong)}"
    return [context.check("ledger_balance", len(wrong), "ledger", advice)]


def _disk(context: Context) -> list[Check]:
    free = shutil.disk_usage(context.settings.home).free / GIBIBYTE
    advice = f"the disk of {context.settings.home} is nearly full; run `warehouse maintain`"
    return [context.check("disk_free", free, "disk", advice, at_least=True)]


def _runs(context: Context) -> list[Check]:
    columns = pipeline_runs.c
    finished = columns.status.in_(("succeeded", "failed"))
    query = select(columns.status, columns.error).where(finished)
    newest = context.connection.execute(query.order_by(columns.started_at.desc()).limit(1)).first()
    failed = newest is not None and newest.status == "failed"
    error = newest.error if newest is not None and failed else ""
    found = [context.check("cycle", float(failed), "cycle", f"the last run failed: {error}")]
    day = columns.started_at > context.at - timedelta(days=1)
    query = select(columns.status, func.count()).where(finished, day).group_by(columns.status)
    counts = dict(context.connection.execute(query).tuples().all())
    total = sum(counts.values())
    if total >= ENOUGH_RUNS:
        ratio = counts.get("succeeded", 0) / total
        advice = "runs fail now and then; see `warehouse status`"
        found.append(context.check("success_ratio", ratio, "runs", advice, at_least=True))
    return found


def _alerts(context: Context) -> list[Check]:
    columns = alerts.c
    query = select(func.count(), func.max(columns.error)).where(
        columns.delivered_at.is_(None),
        columns.attempts > 0,
        columns.created_at > context.at - GIVE_UP_AFTER,
    )
    number, error = context.connection.execute(query).one()
    advice = f"alerts could not be delivered: {error}; check [alerts] urls"
    return [context.check("alert_delivery", number, "alerts", advice)]


Family = Callable[[Context], list[Check]]
FAMILIES: tuple[Family, ...] = (
    _inbox,
    _stream,
    freshness.sources,
    _breakers,
    _publication,
    freshness.marts,
    _quality,
    _dead_letters,
    _balance,
    _disk,
    _runs,
    _alerts,
)


def as_json(checks: list[Check]) -> list[dict[str, Any]]:
    """For machines."""
    return [dict(vars(check)) for check in checks]
