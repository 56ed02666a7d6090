"""Contracts: the shape of every record that crosses the boundary, written here and nowhere else.

API bytes ─▶ msgspec typed decoding with these classes ─▶ raw.<source>__<entity> (columns derived in
`columns.py`). The dbt source files are generated from here (`make contracts`), so a description is
written once too. A record that breaks its contract becomes a dead letter; an unknown field is no
breach: it is kept in `_extra`.

Times are ISO 8601 with an offset, money is decimal text, ids are text.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

MONEY_PRECISION, MONEY_SCALE = 18, 6
MOST_WORTH = 10**15
"""Of an item: its price by its quantity. The marts hold the sum of ten million such items."""

Id = Annotated[str, Meta(min_length=1, max_length=256)]
# Marts have these as keys, and an index of PostgreSQL holds no long text.
Country = Annotated[str, Meta(max_length=256)]
Currency = Annotated[str, Meta(max_length=16)]
Time = Annotated[datetime, Meta(tz=True)]
Money = Annotated[
    str,
    Meta(
        pattern=rf"\A-?[0-9]{{1,{MONEY_PRECISION - MONEY_SCALE}}}(\.[0-9]{{1,{MONEY_SCALE}}})?\Z",
        extra={"data_type": f"numeric({MONEY_PRECISION},{MONEY_SCALE})"},
    ),
]
NOT_BLANK = r"[^ \t-\r]"
"""Something is left when staging has taken the blanks away."""
Quantity = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]

CreatedAt = Annotated[Time, Meta(description="When the record was created in the source.")]
MaybeCreatedAt = Annotated[
    Time | None, Meta(description="When the record was created in the source; null if unknown.")
]
UpdatedAt = Annotated[
    Time, Meta(description="Version of the record: when the source last changed it.")
]


class Contract(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Base of every contract; the decoder takes unknown fields out before, into `_extra`."""


class Address(Contract, kw_only=True, frozen=True):
    """A postal address; every part may be missing."""

    street: Annotated[str | None, Meta(description="Street and house number.")] = None
    city: Annotated[str | None, Meta(description="City, as the source spells it.")] = None
    state: Annotated[str | None, Meta(description="State, province or region.")] = None
    country: Annotated[Country | None, Meta(description="Country, as the source spells it.")] = None
    zip_code: Annotated[str | None, Meta(description="Postal code.")] = None


class Account(Contract, kw_only=True, frozen=True):
    """One row a version of a paying account."""

    id: Annotated[Id, Meta(description="Account id.")]
    name: Annotated[str, Meta(description="Account name.")]
    plan: Annotated[str, Meta(description="Plan the account pays for.")]
    created_at: CreatedAt
    updated_at: UpdatedAt


class Company(Contract, kw_only=True, frozen=True):
    """One row a version of a company, the unit whose health is scored."""

    id: Annotated[Id, Meta(description="Company id.")]
    account_id: Annotated[Id, Meta(description="Account that the company belongs to.")]
    name: Annotated[str, Meta(description="Company name.")]
    domain: Annotated[str | None, Meta(description="Internet domain.")] = None
    industry: Annotated[str | None, Meta(description="Industry.")] = None
    country: Annotated[str | None, Meta(description="Country, as the source spells it.")] = None
    is_active: Annotated[bool, Meta(description="Whether the company is a customer today.")]
    created_at: CreatedAt
    updated_at: UpdatedAt


class User(Contract, kw_only=True, frozen=True):
    """One row a version of a person who works at a company."""

    id: Annotated[Id, Meta(description="User id.")]
    company_id: Annotated[Id, Meta(description="Company that the user works at.")]
    email: Annotated[str | None, Meta(description="Email address, as entered.")] = None
    full_name: Annotated[str | None, Meta(description="Full name, as entered.")] = None
    role: Annotated[str | None, Meta(description="Role in the company.")] = None
    created_at: CreatedAt
    updated_at: UpdatedAt


class Customer(Contract, kw_only=True, frozen=True):
    """One row a version of a buyer."""

    id: Annotated[Id, Meta(description="Customer id.")]
    company_id: Annotated[Id | None, Meta(description="Company that the customer buys for.")] = None
    full_name: Annotated[str | None, Meta(description="Full name, as entered.")] = None
    email_address: Annotated[str | None, Meta(description="Email address, as entered.")] = None
    phone: Annotated[str | None, Meta(description="Phone number, as entered.")] = None
    segment: Annotated[
        Literal["enterprise", "smb", "consumer"] | None, Meta(description="Customer segment.")
    ] = None
    signup_date: Annotated[
        str, Meta(description="Day of sign-up as sent; one that is no date is null in staging.")
    ]
    address: Address | None = None
    created_at: MaybeCreatedAt = None
    updated_at: UpdatedAt


class Product(Contract, kw_only=True, frozen=True):
    """One row a version of a product."""

    id: Annotated[Id, Meta(description="Product id.")]
    sku: Annotated[str, Meta(description="Stock keeping unit.")]
    name: Annotated[str | None, Meta(description="Product name.")] = None
    category: Annotated[str | None, Meta(description="Product category.")] = None
    brand: Annotated[str | None, Meta(description="Brand.")] = None
    unit_price: Annotated[Money | None, Meta(description="List price of one unit.")] = None
    created_at: MaybeCreatedAt = None
    updated_at: UpdatedAt


