"""Every fault of the demo API on both engines: complete data, or a clear failure and then complete.

Whatever happens, received = landed + duplicate + dead (checked after each sync by `Warehouse`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import Warehouse, assert_complete

from demo import SOURCES, DemoServer, advance, generate
from demo.faults import _OPTIONS

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
COMMERCE = SOURCES["commerce"]
SCALE = 0.02


@dataclass(frozen=True)
class Case:
    """A fault, and what the sync must do: be complete, or name the cause."""

    fault: str
    error: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


ONE_ATTEMPT = {"max_attempts": 1}
CASES = (
    Case("rate_limit:retry_after=1,times=1"),
    Case("rate_limit:retry_after=date,times=1"),
    Case("rate_limit:retry_after=0,every=2"),
    Case("rate_limit:retry_after=none,every=3"),
    Case("rate_limit:retry_after=9999,entity=orders", "status 429, asks to wait 9999 s"),
    Case("unauthorized:every=4", "status 401: the token was refused; check api_token"),
    Case("not_found:entity=orders", "status 404: there is nothing at this address"),
    Case("server_error:every=2"),
    Case("server_error:every=4", "status 500", ONE_ATTEMPT),
    Case("reset:mode=before,every=2"),
    Case("reset:mode=mid,every=2"),
    Case("reset:mode=mid,every=4", "Error", ONE_ATTEMPT),
    Case("html:every=2"),
    Case("html:every=4", "status 200, but no page of records", ONE_ATTEMPT),
    Case("truncated:every=2"),
    Case("truncated:every=4", "status 200, but no page of records", ONE_ATTEMPT),
    Case("same_page_twice:mode=repeat"),
    Case("same_page_twice:mode=replace"),
    Case("moving_rows:moves=9,step=2"),
    Case("unstable_order:requests=9"),
    Case("clamp:limit=7"),
    Case("loop:entity=orders", "`next` goes round in circles"),
    Case("outage", "status 503"),
    Case("outage:first=2"),
    Case("slow:seconds=0.01"),
    Case("slow:seconds=0.5,times=1", settings={"timeout_seconds": 0.2}),
    Case("slow:seconds=0.3,entity=products", "ReadTimeout", {"timeout_seconds": 0.1}),
)


def test_every_fault_has_a_case() -> None:
    assert {case.fault.partition(":")[0] for case in CASES} == set(_OPTIONS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
def test_complete_or_clearly_failed(
    warehouse: Warehouse, serve: Callable[..., DemoServer], case: Case
) -> None:
    store = generate(5, SCALE, AS_OF)
    server = serve(store, faults=case.fault)
    result = warehouse.sync("commerce", **({"page_size": 30} | case.settings))
    if case.error is None:
        assert not result.errors
        assert_complete(warehouse, store, *COMMERCE)
        return
    assert result.errors, "the fault did not show"
    assert all(case.error in error for error in result.errors.values()), result.errors
    assert all(server.token not in error for error in result.errors.values())
    whole = [name for name in COMMERCE if name not in result.errors]
    if whole:
        assert_complete(warehouse, store, *whole)
    server.faults = None
    assert not warehouse.sync("commerce").errors
    assert_complete(warehouse, store, *COMMERCE)


@pytest.mark.parametrize(
    "faults",
    [
        ("moving_rows:moves=5,step=1", "server_error:every=5"),
        ("same_page_twice:mode=replace", "unstable_order:requests=5", "truncated:every=4"),
    ],
    ids="+".join,
)
def test_faults_during_an_incremental_sync(
    warehouse: Warehouse, serve: Callable[..., DemoServer], faults: tuple[str, ...]
) -> None:
    store = generate(5, SCALE, AS_OF)
    server = serve(store)
    warehouse.sync("commerce")
    for day in (1, 2):
        advance(store, 5, SCALE * 20, AS_OF + timedelta(days=day))
        server.faults = faults
        assert not warehouse.sync("commerce", page_size=20).errors
        assert_complete(warehouse, store, *COMMERCE, deleted=False)
