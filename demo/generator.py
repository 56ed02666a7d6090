"""A year of believable history: seed, scale, as-of -> records of eight entities -> `Store`.

Every entity draws from randomness of its own, named by seed and entity, so the same arguments give
the same bytes in any process. About 0.3 % of the rows break their contract on purpose, and some
orders name a customer or product that arrives on the second day or never.
"""

from __future__ import annotations

import random
import zlib
from datetime import datetime, timedelta
from typing import Literal

from demo import records
from demo.bad import add_bad_share
from demo.records import Buyer, Ware, make_id
from demo.shapes import Calendar, Record, fate, generator, iso, scaled
from demo.store import SOURCE_OF, Store

COUNTS = {
    "accounts": 40,
    "companies": 60,
    "users": 500,
    "customers": 900,
    "products": 150,
    "orders": 6000,
    "tickets": 1500,
    "feedback": 2500,
}
_ABSENT_PER_MILLE = {"customers": 9, "products": 20}


def generate(seed: int, scale: float, as_of: datetime) -> Store:
    """The store as it stands at `as_of`, a time with an offset."""
    if as_of.tzinfo is None:
        raise ValueError("as_of needs an offset")
    if not 0 < scale <= 1000:
        raise ValueError("scale lies between 0 and 1000")
    world = _World(seed, scale, as_of)
    world.crm()
    buyers, wares = world.customers(), world.products()
    world.orders(buyers, wares)
    world.tickets()
    world.feedback()
    for entity in COUNTS:
        add_bad_share(world.store, world.rng("bad", entity), entity, world.count(entity))
    return world.store


def absence(seed: int, entity: str, id: str) -> Literal["late", "never"] | None:
    """Whether a customer or product that orders name is missing, and if it comes on day two."""
    roll = zlib.crc32(f"{seed}:{id}".encode()) % 2000
    bound = _ABSENT_PER_MILLE[entity]
    if roll < bound:
        return "late"
    return "never" if roll < 2 * bound else None


def sentiment(rng: random.Random, company_fate: str, time: float) -> str:
    """Mood of a piece of feedback; a dying company turns negative in the second half."""
    weights = (48, 34, 18)
    if company_fate == "growing":
        weights = (66, 26, 8)
    elif company_fate == "dying":
        weights = (50, 32, 18) if time < 0.55 else (6, 22, 72)
    return rng.choices(("positive", "neutral", "negative"), weights)[0]


