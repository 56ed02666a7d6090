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
from itertools import pairwise
from operator import attrgetter
from typing import Any

import msgspec
import msgspec.inspect
import xxhash

from loaders.contracts import Contract, Entity

NUL = b"\\u0000"
ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[][{},]', re.DOTALL)


class PageError(Exception):
    """The body is not a page; asking again may help."""


class Envelope(msgspec.Struct):
    """The wire format of a page; records stay raw bytes."""

    data: list[msgspec.Raw]
    next: str | None


@dataclass(frozen=True)
class DeadLetter:
    """A record that broke its contract, with its bytes."""

    record_id: str | None
    error: str
    payload: bytes

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
    """Records and their hashes and extras, by position; `dead` are the others."""

    records: list[Any] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    extras: list[Any] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


def read_envelope(body: bytes) -> Envelope:
    """Take a page apart.

    Raises:
        PageError: not JSON, cut off, or not `{"data": [...], "next": ...}`.
    """
    try:
        return _ENVELOPE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if (envelope := _split(body)) is not None:
            return envelope
        start = body[:60].decode("utf-8", "replace")
        raise PageError(f"no page of records ({error}); it begins {start!r}") from error


def _split(body: bytes) -> Envelope | None:
    """Take a page apart by its brackets, where a record is JSON that msgspec does not take.

    A lone surrogate or deep nesting in one record must not keep the others from landing. None: the
    page itself is broken.
    """
    cuts = _cuts(body)
    raws = [body[start + 1 : end].strip() for start, end in pairwise(cuts)]
    if not raws or not all(map(_is_json, raws)):
        return None
    try:
        envelope = _ENVELOPE.decode(body[: cuts[0] + 1] + body[cuts[-1] :])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return Envelope([msgspec.Raw(raw) for raw in raws], envelope.next)


def _cuts(body: bytes) -> list[int]:
    """Where the list `data` begins, its commas and where it ends."""
    depth, cuts = 0, list[int]()
    for token in TOKEN.finditer(body):
        sign, place = token.group(), token.start()
        if sign in b"[{":
            depth += 1
            if depth == 2 and not cuts and _DATA.search(body, 0, place):
                cuts.append(place)
        elif sign in b"]}":
            depth -= 1
            if depth == 1 and cuts:
                return [*cuts, place]
        elif sign == b"," and depth == 2 and cuts:
            cuts.append(place)
    return []


def _is_json(raw: bytes) -> bool:
    try:
        json.loads(raw.decode("utf-8", "replace"), parse_constant=_refuse)
    except RecursionError:
        return True
    except ValueError as error:
        # More digits than Python converts are still JSON.
        return "digits" in str(error)
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


class _Head(msgspec.Struct):
    """What names a record."""

    id: str


_ENVELOPE = msgspec.json.Decoder(Envelope)
_ANY = msgspec.json.Decoder(float_hook=Decimal)
_HEAD = msgspec.json.Decoder(_Head)
_DATA = re.compile(rb'\A\s*\{(?s:.*)"data"\s*:\s*\Z')


class RecordDecoder:
    """Decodes the records of one entity."""

    def __init__(self, entity: Entity) -> None:
        self._entity = entity
        self._time_fields = _time_fields(entity.contract)
        self._one = msgspec.json.Decoder(entity.contract)
        self._page: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[entity.contract])  # type: ignore[name-defined]

    def decode(self, raws: list[bytes], hashes: list[str]) -> DecodedPage:
        """Decode records, given their hashes; every one ends in `records` or in `dead`."""
        joined = b"[" + b",".join(raws) + b"]"
        try:
            records = self._page.decode(joined)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._decode_each(raws, hashes)
        if NUL in joined or not self._in_range(records):
            return self._decode_each(raws, hashes)
        return DecodedPage(records, hashes, [None] * len(raws))

    def _decode_each(self, raws: list[bytes], hashes: list[str]) -> DecodedPage:
        page = DecodedPage()
        for raw, hashed in zip(raws, hashes, strict=True):
            try:
                record, extra = self._decode_one(raw)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                page.dead.append(self._dead_letter(raw, error))
                continue
            page.records.append(record)
            page.hashes.append(hashed)
            page.extras.append(extra)
        return page

    def _decode_one(self, raw: bytes) -> tuple[Contract, Any]:
        try:
            record, extra = self._one.decode(raw), None
        except msgspec.ValidationError:
            value = _ANY.decode(raw)
            extra = take_unknown(value, self._entity.contract)
            record = msgspec.convert(value, self._entity.contract)
        if ESCAPED_NUL.search(raw):
            raise ValueError("Expected text without the character NUL (\\u0000)")
        if not self._in_range([record]):
            raise ValueError("Expected times between the years 2 and 9998")
        return record, extra

    def _in_range(self, records: list[Any]) -> bool:
        """Whether every database can hold the times (an offset may lead out of year 1)."""
        return all(
            time is None or 1 < time.year < 9999
            for name in self._time_fields
            for time in map(attrgetter(name), records)
        )

    def _dead_letter(self, raw: bytes, error: Exception) -> DeadLetter:
        try:
            value = _ANY.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            value = None
        record_id = value.get("id") if isinstance(value, dict) else _id_of(raw)
        name = f"{self._entity.name} {record_id!r}" if record_id else f"{self._entity.name} ?"
        reason, _, path = str(error).partition(" - at `$")
        if "matching regex" in reason:
            reason = "Expected decimal text such as `-12.50`"
        path = path.rstrip("`").lstrip(".")
        if not path:
            text = f"{name}: {reason}"
        else:
            text = f"{name}: {path}: {reason}; value {_value_at(value, path)}"
        return DeadLetter(record_id if isinstance(record_id, str) else None, text, raw)


def _id_of(raw: bytes) -> str | None:
    """Id of a record that cannot be decoded as a whole."""
    try:
        return _HEAD.decode(raw).id
    except (msgspec.MsgspecError, ValueError, RecursionError):
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
