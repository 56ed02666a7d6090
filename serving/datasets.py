"""What can be exported: the tables of a published version ─▶ datasets by business name.

Every mart is a dataset under its own name, without its technical columns (`_…`); two more join what
people ask for together: `health` (companies with their health) and `sales` (items with the names
of company, customer, product and place). A dataset belongs to accounts by the first column of
`SCOPES` that its table has; one that has none, such as `daily_sales`, cannot be exported for an
account.
"""

from dataclasses import dataclass, replace

from ledger.errors import NotFoundError, RequestError
from serving.reader import Reader

SCHEMAS = ("core", "health", "sales")
TYPES = {
    "character varying": "VARCHAR",
    "double precision": "DOUBLE",
    "text": "VARCHAR",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
}
PLAIN = ("BIGINT", "INTEGER", "SMALLINT", "BOOLEAN", "DATE", "DOUBLE", "TIMESTAMP", "VARCHAR")
OF_ACCOUNT = "select company.{} from core.dim_company as company where company.account_id = {{}}"
SCOPES = {
    "account_id": "base.account_id = {}",
    "company_key": f"base.company_key in ({OF_ACCOUNT.format('company_key')})",
    "company_id": f"base.company_id in ({OF_ACCOUNT.format('company_id')})",
    "customer_key": (
        "base.customer_key in (select customer.customer_key from core.dim_customer as customer"
        f" where customer.company_key in ({OF_ACCOUNT.format('company_key')}))"
    ),
}
"""Column ─▶ condition on the table `base`; `{}` stands for the account."""


@dataclass(frozen=True)
class Column:
    """A column of a dataset; `type` is DuckDB's name, `table` the alias that has it."""

    name: str
    type: str
    source: str
    table: str = "base"

    @property
    def expression(self) -> str:
        """The column in SQL."""
        return f"{self.table}.{self.source}"


@dataclass(frozen=True)
class Dataset:
    """What an export selects; `scope` is None where rows belong to no account.

    `condition` leaves out what is no row of the dataset, for whomever it is exported.
    """

    name: str
    table: str
    columns: tuple[Column, ...]
    scope: str | None
    joins: str = ""
    condition: str = ""

    @property
    def source(self) -> str:
        """What follows `from`."""
        return f"{self.table} as base{self.joins}"

    def rows_of(self, account: str | None) -> str:
        """Condition on `base`; empty: every row. The account is an expression in SQL."""
        conditions = [self.condition] if self.condition else []
        if account is not None and self.scope is not None:
            conditions.append(self.scope.format(account))
        return " and ".join(conditions)


@dataclass(frozen=True)
class _Join:
    table: str
    alias: str
    key: str
    columns: dict[str, str]
    """Column of the table ─▶ its name in the dataset; empty: all that are new."""


COMBINED: dict[str, tuple[str, tuple[_Join, ...]]] = {
    "health": (
        "core.dim_company",
        (_Join("health.company_health_metrics", "metrics", "company_id", {}),),
    ),
    "sales": (
        "core.fct_sales",
        (
            _Join(
                "core.dim_company",
                "company",
                "company_key",
                {"company_id": "company_id", "company_name": "company_name"},
            ),
            _Join(
                "core.dim_customer",
                "customer",
                "customer_key",
                {"customer_id": "customer_id", "full_name": "customer_name"},
            ),
            _Join(
                "core.dim_product",
                "product",
                "product_key",
                {"product_id": "product_id", "sku": "sku", "product_name": "product_name"},
            ),
            _Join(
                "core.dim_location",
                "location",
                "location_key",
                {"country": "country", "state": "state", "city": "city"},
            ),
        ),
    ),
}


CONDITIONS = {"health": "not base.is_unknown"}
"""The unknown company stands for none: facts point to it, nobody asks how it is."""


def find_dataset(reader: Reader, name: str, account_id: str | None) -> Dataset:
    """A dataset of the version that is open, for one account or for the operator (None).

    Raises:
        NotFoundError: there is no such dataset or account.
        RequestError: its rows belong to no account.
    """
    tables = _tables(reader)
    if name in COMBINED:
        found = _combined(name, tables)
    else:
        by_name = {table.partition(".")[2]: table for table in tables}
        if name not in by_name:
            known = ", ".join(sorted([*COMBINED, *by_name]))
            raise NotFoundError(f"no dataset {name!r}; there are {known}")
        found = _plain(name, by_name[name], tables)
    if account_id is None:
        return found
    if found.scope is None:
        raise RequestError(
            f"dataset {name!r} sums over accounts, so it cannot be exported for one; "
            "take sales or health, or `warehouse export` without --account"
        )
    require_account(reader, account_id)
    return found


def require_account(reader: Reader, account_id: str) -> None:
    """See that an account has companies in this version.

    Raises:
        NotFoundError: it has none.
    """
    query = "select 1 from core.dim_company where account_id = ? limit 1"
    if not reader.fetch(query, [account_id]):
        raise NotFoundError(f"no account {account_id!r}")


def _plain(name: str, table: str, tables: dict[str, tuple[Column, ...]]) -> Dataset:
    columns = tables[table]
    names = {column.name for column in columns}
    scope = next((SCOPES[column] for column in SCOPES if column in names), None)
    return Dataset(name, table, columns, scope)


def _combined(name: str, tables: dict[str, tuple[Column, ...]]) -> Dataset:
    table, joins = COMBINED[name]
    dataset = _plain(name, table, tables)
    columns = list(dataset.columns)
    text = ""
    for join in joins:
        alias = join.alias
        text += f" left join {join.table} as {alias} on base.{join.key} = {alias}.{join.key}"
        known = {column.name for column in columns}
        for column in tables[join.table]:
            new = join.columns.get(column.name) if join.columns else column.name
            if new is not None and new not in known:
                columns.append(replace(column, name=new, table=alias))
    condition = CONDITIONS.get(name, "")
    return replace(dataset, columns=tuple(columns), joins=text, condition=condition)


def _tables(reader: Reader) -> dict[str, tuple[Column, ...]]:
    """Columns of each `schema.table` that is published."""
    rows = reader.fetch(
        "select cc.table_schema, cc.table_name, cc.column_name, cc.data_type,"
        " cc.numeric_precision, cc.numeric_scale"
        " from information_schema.columns as cc inner join information_schema.tables as tt"
        " on cc.table_schema = tt.table_schema and cc.table_name = tt.table_name"
        " where tt.table_type = 'BASE TABLE' and cc.table_schema in ('core', 'health', 'sales')"
        " order by cc.table_schema, cc.table_name, cc.ordinal_position"
    )
    found: dict[str, list[Column]] = {}
    for schema, table, column, kind, precision, scale in rows:
        if not column.startswith("_"):
            one = Column(column, _type(kind, precision, scale), column)
            found.setdefault(f"{schema}.{table}", []).append(one)
    return {table: tuple(columns) for table, columns in found.items()}


def _type(kind: str, precision: int | None, scale: int | None) -> str:
    if kind.lower().startswith(("decimal", "numeric")) and precision is not None:
        return f"DECIMAL({precision},{scale})"
    name = TYPES.get(kind.lower(), kind.upper())
    return name if name in PLAIN else "VARCHAR"
