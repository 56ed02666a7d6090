"""Metrics in SQL: the semantic layer of the dbt project ─▶ one statement over the published marts.

MetricFlow reads `semantic_manifest.json`, written when dbt parses, and gives the SQL; nothing of
dbt runs here. Names come from the manifest alone, so a request cannot bring SQL in; its values are
bound as parameters. A statement is made once and kept: making it takes MetricFlow 10 to 50 ms.
"""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ledger.errors import NotFoundError, NotPublishedError, RequestError

WORKING = "working_"
GRAINS = ("day", "week", "month", "quarter", "year")
ACCOUNT = "__account_id"
MAX_STATEMENTS = 1_000
MEMBER = ":"
AMOUNT, COUNT, RATIO = "amount", "count", "ratio"
_BOUND = re.compile(r"'__value_(\d+)__'")


@dataclass(frozen=True)
class Filter:
    """A dimension and the values it may have (`:`), or the one that bounds it (`>=`, `<`)."""

    name: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class MetricQuery:
    """What is asked. Names may be short (`segment`) where only one dimension has that name."""

    metric: str
    group_by: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True)
class Statement:
    """SQL of a metric. Columns: those of `group_by`, then of `inputs`."""

    sql: str
    order: tuple[int, ...]
    """Which value each `?` stands for."""
    group_by: tuple[str, ...]
    inputs: tuple[str, ...]
    """The metric, or numerator and denominator of a ratio."""
    kind: str


@dataclass(frozen=True)
class MetricInfo:
    """A metric as people choose it."""

    name: str
    label: str
    description: str
    kind: str
    inputs: tuple[str, ...]


class SemanticLayer:
    """The metrics of one `semantic_manifest.json`."""

    def __init__(self, text: str, engine: str) -> None:
        manifest, self._engine = _metricflow(_published(json.loads(text)), engine)
        self.metrics = {metric.name: _info(metric) for metric in manifest.metrics}
        self._dimensions: dict[str, dict[str, bool]] = {}
        self._statements: dict[tuple[object, ...], Statement] = {}
        self._lock = threading.Lock()

    def dimensions(self, metric: str) -> dict[str, bool]:
        """What a metric can be grouped and filtered by; True for times.

        Raises:
            NotFoundError: there is no such metric.
        """
        if metric not in self.metrics:
            known = ", ".join(self.metrics)
            raise NotFoundError(f"no metric {metric!r}; there are {known}")
        if metric not in self._dimensions:
            with self._lock:
                found = self._engine.simple_dimensions_for_metrics(
                    list(self.metrics[metric].inputs)
                )
            self._dimensions[metric] = {
                _name(one.dunder_name): one.type.value == "time" for one in found
            }
        return self._dimensions[metric]

    def account_dimension(self, metric: str) -> str | None:
        """What limits a metric to one account; None where nothing can."""
        names = self.dimensions(metric)
        return next((name for name in names if name.endswith(ACCOUNT)), None)

    def statement(self, query: MetricQuery) -> Statement:
        """SQL with a `?` for each value.

        Raises:
            NotFoundError: there is no such metric.
            RequestError: the metric has no such dimension.
        """
        shape = tuple((one.name, one.operator, len(one.values)) for one in query.filters)
        key = (query.metric, query.group_by, shape)
        if key not in self._statements:
            if len(self._statements) >= MAX_STATEMENTS:
                self._statements.clear()
            self._statements[key] = self._compile(query)
        return self._statements[key]

    def values(self, query: MetricQuery) -> list[object]:
        """The values of the filters, of the types of their dimensions.

        Raises:
            RequestError: a value is not of the type, or a bound has not one value.
        """
        known = self.dimensions(query.metric)
        found: list[object] = []
        for one in query.filters:
            if one.operator != MEMBER and len(one.values) != 1:
                raise RequestError(f"{one.name}{one.operator} takes one value")
            full = _qualified(one.name, known, query.metric)
            found += [_typed(full, value) for value in one.values]
        return found

    def _compile(self, query: MetricQuery) -> Statement:
        known = self.dimensions(query.metric)
        metric = self.metrics[query.metric]
        names = tuple(_qualified(name, known, query.metric) for name in query.group_by)
        conditions, number = [], 0
        for one in query.filters:
            end = number + len(one.values)
            values = ", ".join(f"'__value_{index}__'" for index in range(number, end))
            operator = "in" if one.operator == MEMBER else one.operator
            conditions.append(f"{_template(one.name, known, query.metric)} {operator} ({values})")
            number = end
        from metricflow.engine.metricflow_engine import MetricFlowQueryRequest

        request = MetricFlowQueryRequest.create(
            metric_names=list(metric.inputs),
            group_by_names=list(names) or None,
            where_constraints=conditions or None,
        )
        with self._lock:
            sql = self._engine.explain(request).sql_statement.sql
        order = tuple(int(number) for number in _BOUND.findall(sql))
        columns = ", ".join([*names, *metric.inputs])
        outer = f"select {columns} from (\n{_BOUND.sub('?', sql)}\n) as metric"
        return Statement(outer, order, query.group_by, metric.inputs, metric.kind)


