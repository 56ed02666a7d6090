"""The wire format of a page: `{"data": [...], "next": ...}` ─▶ the bytes of its records."""

import json
import re
from itertools import pairwise

import msgspec

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[][{},]', re.DOTALL)


class PageError(Exception):
    """The body is not a page; asking again may help."""


class Envelope(msgspec.Struct):
    """The wire format of a page; records stay raw bytes."""

    data: list[msgspec.Raw]
    next: str | None


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

    A lone surrogate, deep nesting or a NaN (some writers let it pass) in one record must not keep
    the others from landing. None: the page itself is broken.
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
        json.loads(raw.decode("utf-8", "replace"))
    except RecursionError:
        return True
    except ValueError as error:
        # More digits than Python converts are still JSON.
        return "digits" in str(error)
    return True


_ENVELOPE = msgspec.json.Decoder(Envelope)
_DATA = re.compile(rb'\A\s*\{(?s:.*)"data"\s*:\s*\Z')
