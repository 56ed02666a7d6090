"""Faults on demand: text -> `Faults` -> `FaultPlan` -> which faults strike this request.

A plan only counts requests, so the same requests always meet the same faults. A spec is
`kind[:option=value,...]`; `FAULT_HELP` lists the kinds and their options.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

_SCHEDULE = ("every", "first", "times", "entity")
_OPTIONS: dict[str, tuple[str, ...]] = {
    "rate_limit": ("retry_after",),
    "unauthorized": (),
    "not_found": (),
    "server_error": (),
    "outage": (),
    "reset": ("mode",),
    "html": (),
    "truncated": (),
    "same_page_twice": ("mode",),
    "moving_rows": ("moves", "step"),
    "unstable_order": ("requests",),
    "clamp": ("limit",),
    "slow": ("seconds",),
    "loop": (),
}
_MODES = {"reset": ("alternate", "before", "mid"), "same_page_twice": ("repeat", "replace")}

FAULT_HELP = """faults (kind:option=value,...), any of them with every=N (each Nth request),
first=N (the first N requests), times=N (at most N times), entity=NAME:
  rate_limit        429; retry_after=SECONDS|0|date|none
  unauthorized      401
  not_found         404
  server_error      500
  outage            503 for everything
  reset             connection dropped; mode=before|mid|alternate (the body)
  html              an HTML page with status 200
  truncated         JSON cut in the middle with status 200
  same_page_twice   once; mode=repeat (served again, harmless) or replace (first page
                    in place of a later one)
  moving_rows       rows already served move to the end; moves=N in all, step=N a request
  unstable_order    another order on each request; requests=N
  clamp             pages of at most limit=N rows
  slow              waits seconds=S before it answers
  loop              next points at the same page"""


class FaultSpecError(ValueError):
    """A fault was described in words that mean nothing; the message is one line."""


@dataclass(frozen=True)
class Fault:
    """One way to fail, and when; with neither `every` nor `first` it strikes each request."""

    kind: str
    every: int | None = None
    first: int | None = None
    times: int | None = None
    entity: str | None = None
    retry_after: str = "1"
    mode: str = ""
    moves: int = 5
    step: int = 1
    requests: int = 10
    limit: int = 50
    seconds: float = 0.2

    def __post_init__(self) -> None:
        if self.kind not in _OPTIONS:
            raise FaultSpecError(f"unknown fault {self.kind!r}; known: {', '.join(_OPTIONS)}")
        modes = _MODES.get(self.kind, ("",))
        if self.mode not in (*modes, ""):
            raise FaultSpecError(f"{self.kind}: mode is one of {', '.join(modes)}")
        if not self.mode:
            object.__setattr__(self, "mode", modes[0])
        if not (self.retry_after in ("date", "none") or self.retry_after.isdigit()):
            raise FaultSpecError(f"{self.kind}: retry_after is seconds, date or none")

    @classmethod
    def parse(cls, spec: str) -> Fault:
        """Read `kind[:option=value,...]`."""
        kind, _, text = spec.strip().partition(":")
        fault = cls(kind)
        allowed = (*_SCHEDULE, *_OPTIONS[kind])
        options: dict[str, Any] = {}
        for part in filter(None, text.split(",")):
            name, equals, value = part.strip().partition("=")
            if not equals or name not in allowed:
                raise FaultSpecError(f"{kind}: options are {', '.join(allowed)}, not {part!r}")
            options[name] = _value(kind, name, value)
        return replace(fault, **options)

    @property
    def limit_of_times(self) -> int | None:
        """How often it may strike at all."""
        bound = {
            "same_page_twice": None if self.every or self.first else 1,
            "moving_rows": -(-self.moves // self.step),
            "unstable_order": self.requests,
        }.get(self.kind)
        bounds = [number for number in (bound, self.times) if number is not None]
        return min(bounds) if bounds else None

    def strikes(self, seen: int, struck: int) -> bool:
        """Whether it strikes the `seen`-th matching request after `struck` strikes."""
        limit = self.limit_of_times
        if limit is not None and struck >= limit:
            return False
        if self.every is None and self.first is None:
            return True
        by_first = self.first is not None and seen <= self.first
        return by_first or (self.every is not None and seen % self.every == 0)


@dataclass(frozen=True)
class Faults:
    """Any number of faults, switched on together."""

    items: tuple[Fault, ...] = ()

    @classmethod
    def parse(cls, specs: str | Iterable[str]) -> Faults:
        """Read one spec or several."""
        texts = [specs] if isinstance(specs, str) else specs
        return cls(tuple(Fault.parse(text) for text in texts if text.strip()))

    def has(self, kind: str, entity: str) -> bool:
        """Whether a fault of this kind concerns the entity."""
        return any(item.kind == kind and item.entity in (None, entity) for item in self.items)


@dataclass(frozen=True)
class Strike:
    """A fault that strikes a request, for the `number`-th time."""

    fault: Fault
    number: int


class FaultPlan:
    """Counts requests and says what strikes them."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._lock = threading.Lock()
        self._seen = [0] * len(faults.items)
        self._struck = [0] * len(faults.items)

    def outage(self, entity: str) -> dict[str, Strike]:
        """Count the request for outages alone, before its token or address is looked at."""
        return self._fire(entity, lambda fault: fault.kind == "outage")

    def strike(self, entity: str, *, first_page: bool, again: bool) -> dict[str, Strike]:
        """Count a well-formed request; gives what strikes it, by kind.

        `again` marks the second serving of a page that was announced as `next` of itself.
        """

        def concerned(fault: Fault) -> bool:
            if fault.kind == "outage":
                return False
            if fault.kind == "same_page_twice":
                return not (first_page if fault.mode == "replace" else again)
            return not (fault.kind == "moving_rows" and first_page)

        return self._fire(entity, concerned)

    def _fire(self, entity: str, concerned: Callable[[Fault], bool]) -> dict[str, Strike]:
        strikes: dict[str, Strike] = {}
        with self._lock:
            for place, fault in enumerate(self.faults.items):
                if fault.entity not in (None, entity) or not concerned(fault):
                    continue
                self._seen[place] += 1
                if fault.strikes(self._seen[place], self._struck[place]):
                    self._struck[place] += 1
                    strikes.setdefault(fault.kind, Strike(fault, self._struck[place]))
        return strikes


def _value(kind: str, name: str, value: str) -> str | int | float:
    if name in ("entity", "retry_after", "mode"):
        return value
    try:
        number = float(value) if name == "seconds" else int(value)
    except ValueError:
        raise FaultSpecError(f"{kind}: {name} is a number, not {value!r}") from None
    if number < 0 or (number == 0 and name != "seconds"):
        raise FaultSpecError(f"{kind}: {name} must be positive, not {value!r}")
    return number
