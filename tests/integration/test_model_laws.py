"""Laws of the models, on both engines: latest wins, late loads, failed models, facts that stay."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from support.modelled import VIEWS, ModelledWarehouse

from ledger.settings import Settings
from loaders.contracts import ENTITIES

AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)
BY_NAME = {entity.name: entity for entity in ENTITIES}


@pytest.fixture(scope="module")
def warehouse(built_module_settings: Settings) -> ModelledWarehouse:
    """One warehouse for all tests of an engine: each test uses ids of its own."""
    return ModelledWarehouse(built_module_settings, seeded=True)


SALES = "+fct_sales"
STAR = ("+fct_sales", "+dim_customer", "+dim_company", "+dim_product", "+dim_location", "dim_date")
OF_ORDERS = ("source:commerce.orders+", "source:commerce.order_items+")
_loads = iter(range(1, 10_000))


def run(warehouse: ModelledWarehouse, *selectors: str, full: bool = False) -> None:
    """Build what holds rows; the views are there."""
    warehouse.dbt("run", *selectors, exclude=VIEWS, as_of=AS_OF, full=full)


def land(
    warehouse: ModelledWarehouse, entity: str, *records: dict[str, Any], **options: Any
) -> str:
    """Land records as one load; gives its id."""
    number = next(_loads)
    load_id = f"{number}.25"
    contract = BY_NAME[entity].contract
    rows = [(BY_NAME[entity], msgspec.convert(record, contract), False) for record in records]
    received_at = AS_OF + timedelta(seconds=number)
    warehouse.land(load_id, rows, received_at=received_at, **options)
    return load_id


def customer(id: str, version: int, **fields: Any) -> dict[str, Any]:
    times = {"created_at": "2026-01-01T00:00:00Z", "updated_at": f"2026-02-0{version}T00:00:00Z"}
    return {"id": id, "signup_date": "2026-02-01", **times, **fields}


def order(id: str, version: int, items: list[str], **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "status": "completed",
        "currency": "EUR",
        "created_at": "2026-02-01T23:30:00-02:00",
        "updated_at": f"2026-02-0{version}T00:00:00Z",
        "items": [
            {"id": item, "product_id": f"{id}-{item}", "quantity": 3, "unit_price": "1.333"}
            for item in items
        ],
        **fields,
    }


def facts(warehouse: ModelledWarehouse, order_id: str, columns: str) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        f"select {columns} from core.fct_sales as fct where order_id = '{order_id}'"
        " order by order_item_id"
    )


def name_of(warehouse: ModelledWarehouse, id: str) -> list[tuple[Any, ...]]:
    return warehouse.rows(f"select full_name from core.dim_customer where customer_id = '{id}'")


def test_the_latest_version_wins_and_late_loads_are_consumed(warehouse: ModelledWarehouse) -> None:
    land(warehouse, "customers", customer("latest", 2, full_name="second"))
    run(warehouse, "+dim_customer")
    land(warehouse, "customers", customer("latest", 1, full_name="first"))
    late = land(warehouse, "customers", customer("latest", 3, full_name="third"), complete=False)
    land(warehouse, "customers", customer("latest", 2, full_name="second"), times=3)
    run(warehouse, "+dim_customer")
    assert name_of(warehouse, "latest") == [("Second",)]
    warehouse.complete(late)
    run(warehouse, "+dim_customer")
    assert name_of(warehouse, "latest") == [("Third",)]


def test_a_failed_model_leaves_its_loads_unclaimed(warehouse: ModelledWarehouse) -> None:
    run(warehouse, SALES)
    load_id = land(warehouse, "orders", order("failing", 1, ["a", "b"]))
    warehouse.execute("alter table core.fct_sales add column in_the_way integer")
    assert not warehouse.try_dbt("run", SALES, as_of=AS_OF).success
    claims = f"select model from operations.load_claims where load_id = '{load_id}'"
    models = {model for (model,) in warehouse.rows(claims)}
    assert "int_orders__current" in models
    assert "fct_sales" not in models
    assert facts(warehouse, "failing", "order_item_id") == []
    warehouse.execute("alter table core.fct_sales drop column in_the_way")
    run(warehouse, SALES)
    assert facts(warehouse, "failing", "order_item_id") == [("a",), ("b",)]


def test_downstream_does_not_claim_what_upstream_has_not(warehouse: ModelledWarehouse) -> None:
    land(warehouse, "orders", order("waiting", 1, ["a"]))
    run(warehouse, "fct_sales")
    assert facts(warehouse, "waiting", "order_item_id") == []
    run(warehouse, SALES)
    assert facts(warehouse, "waiting", "order_item_id") == [("a",)]


def test_a_load_waits_only_for_models_that_it_brings_rows_to(warehouse: ModelledWarehouse) -> None:
    """The service builds what is downstream of what arrived: the customers' model has no part."""
    run(warehouse)
    customers = land(warehouse, "customers", customer("unrelated", 1, company_id="firm"))
    land(warehouse, "orders", order("alone", 1, ["a"], customer_id="unrelated"))
    run(warehouse, *OF_ORDERS)
    assert facts(warehouse, "alone", "order_item_id") == [("a",)]
    claims = f"select model from operations.load_claims where load_id = '{customers}'"
    assert ("fct_sales",) not in warehouse.rows(claims)
    run(warehouse, *STAR)
    company = "(select company_id from core.dim_company where company_key = fct.company_key)"
    assert facts(warehouse, "alone", company) == [("firm",)]


