"""What a rule is: an expectation with a name, the table it judges and the keys of a failing row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import great_expectations.expectations as gxe

from quality.history import History
from quality.thresholds import Thresholds


class FailingRows(gxe.UnexpectedRowsExpectation):  # type: ignore[misc]
    """A query whose rows are the failures; it runs once, where its parent runs it twice."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.row_count",)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        number = metrics["unexpected_rows_query.row_count"]
        return {"success": number == 0, "result": {"observed_value": number}}


@dataclass(frozen=True)
class Rule:
    """One expectation on one table."""

    name: str
    """Unique in its suite, stable between runs: `<table>__<what holds>`."""
    table: str
    """The table that it judges: `core.fct_sales`."""
    expectation: gxe.Expectation
    column: str | None = None
    keys: tuple[str, ...] = ()
    """Columns that name a failing row, of the table or of the rule's query; none: the rule is
    about the table as a whole."""
    keys_query: str | None = None
    """Names the failing rows of a rule about a sum; runs only when it failed."""
    minimum_rows: int = 0
    """Below this number of rows the rule holds: too few to judge."""
    judged_if: str | None = None
    """A query that gives a row where there is something to judge; without one the rule holds."""
    needs: tuple[str, ...] = ()
    """Other tables that it reads; without them it is not asked."""
    compares_history: bool = False
    """Reads all that was ever landed; of what changed, dbt tests the same in every build."""
    says: str = "observed {}"
    """What a rule about the table as a whole says of the value that failed it."""
    view: str | None = None
    """Temporary view that stands for the table."""

    def __post_init__(self) -> None:
        # Results come back in another order.
        self.expectation.meta = {"rule": self.name}


@dataclass(frozen=True)
class Scope:
    """What the rules of a check depend on."""

    as_of: datetime
    now: datetime
    tables: Mapping[str, str]
    """What exists: `core.fct_sales` ─▶ the schema and name it has in this warehouse."""
    thresholds: Thresholds
    history: History = field(default_factory=History)
    built_in: Mapping[str, str] = field(default_factory=dict)
    """Schemas of marts as they are built, by the names that readers know."""

    def place(self, table: str) -> str:
        """Where a table is; one that is missing fails when it is read, also if readers have it."""
        schema, _, name = table.partition(".")
        return self.tables.get(table, f"{self.built_in.get(schema, schema)}.{name}")

    def some(self, table: str, where: str = "true") -> str:
        """A query that gives a row when the table has one such; none when it is not there."""
        if table not in self.tables:
            return "select 1 where false"
        return f"select 1 from {self.place(table)} where {where} limit 1"

    @property
    def minimum_rows(self) -> int:
        """Rows below which rates and distributions are not judged."""
        return self.thresholds.count("minimum_rows")


def short(table: str) -> str:
    """The name of a table without its schema."""
    return table.rpartition(".")[2]
