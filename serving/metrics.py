"""Figures of metrics: a query and a version ─▶ rows of the published marts ─▶ JSON, exact.

Amounts are decimal text and ratios are divided here, half away from zero at six decimals as in the
marts; counts are numbers. Rows come in the order of their groups.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import lru_cache
from typing import Any

import duckdb
import psycopg2

from ledger.errors import RequestError
from ledger.publications import Publication
from serving.cache import Kept
from serving.pool import ReaderPool
from serving.semantic import AMOUNT, COUNT, MetricQuery, SemanticLayer, Statement

SIX_DECIMALS = Decimal("0.000001")
MAX_ROWS = 100_000


@lru_cache(1024)
def key_of(query: MetricQuery, publication: Publication) -> str:
    """Names an answer; another version has another."""
    parts = [publication.version, str(publication.created_at.astimezone(UTC)), asdict(query)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:40]


def compute(
    layer: SemanticLayer, pool: ReaderPool, query: MetricQuery, publication: Publication
) -> Kept:
    """The answer, of this version or of one published since.

    Raises:
        RequestError: it has too many rows, or a value is not of its dimension's type.
    """
    statement = layer.statement(query)
    values = layer.values(query)
    bound = [values[index] for index in statement.order]
    with pool.reader(publication) as reader:
        try:
            rows = reader.fetch(f"{statement.sql} limit {MAX_ROWS + 1}", bound)
        except (duckdb.DataError, psycopg2.DataError) as error:
            reason = str(error).strip().splitlines()[0]
            raise RequestError(f"a filter of {query.metric!r} does not fit: {reason}") from error
        seen = reader.publication
    if len(rows) > MAX_ROWS:
        raise RequestError(f"more than {MAX_ROWS:,} groups; group by less, filter, or export")
    answer = _answer(query, statement, rows, seen)
    body = json.dumps(answer, ensure_ascii=False).encode()
    tag = f'"{seen.version}-{hashlib.sha256(body).hexdigest()[:32]}"'
    return Kept(body, tag, answer["as_of"], time.time())


def _answer(
    query: MetricQuery, statement: Statement, rows: Sequence[Sequence[Any]], seen: Publication
) -> dict[str, Any]:
    groups = len(statement.group_by)
    found = [
        dict(zip(statement.group_by, map(_group, row[:groups]), strict=True))
        | {query.metric: _figure(statement.kind, row[groups:])}
        for row in sorted(rows, key=lambda row: [(one is None, str(one)) for one in row[:groups]])
    ]
    answer: dict[str, Any] = {
        "metric": query.metric,
        "group_by": list(query.group_by),
        "filters": [asdict(one) for one in query.filters],
        "version": seen.version,
        "as_of": seen.as_of.astimezone(UTC).isoformat(),
        "rows": found,
    }
    if not groups:
        answer["value"] = found[0][query.metric] if found else None
    return answer


def _figure(kind: str, inputs: Sequence[Any]) -> str | int | None:
    if any(one is None for one in inputs):
        return None
    first = Decimal(str(inputs[0]))
    if kind == COUNT:
        return int(first)
    with localcontext(prec=60, rounding=ROUND_HALF_UP):
        if kind == AMOUNT:
            return str(first.quantize(SIX_DECIMALS))
        second = Decimal(str(inputs[1]))
        return str((first / second).quantize(SIX_DECIMALS)) if second else None


def _group(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.date().isoformat()
    return value.isoformat() if hasattr(value, "isoformat") else value
