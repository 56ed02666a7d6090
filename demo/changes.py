"""The next day of changes: store -> new, updated, late, deleted and bad rows -> the same store.

What changes follows from the rows served, the seed and the day alone, and every new `updated_at`
lies within that day, so two stores that were equal stay equal.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from demo import records
from demo.bad import add_bad
from demo.generator import COUNTS, absence, cents, sentiment
from demo.records import Buyer, Ware, make_id
from demo.shapes import DAYS, Record, fate, generator, iso, liveliness, scaled
from demo.store import SOURCE_OF, Store
from demo.words import PLANS

Counts = dict[str, int]
_DELETED = {"users": 1, "customers": 1, "orders": 1, "tickets": 1, "feedback": 2}


def advance(store: Store, seed: int, scale: float, as_of_next: datetime) -> dict[str, Counts]:
    """Change the store as the day that ends at `as_of_next` would; gives counts by entity."""
    if as_of_next.tzinfo is None:
        raise ValueError("as_of_next needs an offset")
    day = _Day(store, seed, scale, as_of_next)
    day.late_arrivals("customers")
    day.late_arrivals("products")
    day.updates()
    day.new_customers()
    day.new_orders()
    day.new_tickets()
    day.new_feedback()
    day.deletions()
    day.bad_records()
    return day.counts


class _Day:
    """One day of changes, counted as they are made."""

    def __init__(self, store: Store, seed: int, scale: float, as_of: datetime) -> None:
        self.store = store
        self.seed = seed
        self.scale = scale
        self.end = as_of.astimezone(UTC).replace(microsecond=0)
        self.rng = generator(seed, "day", self.end.isoformat())
        self.counts: dict[str, Counts] = {entity: {} for entity in COUNTS}
        self.companies = self._ids("companies")
        self._weights: dict[str, list[float]] = {}
        self._touched: set[str] = set()
        self.staff: dict[str, list[str]] = {id: [] for id in self.companies}
        for user in self._records("users"):
            self.staff.setdefault(user["company_id"], []).append(user["id"])

    def late_arrivals(self, entity: str) -> None:
        named: set[str] = set()
        for order in self._records("orders"):
            if entity == "customers":
                named.add(order["customer_id"] or "")
            else:
                named.update(item["product_id"] for item in order["items"])
        for id in sorted(named.difference(self._ids(entity)) - {""}):
            if absence(self.seed, entity, id) == "late":
                moment = self._moment()
                created = moment - timedelta(days=self.rng.randint(30, 300))
                if entity == "customers":
                    record = records.customer(self.rng, id, None, created, moment)
                else:
                    record = records.product(self.rng, id, created, moment)
                self._put(entity, record, "late")

    def updates(self) -> None:
        self._update("accounts", 1, self._change_plan)
        self._update("companies", 1, self._rename)
        self._update("users", 3, self._change_role)
        self._update("customers", 5, self._move)
        self._update("products", 3, self._change_price)
        self._update("orders", 14, self._ship, lambda one: one["status"] in ("pending", "shipped"))
        self._update("tickets", 5, self._resolve, lambda one: one["resolved_at"] is None)

    def new_customers(self) -> None:
        for number in self._numbers("customers", 2):
            moment = self._moment()
            company_id = self.rng.choice([None, *self.companies])
            id = make_id("customers", number)
            self._put(
                "customers", records.customer(self.rng, id, company_id, moment, moment), "created"
            )

    def new_orders(self) -> None:
        buyers = [
            Buyer(one["id"], one["address"], fate(self.seed, one["company_id"]))
            for one in self._records("customers")
        ]
        lively = [one for one in buyers if one.fate != "dying"] or buyers
        wares = [Ware(one["id"], cents(one["unit_price"])) for one in self._records("products")]
        if not wares:
            return
        for number in self._numbers("orders", COUNTS["orders"] / DAYS):
            buyer = self.rng.choice(lively) if lively and self.rng.random() > 0.03 else None
            order = records.order(self.rng, number, buyer, wares, self._moment())
            self._put("orders", order, "created")

    def new_tickets(self) -> None:
        for number in self._numbers("tickets", COUNTS["tickets"] / DAYS):
            company_id = self._company("tickets")
            record = records.ticket(
                self.rng, number, company_id, self.staff[company_id], self._moment()
            )
            if fate(self.seed, company_id) == "dying":
                records.escalate(self.rng, record)
            self._put("tickets", record, "created")

    def new_feedback(self) -> None:
        for number in self._numbers("feedback", COUNTS["feedback"] / DAYS):
            company_id = self._company("feedback")
            mood = sentiment(self.rng, fate(self.seed, company_id), 1.0)
            record = records.feedback(
                self.rng, number, company_id, self.staff[company_id], mood, self._moment()
            )
            self._put("feedback", record, "created")

    def deletions(self) -> None:
        for entity, count in _DELETED.items():
            ids = self._ids(entity)
            old = [id for id in ids[: len(ids) * 3 // 4] if id not in self._touched]
            for id in self.rng.sample(old, min(len(old), scaled(count, self.scale))):
                self.store.delete(SOURCE_OF[entity], entity, id)
                self._note(entity, "deleted")

    def bad_records(self) -> None:
        for turn in range(self.rng.randint(0, 2)):
            entity = self.rng.choice(("orders", "tickets", "feedback", "customers"))
            add_bad(
                self.store,
                self.rng,
                entity,
                self._ids(entity),
                self._next_number(entity),
                turn,
                at=self._moment(),
            )
            self._note(entity, "bad")

    def _company(self, kind: str) -> str:
        weights = self._weights.get(kind)
        if weights is None:
            weights = [liveliness(kind, fate(self.seed, id), 1.0) + 1e-9 for id in self.companies]
            self._weights[kind] = weights
        return self.rng.choices(self.companies, weights)[0]

    def _update(
        self,
        entity: str,
        count: int,
        change: Callable[[Record], None],
        suits: Callable[[Record], bool] = lambda record: True,
    ) -> None:
        ids = [
            record["id"]
            for record in self._records(entity)
            if suits(record) and record["id"] not in self._touched
        ]
        for id in self.rng.sample(ids, min(len(ids), scaled(count, self.scale))):
            raw = self.store.get(SOURCE_OF[entity], entity, id)
            assert raw is not None
            record: Record = msgspec.json.decode(raw)
            record["updated_at"] = iso(self._moment(), self.rng.randint(0, 1))
            change(record)
            self._put(entity, record, "updated")

    def _change_plan(self, record: Record) -> None:
        record["plan"] = self.rng.choice([plan for plan in PLANS if plan != record["plan"]])

    def _rename(self, record: Record) -> None:
        record["name"] = f"{record['name'].rsplit(' ', 1)[0]} {self.rng.choice(('PLC', 'AG'))}"

    def _change_role(self, record: Record) -> None:
        record["role"] = self.rng.choice(("admin", "manager", "viewer"))

    def _move(self, record: Record) -> None:
        moved = records.customer(self.rng, record["id"], None, self.end, self.end)
        record["address"] = moved["address"]

    def _change_price(self, record: Record) -> None:
        record["unit_price"] = records.money(cents(record["unit_price"]) * 21 // 20)

    def _ship(self, record: Record) -> None:
        record["status"] = "shipped" if record["status"] == "pending" else "completed"

    def _resolve(self, record: Record) -> None:
        records.resolve(self.rng, record, datetime.fromisoformat(record["updated_at"]))

    def _moment(self) -> datetime:
        return self.end - timedelta(seconds=self.rng.randint(0, 86_399))

    def _ids(self, entity: str) -> list[str]:
        return self.store.ids(SOURCE_OF[entity], entity)

    def _records(self, entity: str) -> list[Record]:
        source = SOURCE_OF[entity]
        rows = (self.store.get(source, entity, id) for id in self._ids(entity))
        return [msgspec.json.decode(row) for row in rows if row is not None]

    def _next_number(self, entity: str) -> int:
        ids = self.store.ids(SOURCE_OF[entity], entity, malformed=True)
        return max((int(id.rpartition("_")[2]) for id in ids), default=0) + 1

    def _numbers(self, entity: str, count: float) -> range:
        first = self._next_number(entity)
        return range(first, first + scaled(round(count), self.scale))

    def _put(self, entity: str, record: Record, what: str) -> None:
        self.store.upsert(SOURCE_OF[entity], entity, record)
        self._touched.add(record["id"])
        self._note(entity, what)

    def _note(self, entity: str, what: str) -> None:
        self.counts[entity][what] = self.counts[entity].get(what, 0) + 1
