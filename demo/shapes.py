"""What makes data look lived-in: seeded randomness -> seasons, fates of companies, untidy text."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from itertools import accumulate
from typing import Any, TypeVar

from demo.words import CITIES, FIRST_NAMES, LAST_NAMES, MAIL_DOMAINS, STREETS, City

Record = dict[str, Any]
Choice = TypeVar("Choice")

DAYS = 365
FATES = {"growing": 30, "steady": 43, "new": 9, "dying": 18}
_WEEKDAYS = (1.0, 1.1, 1.1, 1.15, 1.2, 0.7, 0.5)
_HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 20, 19, 17, 18, 19, 18, 16, 14, 12, 12, 10, 7, 4, 2)
_HOUR_SUMS = list(accumulate(_HOURS))
_ZONES = (UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-5)))


def generator(*parts: object) -> random.Random:
    """A source of randomness that depends on these words alone, in every process."""
    return random.Random(":".join(str(part) for part in parts))


def scaled(count: int, scale: float) -> int:
    """A count at this scale, at least one."""
    return max(1, round(count * scale))


@lru_cache(maxsize=100_000)
def fate(seed: int, company_id: str | None) -> str:
    """How a company fares over the year; people without a company are steady."""
    if company_id is None:
        return "steady"
    return generator(seed, "fate", company_id).choices(list(FATES), list(FATES.values()))[0]


def liveliness(kind: str, company_fate: str, time: float) -> float:
    """Relative volume at `time` (0..1 over the year) of orders, feedback or tickets."""
    if company_fate == "growing":
        return 0.3 + 1.4 * time
    if company_fate == "new":
        return 0.0 if time < 0.7 else 1.3
    if company_fate == "dying":
        if kind == "tickets":
            return 0.6 + max(0.0, time - 0.7) * 8
        end = 0.88 if kind == "orders" else 0.93
        return max(0.0, min(1.0, (end - time) * 4))
    return 1.0


class Calendar:
    """Draws moments of the year that ends at `as_of`, by season, weekday, hour and fate."""

    def __init__(self, as_of: datetime) -> None:
        self.as_of = as_of.astimezone(UTC).replace(microsecond=0)
        midnight = self.as_of.replace(hour=0, minute=0, second=0)
        self.start = midnight - timedelta(days=DAYS)
        self._sums = {
            (kind, one): list(accumulate(self._weights(kind, one)))
            for kind in ("orders", "feedback", "tickets")
            for one in FATES
        }

    def _weights(self, kind: str, company_fate: str) -> list[float]:
        weights = []
        for day in range(DAYS):
            date = self.start + timedelta(days=day)
            year = 1.0 + 0.3 * math.cos((date.timetuple().tm_yday - 340) / 365 * 2 * math.pi)
            trend = 0.85 + 0.3 * day / DAYS
            weekday = _WEEKDAYS[date.weekday()]
            weights.append(year * trend * weekday * liveliness(kind, company_fate, day / DAYS))
        return weights

    def moment(self, rng: random.Random, kind: str, company_fate: str) -> datetime:
        """A moment for an order, a ticket or a piece of feedback."""
        day = rng.choices(range(DAYS), cum_weights=self._sums[kind, company_fate])[0]
        hour = rng.choices(range(24), cum_weights=_HOUR_SUMS)[0]
        return self.start + timedelta(days=day, hours=hour, seconds=int(rng.random() * 3600))

    def before(self, rng: random.Random, least: float, most: float) -> datetime:
        """A moment between `most` and `least` days before the end."""
        days = least + (most - least) * rng.random()
        return (self.as_of - timedelta(days=days)).replace(microsecond=0)

    def later(self, rng: random.Random, moment: datetime, days: float) -> datetime:
        """A moment up to `days` after another one, never after the end."""
        most = min(days * 86_400, (self.as_of - moment).total_seconds())
        return moment + timedelta(seconds=int(rng.random() * most))

    def position(self, moment: datetime) -> float:
        """Where in the year a moment lies, 0..1."""
        return (moment - self.start).total_seconds() / (DAYS * 86_400)


def iso(moment: datetime, style: int = 0) -> str:
    """ISO 8601 with `Z`, `+00:00`, or another offset of the same instant."""
    if style == 0:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment.astimezone(_ZONES[style - 1]).isoformat()


def maybe(rng: random.Random, value: Choice, null_ratio: float) -> Choice | None:
    """The value, or null with this probability."""
    return None if rng.random() < null_ratio else value


def city(rng: random.Random) -> City:
    """A city, large markets more often."""
    return rng.choices(CITIES, [one.weight for one in CITIES])[0]


def address(rng: random.Random, place: City) -> Record:
    """An address in a city; its country is sometimes a name, sometimes a code."""
    digits = "".join(str(rng.randrange(10)) if sign == "#" else sign for sign in place.zip_pattern)
    return {
        "street": maybe(rng, f"{rng.randint(1, 180)} {rng.choice(STREETS)}", 0.05),
        "city": maybe(rng, rng.choice((place.name,) * 8 + (place.name.upper(),)), 0.02),
        "state": place.state,
        "country": maybe(rng, country(rng, place), 0.01),
        "zip_code": maybe(rng, digits, 0.04),
    }


def country(rng: random.Random, place: City) -> str:
    """The country of a city as people enter it."""
    return place.country if rng.random() < 0.6 else place.code


def name(rng: random.Random) -> str:
    """First and last name."""
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"


def untidy_name(rng: random.Random, tidy: str) -> str:
    """A name as typed in a hurry, once in six."""
    if rng.random() > 0.16:
        return tidy
    first, _, last = tidy.partition(" ")
    return rng.choice(
        (f"  {first.swapcase()}   {last.lower()} ", tidy.upper(), f"{first}\t{last.lower()}",
         f"{first}  {last} ", tidy.lower())
    )  # fmt: skip


def email(rng: random.Random, tidy: str, domain: str | None = None) -> str:
    """An address made of a name, once in six with blanks or capitals."""
    first, _, last = tidy.lower().replace("'", "").partition(" ")
    number = rng.choice(("", "", str(rng.randint(1, 99))))
    clean = f"{first}.{last}{number}@{domain or rng.choice(MAIL_DOMAINS)}"
    if rng.random() > 0.16:
        return clean
    return rng.choice((f" {clean} ", clean.upper(), clean.title(), f"{clean}\t"))


def phone(rng: random.Random, place: City) -> str:
    """A phone number in one of the formats that forms let through."""
    area, middle, line = rng.randint(200, 989), rng.randint(200, 999), rng.randint(1000, 9999)
    return rng.choice(
        (f"{place.dial} {area} {middle} {line}", f"({area}) {middle}-{line}",
         f"{place.dial}{area}{middle}{line}", f"00{place.dial[1:]}-{area}/{middle}{line}",
         f"{area}.{middle}.{line} ext. {rng.randint(1, 99)}", f"tel: {area} {middle} {line}")
    )  # fmt: skip