class SemanticFile:
    """The semantic layer of a path, read again when a dbt run wrote another one."""

    def __init__(self, path: Path, engine: str) -> None:
        self._path = path
        self._engine_name = engine
        self._loaded: tuple[int, str, SemanticLayer] | None = None
        self._lock = threading.Lock()

    def layer(self) -> SemanticLayer:
        """The newest.

        Raises:
            NotPublishedError: dbt has not run yet.
        """
        try:
            changed = self._path.stat().st_mtime_ns
            if self._loaded is not None and self._loaded[0] == changed:
                return self._loaded[2]
            text = self._path.read_text()
        except OSError as error:
            raise NotPublishedError(
                f"there is no {self._path} yet; run `warehouse build`"
            ) from error
        with self._lock:
            layer = self._loaded[2] if self._loaded and self._loaded[1] == text else None
            try:
                layer = layer or SemanticLayer(text, self._engine_name)
            except ValueError:
                # It is being written; the next request reads it whole.
                if self._loaded is None:
                    raise
                return self._loaded[2]
            self._loaded = (changed, text, layer)
            return layer


def _published(manifest: dict[str, Any]) -> dict[str, Any]:
    """The one place where dbt's relations become those that readers see."""
    described = [*manifest["semantic_models"], *manifest["project_configuration"]["time_spines"]]
    for one in described:
        relation = one["node_relation"]
        schema = relation["schema_name"].removeprefix(WORKING)
        relation |= {"database": None, "schema_name": schema}
        relation["relation_name"] = f"{schema}.{relation['alias']}"
    return manifest


def _metricflow(manifest: dict[str, Any], engine: str) -> tuple[Any, Any]:
    """The parsed manifest, and MetricFlow over it; importing it takes a second, so not before."""
    from metricflow.engine.metricflow_engine import MetricFlowEngine
    from metricflow.protocols.sql_client import SqlEngine
    from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer
    from metricflow.sql.render.postgres import PostgresSQLSqlPlanRenderer
    from metricflow_semantics.model.dbt_manifest_parser import (
        parse_manifest_from_dbt_generated_manifest,
    )
    from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

    clients = {
        "duckdb": _Client(SqlEngine.DUCKDB, DuckDbSqlPlanRenderer()),
        "postgres": _Client(SqlEngine.POSTGRES, PostgresSQLSqlPlanRenderer()),
    }
    parsed = parse_manifest_from_dbt_generated_manifest(json.dumps(manifest))
    client: Any = clients[engine]
    return parsed, MetricFlowEngine(SemanticManifestLookup(parsed), client)


@dataclass(frozen=True)
class _Client:
    """What MetricFlow wants to know of a database to write SQL for it."""

    sql_engine_type: Any
    sql_plan_renderer: Any


def _info(metric: Any) -> MetricInfo:
    meta: Mapping[str, Any] = (metric.config.meta if metric.config else None) or {}
    inputs: tuple[str, ...] = (metric.name,)
    if metric.type.value == "ratio":
        inputs = (metric.type_params.numerator.name, metric.type_params.denominator.name)
    kind = str(meta.get("kind", RATIO if len(inputs) > 1 else AMOUNT))
    return MetricInfo(
        metric.name, metric.label or metric.name, metric.description or "", kind, inputs
    )


def _name(dunder: str) -> str:
    """`metric_time__day` is `metric_time`: its grain is chosen by who asks."""
    base, _, grain = dunder.rpartition("__")
    return base if grain in GRAINS else dunder


def _qualified(name: str, known: Mapping[str, bool], metric: str) -> str:
    """The full name of a dimension, with a grain if it is a time.

    Raises:
        RequestError: there is none, or more than one of this short name.
    """
    base, _, grain = name.rpartition("__")
    if grain not in GRAINS:
        base, grain = name, ""
    found = [full for full in known if base in (full, full.rpartition("__")[2])]
    if len(found) != 1 or (grain and not known[found[0]]):
        few = ", ".join(found or known)
        reason = "means" if len(found) > 1 else "is no dimension; there are"
        raise RequestError(f"{name!r} of metric {metric!r} {reason} {few}")
    return f"{found[0]}__{grain or 'day'}" if known[found[0]] else found[0]


def _template(name: str, known: Mapping[str, bool], metric: str) -> str:
    full = _qualified(name, known, metric)
    base, _, grain = full.rpartition("__")
    if grain in GRAINS:
        return f"{{{{ TimeDimension('{base}', '{grain}') }}}}"
    return f"{{{{ Dimension('{full}') }}}}"


def _typed(full: str, value: str) -> object:
    if full.rpartition("__")[2] in GRAINS:
        try:
            return datetime.fromisoformat(value).replace(tzinfo=None)
        except ValueError as error:
            raise RequestError(f"{full} is {value!r}; give a date such as 2026-01-31") from error
    if full.rpartition("__")[2].startswith("is_"):
        if value not in ("true", "false"):
            raise RequestError(f"{full} is {value!r}; give true or false")
        return value == "true"
    return value
