"""What a person is told of a node that failed."""

from types import SimpleNamespace
from typing import Any

from operations.dbt_results import summarise


def result(resource_type: str, message: str) -> Any:
    node = SimpleNamespace(
        unique_id=f"{resource_type}.warehouse.it",
        name="it",
        resource_type=resource_type,
        original_file_path="tests/dbt/singular/it.sql",
    )
    return SimpleNamespace(
        node=node,
        status="error",
        message=message,
        adapter_response={},
        timing=[],
        execution_time=0.1,
        failures=1,
    )


def test_a_failed_model_is_told_without_the_macros_that_dbt_was_in() -> None:
    message = "Compilation Error in model it\n  no key\n  \n  > in macro m (m.sql)\n  > called by x"
    assert summarise([result("model", message)]).failures == [
        ("model.warehouse.it", "Compilation Error in model it no key")
    ]


def test_a_failed_test_names_the_file_that_says_how_to_resolve_it() -> None:
    message = "Got 1 result, configured to fail if != 0"
    assert summarise([result("test", message)]).failures == [
        ("test.warehouse.it", f"{message}; see tests/dbt/singular/it.sql")
    ]