class OrderItem(Contract, kw_only=True, frozen=True):
    """One row an item of a version of an order."""

    id: Annotated[Id, Meta(description="Item id, unique within its order.")]
    product_id: Annotated[Id, Meta(description="Product sold.")]
    quantity: Annotated[Quantity, Meta(description="Units sold; negative when returned.")]
    unit_price: Annotated[Money, Meta(description="Price of one unit, in the order's currency.")]
    discount_amount: Annotated[
        Money | None, Meta(description="Discount on the line, in the order's currency.")
    ] = None


class Order(Contract, kw_only=True, frozen=True):
    """One row a version of an order; its items are in a table of their own."""

    id: Annotated[Id, Meta(description="Order id.")]
    customer_id: Annotated[Id | None, Meta(description="Buyer; null for a sale to no one.")] = None
    status: Annotated[str, Meta(description="Status of the order in the source.")]
    currency: Annotated[
        Currency, Meta(description="Currency of every amount of the order.", pattern=NOT_BLANK)
    ]
    shipping_address: Address | None = None
    created_at: CreatedAt
    updated_at: UpdatedAt
    items: list[OrderItem]

    def __post_init__(self) -> None:
        if len({item.id for item in self.items}) != len(self.items):
            raise ValueError("Expected item ids unique within the order - at `$.items`")
        for place, item in enumerate(self.items):
            # A price has 12 digits before the point: a thousand of them are never worth more.
            many = not -1000 <= item.quantity <= 1000
            if many and abs(item.quantity * float(item.unit_price)) > MOST_WORTH:
                raise ValueError(
                    f"Expected a price that is worth at most {MOST_WORTH} by its quantity of "
                    f"{item.quantity} - at `$.items[{place}].unit_price`"
                )


class Ticket(Contract, kw_only=True, frozen=True):
    """One row a version of a support ticket."""

    id: Annotated[Id, Meta(description="Ticket id.")]
    company_id: Annotated[Id | None, Meta(description="Company that asks.")] = None
    requester_id: Annotated[Id | None, Meta(description="User that asks.")] = None
    subject: Annotated[str | None, Meta(description="Subject line.")] = None
    priority: Annotated[
        Literal["low", "normal", "high", "urgent"], Meta(description="Priority of the ticket.")
    ]
    status: Annotated[str, Meta(description="Status of the ticket in the source.")]
    created_at: CreatedAt
    updated_at: UpdatedAt
    resolved_at: Annotated[
        Time | None, Meta(description="When the ticket was resolved; null while it is open.")
    ] = None


class Feedback(Contract, kw_only=True, frozen=True):
    """One row a version of a piece of feedback, the event that the health score counts."""

    id: Annotated[Id, Meta(description="Feedback id.")]
    company_id: Annotated[Id, Meta(description="Company that the feedback is about.")]
    user_id: Annotated[Id | None, Meta(description="User that gave it; null if anonymous.")] = None
    sentiment: Annotated[
        Literal["positive", "neutral", "negative"], Meta(description="Sentiment of the feedback.")
    ]
    channel: Annotated[str | None, Meta(description="Channel it came through.")] = None
    body: Annotated[str | None, Meta(description="Text of the feedback.")] = None
    created_at: CreatedAt
    updated_at: UpdatedAt


class UserEvent(Contract, kw_only=True, frozen=True):
    """One row a message of the user event topic."""

    id: Annotated[Id, Meta(description="Event id, unique over the topic.")]
    user_id: Annotated[Id, Meta(description="User that did it.")]
    company_id: Annotated[Id | None, Meta(description="Company that the user acted for.")] = None
    type: Annotated[str, Meta(description="What was done, such as `purchase`.", min_length=1)]
    amount: Annotated[Money | None, Meta(description="Amount of a purchase.")] = None
    currency: Annotated[Currency | None, Meta(description="Currency of the amount.")] = None
    occurred_at: Annotated[Time, Meta(description="When it happened.")]
    properties: Annotated[
        dict[str, Any] | None, Meta(description="Whatever else was sent, as JSON text.")
    ] = None


@dataclass(frozen=True)
class Entity:
    """One kind of record of one source: `path` below the base URL, `raw.<source>__<name>`."""

    source: str
    name: str
    contract: type[Contract]
    children: dict[str, str] = field(default_factory=dict)
    """Nested lists that get a table of their own: field name to entity name of the child."""
    is_streamed: bool = False
    """Whether it comes from a topic: its rows say where the message lay."""

    @property
    def table(self) -> str:
        """Name of the raw table, without its schema."""
        return f"{self.source}__{self.name}"


ENTITIES: tuple[Entity, ...] = (
    Entity("crm", "accounts", Account),
    Entity("crm", "companies", Company),
    Entity("crm", "users", User),
    Entity("commerce", "customers", Customer),
    Entity("commerce", "products", Product),
    Entity("commerce", "orders", Order, {"items": "order_items"}),
    Entity("support", "tickets", Ticket),
    Entity("support", "feedback", Feedback),
)


USER_EVENTS = Entity("events", "user_events", UserEvent, is_streamed=True)
"""Messages of the topic: they have no version, for an event does not change."""
ALL_ENTITIES = (*ENTITIES, USER_EVENTS)
"""Those that sources serve, and those of topics."""


def entities_of(source: str) -> tuple[Entity, ...]:
    """The entities of `source`, in the order in which they are synced."""
    return tuple(entity for entity in ENTITIES if entity.source == source)