class _World:
    """What has been generated so far."""

    def __init__(self, seed: int, scale: float, as_of: datetime) -> None:
        self.seed = seed
        self.scale = scale
        self.calendar = Calendar(as_of)
        self.store = Store()
        self.companies: list[str] = []
        self.fates: dict[str, str] = {}
        self.staff: dict[str, list[str]] = {}

    def rng(self, *words: str) -> random.Random:
        return generator(self.seed, *words)

    def count(self, entity: str) -> int:
        return scaled(COUNTS[entity], self.scale)

    def put(self, entity: str, record: Record) -> None:
        self.store.upsert(SOURCE_OF[entity], entity, record)

    def span(
        self, rng: random.Random, least: float = 0.5, most: float = 900
    ) -> tuple[datetime, datetime]:
        """When a record was created and last changed."""
        created = self.calendar.before(rng, least, most)
        if rng.random() < 0.6:
            return created, created
        return created, self.calendar.later(rng, created, most)

    def crm(self) -> None:
        rng = self.rng("crm")
        accounts = self.count("accounts")
        for number in range(1, accounts + 1):
            self.put("accounts", records.account(rng, number, *self.span(rng, 380)))
        by_id: dict[str, Record] = {}
        for number in range(1, self.count("companies") + 1):
            owner = make_id("accounts", 1 + (number * 7) % accounts)
            company_fate = fate(self.seed, make_id("companies", number))
            span = self.span(rng, 20, 100) if company_fate == "new" else self.span(rng, 366)
            record = records.company(rng, number, owner, *span)
            self._fade(rng, record, company_fate)
            self.put("companies", record)
            by_id[record["id"]] = record
            self.fates[record["id"]] = company_fate
        self.companies = list(by_id)
        self.staff = {id: [] for id in by_id}
        for number in range(1, self.count("users") + 1):
            employer = by_id[rng.choice(self.companies)]
            record = records.user(rng, number, employer, *self.span(rng))
            self.staff[employer["id"]].append(record["id"])
            self.put("users", record)

    def _fade(self, rng: random.Random, record: Record, company_fate: str) -> None:
        if company_fate == "dying" and rng.random() < 0.4:
            record["is_active"] = False
            record["updated_at"] = iso(self.calendar.before(rng, 1, 20))
        elif rng.random() < 0.02:
            record["is_active"] = False

    def customers(self) -> list[Buyer]:
        rng = self.rng("customers")
        buyers: list[Buyer] = []
        total = self.count("customers")
        mails: list[str] = []
        for number in range(1, total + 1):
            id = make_id("customers", number)
            company_id = rng.choice(self.companies) if rng.random() < 0.55 else None
            record = records.customer(rng, id, company_id, *self.span(rng, 0.5, 700))
            if mails and rng.random() < 0.02:
                record["email_address"] = rng.choice(mails)
            elif record["email_address"]:
                mails.append(record["email_address"])
            buyers.append(Buyer(id, record["address"], fate(self.seed, company_id)))
            if number == total or not absence(self.seed, "customers", id):
                self.put("customers", record)
        return buyers

    def products(self) -> list[Ware]:
        rng = self.rng("products")
        wares = []
        total = self.count("products")
        for number in range(1, total + 1):
            id = make_id("products", number)
            record = records.product(rng, id, *self.span(rng, 300))
            wares.append(Ware(id, cents(record["unit_price"])))
            if number == total or not absence(self.seed, "products", id):
                self.put("products", record)
        return wares

    def orders(self, buyers: list[Buyer], wares: list[Ware]) -> None:
        rng = self.rng("orders")
        nobody = Buyer("", None, "steady")
        drawn: list[tuple[datetime, int, Buyer]] = []
        for turn in range(self.count("orders")):
            buyer = nobody
            if rng.random() > 0.03:
                buyer = buyers[int(len(buyers) * rng.random() ** 1.6)]
            drawn.append((self.calendar.moment(rng, "orders", buyer.fate), turn, buyer))
        for number, (created, _, buyer) in enumerate(sorted(drawn), start=1):
            known = buyer if buyer.id else None
            record = records.order(rng, number, known, wares, created)
            records.settle(rng, record, created, self.calendar)
            self.put("orders", record)

    def tickets(self) -> None:
        rng = self.rng("tickets")
        for number, (created, company_id) in enumerate(self._drawn(rng, "tickets"), start=1):
            company_fate = self.fates[company_id]
            staff = self.staff[company_id]
            known = company_id if rng.random() > 0.03 else None
            record = records.ticket(rng, number, known, staff, created)
            left_alone = company_fate == "dying" and self.calendar.position(created) > 0.82
            if left_alone and rng.random() < 0.7:
                records.escalate(rng, record)
            else:
                hours = rng.expovariate(1 / 40) + 0.25
                moment = created + timedelta(seconds=int(hours * 3600))
                if moment <= self.calendar.as_of:
                    records.resolve(rng, record, moment)
            self.put("tickets", record)

    def feedback(self) -> None:
        rng = self.rng("feedback")
        for number, (created, company_id) in enumerate(self._drawn(rng, "feedback"), start=1):
            mood = sentiment(rng, self.fates[company_id], self.calendar.position(created))
            staff = self.staff[company_id]
            self.put("feedback", records.feedback(rng, number, company_id, staff, mood, created))

    def _drawn(self, rng: random.Random, entity: str) -> list[tuple[datetime, str]]:
        chosen = rng.choices(self.companies, k=self.count(entity))
        return sorted((self.calendar.moment(rng, entity, self.fates[id]), id) for id in chosen)


def cents(price: str | None) -> int:
    """Cents of a price; a product without one sells for a round sum."""
    return 1000 if price is None else int(price.replace(".", ""))
