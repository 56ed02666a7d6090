"""Page bytes ─▶ records that keep their contract, and dead letters for those that do not.

A page is decoded in one go. Only when that fails (a bad record, an unknown field) is each record
looked at on its own: unknown fields move to `extra`, a breach becomes a dead letter. Nothing of
what was sent is dropped here: records out = records in.
"""

import base64
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec
import msgspec.inspect
import xxhash

from loaders.contracts import Contract, Entity
from loaders.garbage import search_paused

NUL = b"\\u0000"
ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
NO_MONEY = "Expected decimal text such as `-12.50`"
NO_TEXT = "Expected text, got blanks"

SHORT_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2})(:[0-9.]+)?"
    r"([Zz]|[+-][0-9]{2}(?::[0-9]{2})?)"
)
"""Date and minute, seconds, offset of a time that ISO 8601 lets be shorter than RFC 3339 does."""


@dataclass(frozen=True)
class DeadLetter:
    """A record that broke its contract, with its bytes."""

    record_id: str | None
    error: str
    payload: bytes
    place: int = 0
    """Its place in what was decoded."""

    def __post_init__(self) -> None:
        # What is said of a record can quote it; other parts of it are kept as bytes.
        if self.record_id is not None:
            object.__setattr__(self, "record_id", _storable(self.record_id))
        object.__setattr__(self, "error", _storable(self.error))

    def encoded(self) -> tuple[str, str]:
        """The bytes as text and the name of the encoding (PostgreSQL text holds no NUL)."""
        try:
            text = self.payload.decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            return base64.b64encode(self.payload).decode("ascii"), "base64"
        return text, "utf-8"


@dataclass
class DecodedPage:
    """Records with their hashes, extras and places in what was decoded; `dead` are the others."""

    records: list[Any] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    extras: list[Any] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


class _Head(msgspec.Struct):
    """What names a record."""

    id: str


_ANY = msgspec.json.Decoder(float_hook=Decimal)
_VALUE = msgspec.json.Decoder(msgspec.Raw)
_HEAD = msgspec.json.Decoder(_Head)


class RecordDecoder:
    """Decodes the records of one entity."""

    def __init__(self, entity: Entity) -> None:
        self._entity = entity
        self._time_fields = _time_fields(entity.contract)
        self._one = msgspec.json.Decoder(entity.contract)
        self._page: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[entity.contract])  # type: ignore[name-defined]

    @search_paused()
    def decode(self, raws: list[bytes], hashes: list[str]) -> DecodedPage:
        """Decode records, given their hashes; every one ends in `records` or in `dead`."""
        joined = b"[" + b",".join(raws) + b"]"
        try:
            records = self._page.decode(joined)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._decode_each(raws, hashes)
        if NUL in joined or not self._in_range(records):
            return self._decode_each(raws, hashes)
        return DecodedPage(records, hashes, [None] * len(raws), list(range(len(raws))))

    def decode_apart(self, raws: list[bytes], hashes: list[str]) -> DecodedPage:
        """Decode bytes of which nobody knows that each is JSON: one must not run into the next."""
        if all(map(_is_json_value, raws)):
            return self.decode(raws, hashes)
        return self._decode_each(raws, hashes)

    def decode_one(self, raw: bytes) -> Any:
        """The record, or a dead letter."""
        try:
            return self._decode_one(raw)[0]
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return self._dead_letter(0, raw, error)

    def _decode_each(self, raws: list[bytes], hashes: list[str]) -> DecodedPage:
        page = DecodedPage()
        for place, (raw, hashed) in enumerate(zip(raws, hashes, strict=True)):
            try:
                record, extra = self._decode_one(raw)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                page.dead.append(self._dead_letter(place, raw, error))
                continue
            page.records.append(record)
            page.hashes.append(hashed)
            page.extras.append(extra)
            page.places.append(place)
        return page

    def _decode_one(self, raw: bytes) -> tuple[Contract, Any]:
        try:
            record, extra = self._one.decode(raw), None
        except msgspec.ValidationError:
            value = _ANY.decode(raw)
            self._write_out_times(value)
            extra = take_unknown(value, self._entity.contract)
            record = msgspec.convert(value, self._entity.contract)
        if NUL in raw and ESCAPED_NUL.search(raw):
            raise ValueError("Expected text without the character NUL (\\u0000)")
        if not self._in_range([record]):
            raise ValueError("Expected times between the years 2 and 9998")
        return record, extra

    def _write_out_times(self, value: Any) -> None:
        """Give ISO 8601 times the parts that RFC 3339 asks for: seconds, minutes of the offset."""
        for name in self._time_fields if isinstance(value, dict) else ():
            text = value.get(name)
            if isinstance(text, str) and (found := SHORT_TIME.fullmatch(text)):
                minute, second, offset = found.groups()
                value[name] = f"{minute}{second or ':00'}{offset}{':00' * (len(offset) == 3)}"

    def _in_range(self, records: list[Any]) -> bool:
        """Whether every database can hold the times (an offset may lead out of year 1)."""
        return all(
            time is None or 1 < time.year < 9999
            for name in self._time_fields
            for time in map(attrgetter(name), records)
        )

    def _dead_letter(self, place: int, raw: bytes, error: Exception) -> DeadLetter:
        try:
            value = loose = _ANY.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            value, loose = None, _loosely(raw)
        record_id = value.get("id") if isinstance(value, dict) else _id_of(raw, loose)
        name = f"{self._entity.name} {record_id!r}" if record_id else f"{self._entity.name} ?"
        reason, _, path = str(error).partition(" - at `$")
        if value is None and _has_half_a_character(loose):
            reason = "Expected whole characters, got half of a surrogate pair (\\ud800 to \\udfff)"
        if "matching regex" in reason:
            reason = NO_MONEY if "[0-9]" in reason else NO_TEXT
        path = path.rstrip("`").lstrip(".")
        if not path:
            text = f"{name}: {reason}"
        else:
            text = f"{name}: {path}: {reason}; value {_value_at(value, path)}"
        return DeadLetter(record_id if isinstance(record_id, str) else None, text, raw, place)


