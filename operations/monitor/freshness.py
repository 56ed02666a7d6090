"""How old is what was pulled, and what readers see? Ledger ─▶ a check a source and a mart.

Where `serve` did something lately, its schedule says how old the result may be: until three
moments were missed. Else somebody runs the commands by hand, and the seed's threshold holds. One
that is configured holds always.
"""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from croniter import croniter
from sqlalchemy import ColumnElement, Select, Table, func, select

from ledger.publications import current_publication
from ledger.tables import model_runs, pipeline_runs, publication_tables, publications, sync_log
from loaders.sources import SOURCES
from operations.dbt_runner import PROJECT
from operations.monitor.context import Check, Context
from operations.monitor.thresholds import Threshold

ENTITIES = {(source.name, entity.name) for source in SOURCES.values() for entity in source.entities}
"""What is pulled by the clock; reference data is synced when the library it comes with is new."""
MARTS = ("core", "health", "sales")
MISSED = 3
LATELY = timedelta(days=1)
PULLED = sync_log.c.mode != "stream"


def sources(context: Context) -> list[Check]:
    """How the newest sync of each source went, and how old the newest good one of any entity is."""
    failures = _newest_failures(context)
    stalest = _stalest(context)
    served = _served(context, sync_log, sync_log.c.source.distinct(), sync_log.c.started_at)
    by_schedule = set(context.connection.scalars(served))
    found = []
    for source, errors in sorted(failures.items()):
        cause, advice = f"source:{source}", f"run `warehouse sync {source}`"
        found.append(
            context.check(f"sync:{source}", len(errors), cause, errors[0] if errors else advice)
        )
        if source not in stalest:
            continue
        entity, pulled_at = stalest[source]
        found.append(
            context.check(
                f"pull_freshness:{source}",
                context.minutes_since(pulled_at),
                cause,
                f"{entity} were pulled last at {pulled_at:%Y-%m-%d %H:%M} UTC; {advice}",
                threshold=_allowed(
                    context, "pull_freshness", source, is_served=source in by_schedule
                ),
            )
        )
    return found


def marts(context: Context) -> list[Check]:
    """How old what readers see of each mart is; one that they do not see: since a build tried."""
    current = current_publication(context.connection)
    held: set[str] = set()
    if current is not None:
        query = select(publication_tables.c.table_name)
        query = query.where(publication_tables.c.version == current.version)
        held = set(context.connection.scalars(query))
    tried = _first_tries(context, [mart for mart in _marts() if mart not in held])
    columns = publications.c
    served = _served(context, publications, columns.version, columns.created_at).limit(1)
    is_served = context.connection.scalar(served) is not None
    threshold = _allowed(context, "mart_freshness", "build", is_served=is_served)
    found = []
    for mart in _marts():
        since, advice = tried.get(mart), f"readers do not see {mart} yet; run `warehouse build`"
        if current is not None and mart in held:
            since = current.created_at
            advice = f"readers see {mart} of {since:%Y-%m-%d %H:%M} UTC; run `warehouse build`"
        if since is not None:
            name, age = f"mart_freshness:{mart}", context.minutes_since(since)
            found.append(context.check(name, age, "publication", advice, threshold=threshold))
    return found


def _newest_failures(context: Context) -> dict[str, list[str]]:
    """Why the newest syncs of each source failed; no reason: all went well."""
    columns = sync_log.c
    newest = (
        select(columns.source, func.max(columns.started_at).label("started_at"))
        .where(PULLED, columns.status != "running")
        .group_by(columns.source, columns.entity)
        .subquery()
    )
    query = (
        select(columns.source, columns.status, columns.error)
        .join(
            newest,
            (newest.c.source == columns.source) & (newest.c.started_at == columns.started_at),
        )
        .where(PULLED)
    )
    failures: dict[str, list[str]] = {}
    for source, status, error in context.connection.execute(query):
        failures.setdefault(source, [])
        if status == "failed":
            failures[source].append(error or "no reason given")
    return failures


def _stalest(context: Context) -> dict[str, tuple[str, datetime]]:
    """By source: the entity whose newest good sync is oldest, and when that ended."""
    columns = sync_log.c
    query = (
        select(columns.source, columns.entity, func.max(columns.finished_at).label("pulled_at"))
        .where(PULLED, columns.status == "succeeded")
        .group_by(columns.source, columns.entity)
    )
    found: dict[str, tuple[str, datetime]] = {}
    for source, entity, pulled_at in context.connection.execute(query):
        is_staler = source not in found or pulled_at < found[source][1]
        if (source, entity) in ENTITIES and is_staler:
            found[source] = entity, pulled_at
    return found


def _first_tries(context: Context, names: list[str]) -> dict[str, datetime]:
    """When a build of these marts was tried first; those that none was tried of are left out."""
    nodes = {f"model.warehouse.{name.partition('.')[2]}": name for name in names}
    if not nodes:
        return {}
    columns = model_runs.c
    query = select(columns.node, func.min(columns.started_at)).where(columns.node.in_(nodes))
    rows = context.connection.execute(query.group_by(columns.node)).tuples()
    return {nodes[node]: tried_at for node, tried_at in rows}


def _served(
    context: Context, rows: Table, what: ColumnElement[Any], moment: ColumnElement[datetime]
) -> Select[Any]:
    """`what`, of rows that a run of `serve` wrote lately."""
    return (
        select(what)
        .join(pipeline_runs, pipeline_runs.c.run_id == rows.c.run_id)
        .where(pipeline_runs.c.command == "serve", moment > context.at - LATELY)
    )


def _allowed(context: Context, check: str, scheduled: str, *, is_served: bool) -> Threshold:
    """How old is well: what is configured, else what the schedule makes of it, else the seed's."""
    threshold, expression = context.thresholds[check], context.schedules.get(scheduled)
    if threshold.is_configured or not is_served or expression is None:
        return threshold
    # What the moment before the missed ones brought ended after it.
    moments = croniter(expression, context.at)
    for _ in range(MISSED + 1):
        oldest = moments.get_prev(float)
    return Threshold((context.at.timestamp() - oldest) / 60, threshold.unit)


@cache
def _marts() -> tuple[str, ...]:
    """Names of all marts, as `schema.table`."""
    models = PROJECT / "models" / "marts"
    return tuple(
        f"{schema}.{path.stem}"
        for schema in MARTS
        for path in sorted((models / schema).glob("*.sql"))
    )
