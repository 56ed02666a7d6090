"""Generated streams of records for the incremental laws: hypothesis ─▶ steps ─▶ rows of raw.

Few ids and few versions, so that repeats, stale versions, late loads, orders before their customer
and items that vanish are the rule, not the exception.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st
from support.modelled import ModelledWarehouse

from loaders.contracts import ALL_ENTITIES, USER_EVENTS, Entity

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
BY_NAME = {entity.name: entity for entity in ALL_ENTITIES}
SENTIMENTS = ("positive", "neutral", "negative")
COUNTRIES = ("United Kingdom", "EIRE", "US", None)


@dataclass(frozen=True)
class Change:
    """One version of one record; `noise` decides its content."""

    entity: str
    id: int
    version: int
    noise: int
    deleted: bool = False


@dataclass(frozen=True)
class Step:
    """A load, and what happens after it."""

    changes: tuple[Change, ...]
    repeated: bool
    """The rows of the load are there twice, as after a crash."""
    late: bool
    """The load becomes visible only after the next build."""
    hours: int
    """How far `as_of` moves before the build: a little, even back, or over days."""
    partial: bool
    """Only the current state is built in this step; the marts follow in a later one."""
    new_weights: bool
    """The scoring configuration changes before the build."""


def changes() -> st.SearchStrategy[Change]:
    """Changes of any entity, more of those that have more to go wrong."""
    names = [*BY_NAME, "orders", "orders", "customers", "feedback", "tickets", "companies"]
    return st.builds(
        Change,
        entity=st.sampled_from(names),
        id=st.integers(0, 3),
        version=st.integers(0, 4),
        noise=st.integers(0, 2**16 - 1),
        deleted=st.sampled_from([False] * 7 + [True]),
    )


def streams(length: int = 3) -> st.SearchStrategy[list[Step]]:
    """Steps of up to forty changes."""
    step = st.builds(
        Step,
        changes=st.lists(changes(), min_size=15, max_size=40).map(tuple),
        repeated=st.booleans(),
        late=st.booleans(),
        hours=st.one_of(st.integers(-2, 5), st.integers(12, 45 * 24)),
        partial=st.sampled_from([False, False, True]),
        new_weights=st.sampled_from([False, False, True]),
    )
    # Hypothesis begins with the simplest example, which for a test of one example would be all.
    return st.lists(step, min_size=length, max_size=length).filter(_is_varied)


def _is_varied(steps: list[Step]) -> bool:
    return all(len({change.entity for change in step.changes}) > 3 for step in steps)


def land(warehouse: ModelledWarehouse, number: int, step: Step) -> str:
    """Put the rows of a step into raw; gives the id of the load."""
    load_id = f"{number}.5"
    warehouse.land(
        load_id,
        [(*record(change), change.deleted) for change in step.changes],
        received_at=START + timedelta(hours=number),
        complete=not step.late,
        times=2 if step.repeated else 1,
    )
    return load_id


def record(change: Change) -> tuple[Entity, Any]:
    """The contract's record of a change."""
    entity = BY_NAME[change.entity]
    noise = change.noise
    fields: dict[str, Any] = {
        "id": f"{entity.name[:3]}-{change.id}",
        "created_at": _moment(-(noise % 130)),
        "updated_at": _moment(-10 + change.version),
    }
    if entity == USER_EVENTS:
        fields = {"id": f"event-{change.id}"}
    fields |= _FIELDS[entity.name](noise)
    return entity, msgspec.convert(fields, entity.contract)


def _moment(days: int, hours: int = 0) -> str:
    return (START + timedelta(days=days, hours=hours)).isoformat()


def _begin(noise: int) -> tuple[int, int]:
    """Days and hours from the start to an event: long ago, or about now, that is soon after it."""
    return (0, noise % 17 - 2) if noise & 512 else (-(noise % 130), 0)


def _pick(values: Any, noise: int) -> Any:
    return values[noise % len(values)]


def _reference(prefix: str, noise: int) -> str | None:
    """An id that may not exist (4) or be null (5)."""
    number = noise % 6
    return None if number == 5 else f"{prefix}-{number}"


def _address(noise: int) -> dict[str, Any] | None:
    if noise % 5 == 0:
        return None
    return {"country": _pick(COUNTRIES, noise), "city": _pick(("London", " ", None), noise >> 3)}


def _order(noise: int) -> dict[str, Any]:
    items = [
        {
            "id": str(number),
            "product_id": _reference("pro", noise >> number) or "pro-x",
            "quantity": (noise >> number) % 7 - 2,
            "unit_price": f"{(noise >> number) % 90}.{noise % 10}",
            "discount_amount": _pick((None, "0.5"), noise >> number),
        }
        for number in range(4)
        if noise >> (4 + number) & 1
    ]
    return {
        "customer_id": _reference("cus", noise >> 2),
        "status": _pick(("completed", "shipped", "cancelled"), noise >> 5),
        "currency": "GBP",
        "shipping_address": _address(noise >> 6),
        "items": items,
    }


def _ticket(noise: int) -> dict[str, Any]:
    days, hours = _begin(noise)
    resolved_at = _moment(days + (0 if noise & 512 else noise % 11), hours + noise % 5)
    return {
        "created_at": _moment(days, hours),
        "company_id": _reference("com", noise),
        "priority": _pick(("low", "normal", "high", "urgent"), noise >> 2),
        "status": "open",
        "resolved_at": None if noise & 8 else resolved_at,
    }


_FIELDS: dict[str, Any] = {
    "accounts": lambda n: {"name": f"Account {n % 9}", "plan": _pick(("basic", "pro"), n)},
    "companies": lambda n: {
        "account_id": f"acc-{n % 5}",
        "name": f" company  {n % 9}",
        "is_active": n % 4 != 0,
        "country": _pick(COUNTRIES, n),
    },
    "users": lambda n: {"company_id": f"com-{n % 5}", "email": f" A{n % 9}@X.com "},
    "customers": lambda n: {
        "company_id": _reference("com", n),
        "full_name": _pick(("aNN  o'brien", "", None), n),
        "email_address": f"C{n % 9}@X.com",
        "phone": _pick(("+44 (0) 20-7946", None), n),
        "segment": _pick(("enterprise", "smb", "consumer", None), n),
        "signup_date": _pick(("2026-02-27", "2026-01-20", "2025-12-10", "31/02/2024"), n),
        "address": _address(n >> 3),
    },
    "products": lambda n: {
        "sku": f"S{n % 9}",
        "name": _pick(("thing", None), n),
        "unit_price": _pick(("9.990001", None), n >> 1),
    },
    "orders": _order,
    "tickets": _ticket,
    "user_events": lambda n: {
        "user_id": f"use-{n % 7}",
        "company_id": _reference("com", n),
        "type": _pick(("purchase", "login"), n >> 1),
        "amount": _pick(("12.5", None), n >> 2),
        "currency": _pick((" eur", "USD", None), n >> 3),
        "occurred_at": _moment(4 - n % 20),
        "properties": _pick(({"n": n}, None), n >> 4),
    },
    "feedback": lambda n: {
        "company_id": f"com-{n % 5}",
        "user_id": _reference("use", n >> 1),
        "sentiment": _pick(SENTIMENTS, n >> 2),
        "created_at": _moment(*_begin(n)),
    },
}