def _storable(text: str) -> str:
    """Text that every engine can hold (no NUL, no lone surrogate)."""
    return text.replace("\0", "\\u0000").encode("utf-8", "replace").decode()


def _is_json_value(raw: bytes) -> bool:
    try:
        _VALUE.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def _id_of(raw: bytes, loose: Any) -> str | None:
    """Id of a record that cannot be decoded as a whole."""
    try:
        return _HEAD.decode(raw).id
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = loose.get("id") if isinstance(loose, dict) else None
    return found if isinstance(found, str) and not HALF_A_CHARACTER.search(found) else None


def _has_half_a_character(loose: Any) -> bool:
    return bool(HALF_A_CHARACTER.search(json.dumps(loose, ensure_ascii=False)))


def _loosely(raw: bytes) -> Any:
    """As the standard library reads it: halves of characters, and integers of any length."""
    try:
        return json.loads(raw, parse_int=str)
    except (ValueError, RecursionError):
        return None


def row_hash(raw: bytes) -> str:
    """128-bit hash of a record's bytes, in hex."""
    return xxhash.xxh3_128_hexdigest(raw)


def take_unknown(value: Any, contract: type[Any]) -> Any:
    """Remove from `value` what `contract` does not know; returns it in the same shape, or None.

    Only fields are taken; a wrong type is left for the validation to name.
    """
    if not isinstance(value, dict):
        return None
    fields = {f.encode_name: f.type for f in msgspec.structs.fields(contract)}
    extra = {key: value.pop(key) for key in [k for k in value if k not in fields]}
    for key, kind in fields.items():
        nested = _nested_contract(kind)
        if nested is None or key not in value:
            continue
        inner = value[key]
        if isinstance(inner, list):
            found = [take_unknown(item, nested) for item in inner]
            if any(found):
                extra[key] = found
        elif (taken := take_unknown(inner, nested)) is not None:
            extra[key] = taken
    return extra or None


def _nested_contract(kind: Any) -> type[Contract] | None:
    if isinstance(kind, type) and issubclass(kind, Contract):
        return kind
    inner = (_nested_contract(argument) for argument in getattr(kind, "__args__", ()))
    return next((found for found in inner if found is not None), None)


def _time_fields(contract: type[Contract]) -> tuple[str, ...]:
    """Names of a contract's own fields that hold a time."""
    info = msgspec.inspect.type_info(contract)
    assert isinstance(info, msgspec.inspect.StructType)
    return tuple(field.name for field in info.fields if _holds_time(field.type))


def _holds_time(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.Metadata):
        return _holds_time(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(map(_holds_time, kind.types))
    return isinstance(kind, msgspec.inspect.DateTimeType)


def _value_at(value: Any, path: str) -> str:
    """The value at a msgspec path such as `items[0].quantity`, shortened, as JSON."""
    for part in path.replace("[", ".[").strip(".").split("."):
        try:
            value = value[int(part[1:-1])] if part.startswith("[") else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return "absent"
    text = encode_json(value)
    return text if len(text) <= 100 else text[:97] + "..."


def encode_json(value: Any) -> str:
    """JSON text; numbers keep the digits they came with."""
    return _ENCODER.encode(value).decode()


_ENCODER = msgspec.json.Encoder(decimal_format="number")
