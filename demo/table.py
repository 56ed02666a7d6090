"""One entity's rows in slots, with a sorted time index: put and remove -> listing -> page.

A slot keeps its place in the shuffled order for life, so paging is stable while other rows change.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from typing import NamedTuple

Position = tuple[int, int]
_MASK = 0xFFFFFFFF
_CACHED_LISTINGS = 8


class Page(NamedTuple):
    """Rows, the offset behind them, the position of the last one, and whether more follow."""

    rows: list[bytes]
    end: int
    last: Position | None
    more: bool


class Table:
    """Encoded rows of one entity; the caller holds the lock."""

    def __init__(self) -> None:
        self._rows: list[bytes | None] = []
        self._times = array("q")
        self._slots: dict[str, int] = {}
        self._by_time = array("L")
        self._listings: dict[tuple[int | None, int], array[int]] = {}
        self.malformed: set[int] = set()

    def __len__(self) -> int:
        return len(self._by_time)

    def put(self, key: str | None, raw: bytes, moment: int, malformed: bool = False) -> None:
        """Add a row, or replace the row of this key."""
        slot = None if key is None else self._slots.get(key)
        if slot is None:
            slot = len(self._rows)
            self._rows.append(raw)
            self._times.append(moment)
            self._link(slot)
            if key is not None:
                self._slots[key] = slot
        else:
            self.replace(slot, raw, moment)
        if malformed:
            self.malformed.add(slot)
        else:
            self.malformed.discard(slot)

    def replace(self, slot: int, raw: bytes, moment: int) -> None:
        """Give a slot new bytes and a new time, and serve it."""
        if self._rows[slot] is not None:
            self._unlink(slot)
        self._rows[slot] = raw
        self._times[slot] = moment
        self._link(slot)

    def remove(self, key: str) -> bool:
        """Forget the row of this key."""
        slot = self._slots.pop(key, None)
        if slot is None:
            return False
        self._unlink(slot)
        self._rows[slot] = None
        self.malformed.discard(slot)
        return True

    def get(self, key: str) -> bytes | None:
        """Bytes of a key."""
        slot = self._slots.get(key)
        return None if slot is None else self._rows[slot]

    def raw(self, slot: int) -> bytes:
        """Bytes of a slot that is served."""
        raw = self._rows[slot]
        assert raw is not None, f"slot {slot} is empty"
        return raw

    def keys(self, malformed: bool) -> list[str]:
        """Keys of the well-formed rows, or of all rows."""
        if malformed:
            return list(self._slots)
        return [key for key, slot in self._slots.items() if slot not in self.malformed]

    def latest(self) -> int:
        """Time of the newest row."""
        return self._times[self._by_time[-1]] if self._by_time else 0

    def oldest(self, since: int | None, count: int) -> list[int]:
        """Slots of the oldest rows at or after `since`."""
        low = self._low(since)
        return list(self._by_time[low : low + count])

    def newer_than(self, moment: int) -> list[int]:
        """Slots of the rows after a moment."""
        return list(self._by_time[self._low(moment + 1) :])

    def time(self, slot: int) -> int:
        """Time of a slot."""
        return self._times[slot]

    def hide(self, slot: int) -> None:
        """Stop serving a slot until it is replaced."""
        self._unlink(slot)
        self._rows[slot] = None

    def page(
        self,
        since: int | None,
        limit: int | None,
        offset: int,
        after: Position | None,
        salt: int | None,
    ) -> Page:
        """Slice the listing from an offset, or behind a position where one is given."""
        listing = self._listing(since, salt)
        start = offset
        if after is not None:
            start = bisect_right(listing, after, key=lambda slot: self._position(slot, salt))
        slots = listing[start:] if limit is None else listing[start : start + limit]
        rows = [self.raw(slot) for slot in slots]
        last = self._position(slots[-1], salt) if slots else None
        end = start + len(slots)
        return Page(rows, end, last, end < len(listing))

    def _listing(self, since: int | None, salt: int | None) -> array[int]:
        if salt is None:
            return self._by_time[self._low(since) :]
        listing = self._listings.get((since, salt))
        if listing is None:
            slots = self._by_time[self._low(since) :]
            listing = array("L", sorted(slots, key=lambda slot: _rank(slot, salt)))
            while len(self._listings) >= _CACHED_LISTINGS:
                del self._listings[next(iter(self._listings))]
            self._listings[since, salt] = listing
        return listing

    def _position(self, slot: int, salt: int | None) -> Position:
        return (self._times[slot], slot) if salt is None else (_rank(slot, salt), 0)

    def _low(self, since: int | None) -> int:
        if since is None:
            return 0
        return bisect_left(self._by_time, since, key=self._times.__getitem__)

    def _time_order(self, slot: int) -> Position:
        return self._times[slot], slot

    def _link(self, slot: int) -> None:
        insort(self._by_time, slot, key=self._time_order)
        self._listings.clear()

    def _unlink(self, slot: int) -> None:
        place = bisect_left(self._by_time, self._time_order(slot), key=self._time_order)
        del self._by_time[place]
        self._listings.clear()


def _rank(slot: int, salt: int) -> int:
    """Mix slot and salt into 32 bits; different slots never share a rank."""
    mixed = (slot * 0x9E3779B1 + salt * 0x85EBCA6B) & _MASK
    mixed ^= mixed >> 16
    mixed = (mixed * 0xC2B2AE35) & _MASK
    return mixed ^ (mixed >> 15)
