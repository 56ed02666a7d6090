"""Raw after a load: schema, freshness, volume, nulls, formats, value sets, duplicate emails.

Values are judged by the newest day of rows, and of these by the newest version of each record: a
source that mends its records is green again with the next load, and raw need not be repaired.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import great_expectations.expectations as gxe

from ledger.versions import newest_first
from quality.contract import RawContract, raw_contracts
from quality.rules import FailingRows, Rule, Scope
from quality.suites.formats import ID, one_of_as_entered
from quality.suites.raw_columns import (
    CLOSED_SETS,
    CUSTOMERS,
    FORMATS,
    FOUND_COLUMNS,
    KNOWN_VALUES,
    REQUIRED,
    TYPES,
    WATCHED_NULLS,
)

LOADS = "raw._dlt_loads"
COMPLETE = f"_dlt_load_id in (select load_id from {LOADS} where status = 0)"
PULLED = (
    f"_dlt_load_id in (select load_id from {LOADS}"
    " where status = 0 and schema_name not in ('webhooks', 'stream'))"
)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
MANY = 10**15


def raw_rules(scope: Scope) -> list[Rule]:
    """Every rule of the suite."""
    return [rule for contract in raw_contracts() for rule in _rules(contract, scope)]


def raw_views(scope: Scope) -> dict[str, str]:
    """The newest day of each table that is there, by name of its temporary view."""
    if LOADS not in scope.tables:
        return {}
    return {
        _view(contract): _newest_day(contract)
        for contract in raw_contracts()
        if contract.table in scope.tables
    }


def _rules(contract: RawContract, scope: Scope) -> Iterator[Rule]:
    yield _schema(contract)
    if contract.source != "events":
        yield _fresh(contract, scope)
        if contract.table != "raw.commerce__order_items":
            yield _volume(contract, scope)
    yield from _formats(contract, scope)
    yield from _value_sets(contract, scope)
    yield from _nulls(contract, scope)
    if contract.table == CUSTOMERS:
        yield _duplicates(contract, scope)


def _view(contract: RawContract) -> str:
    return f"newest_{_short(contract)}"


def _newest_day(contract: RawContract) -> str:
    ids = ", ".join(contract.keys[:-1])
    versions = (c for c in ("updated_at", "order_updated_at") if c in contract.columns)
    order = newest_first(next(versions, None))
    return f"""
        select * from (
            select *, row_number() over (partition by {ids} order by {order}) as version_rank
            from {contract.table}
            where
                _received_at >= (select max(_received_at) from {contract.table}) - interval '1 day'
                and {COMPLETE}
        ) as versions
        where version_rank = 1 and not coalesce(_is_deleted, false)
    """


def _schema(contract: RawContract) -> Rule:
    """A row for each column of the contract that is missing or has another type."""
    expected = ", ".join(
        f"('{column}', '{spelling}')"
        for column, data_type in contract.columns.items()
        for spelling in TYPES[data_type]
    )
    table = contract.table.rpartition(".")[2]
    query = f"""
        select expected.column_name
        from (values {expected}) as expected (column_name, data_type)
        left join {FOUND_COLUMNS} as found
            on
                found.table_name = '{table}'
                and found.column_name = expected.column_name
                and lower(found.data_type) = expected.data_type
                and (
                    expected.data_type <> 'numeric'
                    or (found.numeric_precision = 18 and found.numeric_scale = 6)
                )
        where not exists (select 1 from {{batch}} where false)
        group by expected.column_name
        having count(found.column_name) = 0
    """
    name = f"{_short(contract)}__columns_are_those_of_the_contract"
    expectation = FailingRows(unexpected_rows_query=query)
    return Rule(name, contract.table, expectation, keys=("column_name",))


def _fresh(contract: RawContract, scope: Scope) -> Rule:
    """A sync that found nothing new is as good as a row."""
    limit = scope.as_of - timedelta(hours=scope.thresholds["stale_after_hours"])
    synced_at = scope.history.synced_at.get(contract.table)
    if synced_at is None and contract.table == "raw.commerce__order_items":
        synced_at = scope.history.synced_at.get("raw.commerce__orders")
    oldest = LONG_AGO if synced_at is not None and synced_at >= limit else limit
    return Rule(
        f"{_short(contract)}__is_fresh",
        contract.table,
        gxe.ExpectColumnMaxToBeBetween(column="_received_at", min_value=oldest),
        "_received_at",
        minimum_rows=1,
    )


def _volume(contract: RawContract, scope: Scope) -> Rule:
    """What was pulled in the day before the check, against a usual day."""
    least, most = _bounds(contract, scope)
    start = (scope.as_of - timedelta(days=1)).isoformat()
    query = f"""
        select landed.row_count
        from (
            select count(*) as row_count from {{batch}}
            where
                _received_at > cast('{start}' as timestamp with time zone)
                and _received_at <= cast('{scope.as_of.isoformat()}' as timestamp with time zone)
                and {PULLED}
        ) as landed
        where landed.row_count < {least} or landed.row_count > {most}
    """
    name = f"{_short(contract)}__has_its_usual_volume"
    return Rule(name, contract.table, FailingRows(unexpected_rows_query=query), needs=(LOADS,))


def _bounds(contract: RawContract, scope: Scope) -> tuple[float, float]:
    usual = scope.history.usual.get(contract.table)
    synced_at = scope.history.synced_at.get(contract.table)
    # A day without a sync is the freshness rule's business.
    is_judged = (
        usual is not None
        and usual.rows >= scope.thresholds["volume_minimum_rows"]
        and usual.days >= scope.thresholds["volume_minimum_days"]
        and synced_at is not None
        and synced_at > scope.as_of - timedelta(days=1)
    )
    if usual is None or not is_judged:
        return 0, MANY
    least, most = (scope.thresholds[f"volume_{end}_ratio"] for end in ("min", "max"))
    return usual.rows * least, usual.rows * most


def _formats(contract: RawContract, scope: Scope) -> Iterator[Rule]:
    ids = dict.fromkeys(contract.keys[:-1], (ID, "valid_format_min_ratio"))
    for column, (regex, threshold) in {**ids, **FORMATS.get(contract.table, {})}.items():
        mostly = scope.thresholds[threshold]
        expectation = gxe.ExpectColumnValuesToMatchRegex(column=column, regex=regex, mostly=mostly)
        name = f"{_short(contract)}__{column}_has_its_form"
        yield _on_newest_day(name, contract, column, expectation, scope.minimum_rows)


def _value_sets(contract: RawContract, scope: Scope) -> Iterator[Rule]:
    for column, allowed in CLOSED_SETS.get(contract.table, {}).items():
        expectation = gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(allowed))
        name = f"{_short(contract)}__{column}_is_one_of_the_contract"
        yield _on_newest_day(name, contract, column, expectation)
    mostly = scope.thresholds["known_value_min_ratio"]
    for column, known in KNOWN_VALUES.get(contract.table, {}).items():
        expectation = gxe.ExpectColumnValuesToMatchRegex(
            column=column, regex=one_of_as_entered(known), mostly=mostly
        )
        name = f"{_short(contract)}__{column}_is_mostly_known"
        yield _on_newest_day(name, contract, column, expectation, scope.minimum_rows)


def _nulls(contract: RawContract, scope: Scope) -> Iterator[Rule]:
    for column, pointed_at in REQUIRED.get(contract.table, {}).items():
        expectation = gxe.ExpectColumnValuesToNotBeNull(
            column=column, mostly=scope.thresholds["required_value_min_ratio"]
        )
        name = f"{_short(contract)}__{column}_is_mostly_there"
        rule = _on_newest_day(name, contract, column, expectation, scope.minimum_rows)
        yield replace(rule, judged_if=scope.some(pointed_at))
    watched = WATCHED_NULLS.get(contract.table, ())
    if watched:
        yield _rising_nulls(contract, watched, scope)


def _rising_nulls(contract: RawContract, columns: Sequence[str], scope: Scope) -> Rule:
    """A row for each column that was filled before and is not any more: a renamed field."""
    counts = ", ".join(f"count({column}) as {column}" for column in columns)
    both = " union all ".join(
        f"select '{column}' as column_name,"
        f" newest.{column} as newest_filled, newest.row_count as newest_rows,"
        f" former.{column} as former_filled, former.row_count as former_rows"
        " from newest cross join former"
        for column in columns
    )
    query = f"""
        with newest as (select count(*) as row_count, {counts} from {{batch}}),
        former as (
            select count(*) as row_count, {counts} from {contract.table}
            where
                _received_at < (select max(_received_at) from {contract.table}) - interval '1 day'
                and not coalesce(_is_deleted, false)
        ),
        compared as ({both})
        select column_name from compared
        where
            newest_rows >= {scope.minimum_rows} and former_rows >= {scope.minimum_rows}
            and former_filled * 1.0 / former_rows - newest_filled * 1.0 / newest_rows
            > {scope.thresholds["null_ratio_max_rise"]}
    """
    return Rule(
        f"{_short(contract)}__columns_are_as_filled_as_before",
        contract.table,
        FailingRows(unexpected_rows_query=query),
        keys=("column_name",),
        view=_view(contract),
        needs=(LOADS,),
    )


def _duplicates(contract: RawContract, scope: Scope) -> Rule:
    query = f"""
        with versions as (
            select
                id,
                _row_hash,
                lower(trim(both ' ' from email_address)) as email,
                coalesce(_is_deleted, false) as is_deleted,
                row_number() over (
                    partition by id
                    order by {newest_first()}
                ) as version_rank
            from {{batch}}
            where {COMPLETE}
        ),
        emails as (
            select id, _row_hash, count(*) over (partition by email) as sharing from versions
            where version_rank = 1 and not is_deleted and email <> ''
        ),
        judged as (
            select count(*) as customers, sum(case when sharing > 1 then 1 else 0 end) as shared
            from emails
        )
        select emails.id, emails._row_hash from emails cross join judged
        where
            emails.sharing > 1
            and judged.customers >= {scope.minimum_rows}
            and judged.shared > {scope.thresholds["duplicate_email_max_ratio"]} * judged.customers
    """
    return Rule(
        f"{_short(contract)}__emails_are_mostly_unique",
        contract.table,
        FailingRows(unexpected_rows_query=query),
        "email_address",
        keys=contract.keys,
        needs=(LOADS,),
    )


def _on_newest_day(
    name: str,
    contract: RawContract,
    column: str,
    expectation: gxe.Expectation,
    minimum_rows: int = 0,
) -> Rule:
    return Rule(
        name,
        contract.table,
        expectation,
        column,
        contract.keys,
        minimum_rows=minimum_rows,
        view=_view(contract),
        needs=(LOADS,),
    )


def _short(contract: RawContract) -> str:
    return contract.table.partition(".")[2]