def test_a_part_that_is_built_anew_claims_what_it_had_claimed(
    warehouse: ModelledWarehouse,
) -> None:
    orders = land(warehouse, "orders", order("anew", 1, ["a"]))
    run(warehouse, *OF_ORDERS)
    run(warehouse, *OF_ORDERS, full=True)
    claims = f"select model from operations.load_claims where load_id = '{orders}'"
    assert {("fct_sales",), ("int_orders__sales",)} <= set(warehouse.rows(claims))


def test_an_empty_run_checks_the_models_and_claims_nothing(warehouse: ModelledWarehouse) -> None:
    run(warehouse, SALES)
    load_id = land(warehouse, "orders", order("checked", 1, ["a"]))
    warehouse.dbt("run", SALES, "--empty", exclude=VIEWS, as_of=AS_OF)
    claims = f"select model from operations.load_claims where load_id = '{load_id}'"
    assert warehouse.rows(claims) == []
    run(warehouse, SALES)
    assert facts(warehouse, "checked", "order_item_id") == [("a",)]


def test_facts_never_lose_a_row_and_inferred_members_are_completed(
    warehouse: ModelledWarehouse,
) -> None:
    land(
        warehouse,
        "orders",
        order("early", 1, ["a"], customer_id="not yet"),
        order("nobody", 1, ["a"], customer_id=None, shipping_address={"city": " "}),
    )
    run(warehouse, *STAR)
    joined = """
        select
            customer.customer_id, customer.is_inferred, company.company_id, product.product_id,
            product.is_inferred, location.country, fct.total_amount, fct.date_key
        from core.fct_sales as fct
        join core.dim_customer as customer on customer.customer_key = fct.customer_key
        join core.dim_company as company on company.company_key = fct.company_key
        join core.dim_product as product on product.product_key = fct.product_key
        join core.dim_location as location on location.location_key = fct.location_key
        join core.dim_date as dates on dates.date_key = fct.date_key
        where fct.order_id in ('early', 'nobody') order by fct.order_id
    """
    early, nobody = warehouse.rows(joined)
    assert early[:5] == ("not yet", True, None, "early-a", True)
    assert nobody[:3] == (None, False, None)
    assert nobody[5] is None
    assert (str(early[6]), early[7]) == ("3.999000", "2026-02-02")
    land(warehouse, "customers", customer("not yet", 1, company_id="firm", full_name="now"))
    run(warehouse, *STAR)
    assert warehouse.rows(joined)[0][:3] == ("not yet", False, "firm")


def test_an_item_that_leaves_its_order_leaves_the_facts(warehouse: ModelledWarehouse) -> None:
    land(warehouse, "orders", order("shrinking", 1, ["a", "b"]))
    run(warehouse, SALES)
    land(warehouse, "orders", order("shrinking", 2, ["b", "c"]))
    run(warehouse, SALES)
    assert facts(warehouse, "shrinking", "order_item_id") == [("b",), ("c",)]
    land(warehouse, "orders", order("shrinking", 3, []))
    run(warehouse, SALES)
    assert facts(warehouse, "shrinking", "order_item_id") == []


def test_a_load_without_its_row_in_dlt_loads_is_invisible_to_a_full_refresh(
    warehouse: ModelledWarehouse,
) -> None:
    land(warehouse, "orders", order("torn", 1, ["a"]), complete=False)
    run(warehouse, SALES, full=True)
    assert facts(warehouse, "torn", "order_item_id") == []
