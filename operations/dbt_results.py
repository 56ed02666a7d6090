"""What became of the nodes of a build: dbt's results ─▶ counts, failures, and each node."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FAILED = ("error", "fail", "runtime error", "partial success")
NOT_THERE = re.compile(r"Table with name \S+ does not exist|relation \S+ does not exist")
"""How DuckDB and PostgreSQL say that a table is missing."""


@dataclass(frozen=True)
class NodeRun:
    """What became of one node."""

    node: str
    """dbt's unique id."""
    name: str
    resource_type: str
    status: str
    started_at: datetime
    seconds: float
    rows: int | None
    message: str | None
    table: str | None
    """`schema.table` that the node makes, or tests."""
    column: str | None
    failing_count: int
    query: str | None
    """For a test: what gives the rows that fail."""

    @property
    def failed(self) -> bool:
        """Whether the node is at fault; one that was skipped is not."""
        return self.status in FAILED


@dataclass
class BuildResult:
    """What dbt did: number of nodes by status, failures as (node, message), every node."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    nodes: list[NodeRun] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"counts": self.counts, "failures": self.failures, "seconds": self.seconds}

    @property
    def succeeded(self) -> bool:
        """Whether nothing failed."""
        return not self.failures


def summarise(results: Sequence[Any]) -> BuildResult:
    """Of dbt's results of nodes."""
    summary = BuildResult()
    for result in results:
        run = _node_run(result)
        summary.counts[run.status] = summary.counts.get(run.status, 0) + 1
        summary.seconds += run.seconds
        summary.nodes.append(run)
        if run.failed:
            summary.failures.append((run.node, _failure(run, result.node)))
    return summary


def _failure(run: NodeRun, node: Any) -> str:
    """What dbt says of it; a test's file says what it means and what to do."""
    message = run.message or "no message"
    if run.resource_type == "model" and NOT_THERE.search(message):
        return f"{message}; what it reads was never built? `warehouse build +{run.name}`"
    return f"{message}; see {node.original_file_path}" if run.resource_type == "test" else message


def _node_run(result: Any) -> NodeRun:
    node = result.node
    resource_type = str(node.resource_type)
    rows = (result.adapter_response or {}).get("rows_affected")
    started_at = next((step.started_at for step in result.timing if step.started_at), None)
    query = getattr(node, "compiled_code", None) if resource_type == "test" else None
    return NodeRun(
        node=node.unique_id,
        name=node.name,
        resource_type=resource_type,
        status=str(result.status),
        started_at=(started_at or datetime.now(UTC)).replace(tzinfo=UTC),
        seconds=result.execution_time or 0.0,
        rows=rows if isinstance(rows, int) and rows >= 0 else None,
        message=_one_line(result.message) if result.message else None,
        table=_table(node),
        column=getattr(node, "column_name", None),
        failing_count=result.failures or 0,
        query=query,
    )


def _one_line(message: str) -> str:
    """Without the macros that dbt was in."""
    told = [line for line in message.splitlines() if not line.lstrip().startswith("> ")]
    return " ".join(" ".join(told).split())


def _table(node: Any) -> str | None:
    """Where the node writes, or the model that a test is attached to, as `schema.table`."""
    if str(node.resource_type) in ("test", "unit_test"):
        attached = getattr(node, "attached_node", None)
        return attached.split(".")[2] if attached else None
    return f"{node.schema}.{node.alias}" if getattr(node, "schema", None) else None
