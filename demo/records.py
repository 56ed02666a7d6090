"""One record of each entity: what is already known about it -> a dict in the API's shape."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from demo import words
from demo.shapes import (
    Calendar,
    Record,
    address,
    city,
    country,
    email,
    iso,
    maybe,
    name,
    phone,
    untidy_name,
)

PREFIXES = {
    "accounts": "acc",
    "companies": "com",
    "users": "usr",
    "customers": "cus",
    "products": "prd",
    "orders": "ord",
    "tickets": "tic",
    "feedback": "fbk",
}
_CURRENCIES: dict[str | None, str] = {
    key: place.currency for place in words.CITIES for key in (place.country, place.code)
}


class Buyer(NamedTuple):
    """What an order must know of its customer."""

    id: str
    address: Record | None
    fate: str


class Ware(NamedTuple):
    """What an item must know of its product."""

    id: str
    cents: int


def make_id(entity: str, number: int) -> str:
    """The text id of the `number`-th record."""
    return f"{PREFIXES[entity]}_{number:06d}"


def account(rng: random.Random, number: int, created: datetime, updated: datetime) -> Record:
    """A paying account."""
    head = words.COMPANY_HEADS[number % len(words.COMPANY_HEADS)]
    return {
        "id": make_id("accounts", number),
        "name": f"{head} Holding" if number % 3 else f"{head} Partners {number}",
        "plan": rng.choices(words.PLANS, (1, 3, 4, 3, 2))[0],
        "created_at": iso(created),
        "updated_at": iso(updated),
    }


def company(
    rng: random.Random, number: int, account_id: str, created: datetime, updated: datetime
) -> Record:
    """A company of an account; whether it is active is for the caller to say."""
    head, tail = rng.choice(words.COMPANY_HEADS), rng.choice(words.COMPANY_TAILS)
    domain = f"{head}-{tail}{number}.example".lower()
    record: Record = {
        "id": make_id("companies", number),
        "account_id": account_id,
        "name": f"{head} {tail} {rng.choice(words.COMPANY_FORMS)}",
        "domain": maybe(rng, domain, 0.08),
        "industry": maybe(rng, rng.choice(words.INDUSTRIES), 0.1),
        "country": maybe(rng, country(rng, city(rng)), 0.05),
        "is_active": True,
        "created_at": iso(created),
        "updated_at": iso(updated),
    }
    if rng.random() < 0.05:
        record["crm_owner"] = name(rng)
    return record


def user(
    rng: random.Random, number: int, of: Record, created: datetime, updated: datetime
) -> Record:
    """Somebody who works at the company `of`."""
    tidy = name(rng)
    return {
        "id": make_id("users", number),
        "company_id": of["id"],
        "email": maybe(rng, email(rng, tidy, of["domain"]), 0.03),
        "full_name": maybe(rng, untidy_name(rng, tidy), 0.03),
        "role": maybe(rng, rng.choice(words.ROLES), 0.08),
        "created_at": iso(created),
        "updated_at": iso(updated),
    }


def customer(
    rng: random.Random, id: str, company_id: str | None, created: datetime, updated: datetime
) -> Record:
    """A buyer, for a company or for himself."""
    tidy, place = name(rng), city(rng)
    segments = ("enterprise", "smb", "smb") if company_id else ("consumer", "consumer", "smb")
    record: Record = {
        "id": id,
        "company_id": company_id,
        "full_name": maybe(rng, untidy_name(rng, tidy), 0.04),
        "email_address": maybe(rng, email(rng, tidy), 0.05),
        "phone": maybe(rng, phone(rng, place), 0.15),
        "segment": maybe(rng, rng.choice(segments), 0.05),
        "signup_date": created.date().isoformat(),
        "address": maybe(rng, address(rng, place), 0.04),
        "created_at": maybe(rng, iso(created, 1), 0.03),
        "updated_at": iso(updated, 1),
    }
    if rng.random() < 0.04:
        record["loyalty_tier"] = rng.choice(("bronze", "silver", "gold"))
    if rng.random() < 0.006:
        record["signup_date"] = "31/02/2024"
    return record


def product(rng: random.Random, id: str, created: datetime, updated: datetime) -> Record:
    """Something to sell."""
    category = rng.choice(tuple(words.CATEGORIES))
    thing = rng.choice(words.CATEGORIES[category])
    cents = int(rng.lognormvariate(3.2, 0.8) * 100) + 95
    title = f"{rng.choice(words.COLOURS)} {rng.choice(words.MATERIALS)} {thing}"
    return {
        "id": id,
        "sku": f"{category[:3].upper()}-{id[-6:]}",
        "name": maybe(rng, rng.choice((title, title, title, f"  {title} ", title.upper())), 0.03),
        "category": maybe(rng, category, 0.05),
        "brand": maybe(rng, rng.choice(words.BRANDS), 0.12),
        "unit_price": maybe(rng, money(cents), 0.02),
        "created_at": maybe(rng, iso(created, 1), 0.03),
        "updated_at": iso(updated, 1),
    }


def order(
    rng: random.Random, number: int, buyer: Buyer | None, wares: Sequence[Ware], created: datetime
) -> Record:
    """A pending order of one to six items; `settle` moves it on."""
    id = make_id("orders", number)
    ship_to = buyer.address if buyer else None
    if rng.random() < 0.05:
        ship_to = address(rng, city(rng))
    chosen = rng.choices(wares, k=rng.choices((1, 2, 3, 4, 5, 6), (30, 26, 18, 12, 8, 6))[0])
    return {
        "id": id,
        "customer_id": buyer.id if buyer else None,
        "status": "pending",
        "currency": _currency(buyer),
        "shipping_address": maybe(rng, ship_to, 0.04),
        "created_at": iso(created, 1),
        "updated_at": iso(created, 1),
        "items": [_item(rng, f"{id}-{line}", ware) for line, ware in enumerate(chosen, start=1)],
    }


def _currency(buyer: Buyer | None) -> str:
    country_of = buyer.address["country"] if buyer and buyer.address else None
    return _CURRENCIES.get(country_of, "EUR")


def _item(rng: random.Random, id: str, ware: Ware) -> Record:
    quantity = 1 + int(rng.expovariate(0.6))
    chance = rng.random()
    discount: str | None = None
    if chance < 0.25:
        discount = money(ware.cents * quantity * rng.choice((5, 10, 15, 20)) // 100)
    elif chance < 0.5:
        discount = "0.00"
    return {
        "id": id,
        "product_id": ware.id,
        "quantity": quantity,
        "unit_price": money(ware.cents),
        "discount_amount": discount,
    }


def settle(rng: random.Random, record: Record, created: datetime, calendar: Calendar) -> None:
    """Give an order the status and the last change that fit its age."""
    age = (calendar.as_of - created).total_seconds() / 86_400
    chance = rng.random()
    if chance < 0.04:
        status, days = "cancelled", 2.0
    elif age < 1.5:
        status, days = "pending", 0.0
    elif age < 6 or chance < 0.05:
        status, days = "shipped", 1.5
    elif chance < 0.08:
        status, days = "refunded", 25.0
    else:
        status, days = "completed", 6.0
    record["status"] = status
    record["updated_at"] = iso(calendar.later(rng, created, days), 1)


def ticket(
    rng: random.Random, number: int, company_id: str | None, users: Sequence[str], created: datetime
) -> Record:
    """A new ticket; `resolve` closes it."""
    priority = rng.choices(("low", "normal", "high", "urgent"), (25, 50, 20, 5))[0]
    style = rng.randint(0, 3)
    return {
        "id": make_id("tickets", number),
        "company_id": company_id,
        "requester_id": maybe(rng, rng.choice(users), 0.06) if users else None,
        "subject": maybe(rng, rng.choice(words.SUBJECTS), 0.03),
        "priority": priority,
        "status": "open",
        "created_at": iso(created, style),
        "updated_at": iso(created, style),
        "resolved_at": None,
    }


def resolve(rng: random.Random, record: Record, moment: datetime) -> None:
    """Close a ticket."""
    style = rng.randint(0, 3)
    record["status"] = rng.choice(("solved", "solved", "closed"))
    record["resolved_at"] = record["updated_at"] = iso(moment, style)


def escalate(rng: random.Random, record: Record) -> None:
    """Make a ticket urgent and leave it open."""
    record["priority"] = rng.choice(("urgent", "urgent", "high"))
    record["subject"] = rng.choice(words.URGENT_SUBJECTS)


def feedback(
    rng: random.Random,
    number: int,
    company_id: str,
    users: Sequence[str],
    sentiment: str,
    created: datetime,
) -> Record:
    """A piece of feedback."""
    style = rng.randint(0, 3)
    return {
        "id": make_id("feedback", number),
        "company_id": company_id,
        "user_id": maybe(rng, rng.choice(users), 0.15) if users else None,
        "sentiment": sentiment,
        "channel": maybe(rng, rng.choice(words.CHANNELS), 0.06),
        "body": maybe(rng, rng.choice(words.BODIES[sentiment]), 0.2),
        "created_at": iso(created, style),
        "updated_at": iso(created, style),
    }


def money(cents: int) -> str:
    """Decimal text of an amount in cents."""
    return f"{cents // 100}.{cents % 100:02d}"
