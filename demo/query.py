"""Questions and links of the demo API: parameters -> a checked `Query`; a page -> its `next` link.

Some entities page by offset, others by an opaque cursor; some links are absolute, others a path.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

from demo.store import SOURCE_OF
from demo.table import Page, Position

DEFAULT_LIMIT = 500


class _Style(NamedTuple):
    by_cursor: bool
    absolute: bool


_STYLES: dict[str, _Style] = {
    "accounts": _Style(by_cursor=False, absolute=True),
    "companies": _Style(by_cursor=True, absolute=False),
    "users": _Style(by_cursor=False, absolute=False),
    "customers": _Style(by_cursor=True, absolute=True),
    "products": _Style(by_cursor=False, absolute=True),
    "orders": _Style(by_cursor=False, absolute=False),
    "tickets": _Style(by_cursor=True, absolute=False),
    "feedback": _Style(by_cursor=True, absolute=True),
}


class _Cursor(msgspec.Struct, array_like=True):
    """What an opaque cursor says: the order it belongs to and the last row's place in it."""

    salt: int | None
    position: Position


class Query(msgspec.Struct):
    """The parameters of one pull, checked."""

    since: datetime | None
    limit: int
    offset: int
    cursor: _Cursor | None
    again: bool

    @property
    def first_page(self) -> bool:
        """Whether nothing was served before it."""
        return self.offset == 0 and self.cursor is None


class BadQuery(ValueError):
    """A parameter that the API answers with status 400."""


def read_query(request: Request, max_limit: int) -> Query:
    """Check the parameters of a pull."""
    parameters = request.query_params
    since = None
    if (text := parameters.get("modified_since")) is not None:
        try:
            since = datetime.fromisoformat(text)
        except ValueError:
            raise BadQuery("modified_since is not an ISO 8601 time") from None
        if since.tzinfo is None:
            raise BadQuery("modified_since has no offset")
    limit = _natural(parameters.get("limit", str(DEFAULT_LIMIT)), "limit", least=1)
    cursor = None
    if (opaque := parameters.get("cursor")) is not None:
        try:
            cursor = msgspec.json.decode(base64.urlsafe_b64decode(opaque), type=_Cursor)
        except (msgspec.DecodeError, binascii.Error, ValueError):
            raise BadQuery("cursor is not one of this API") from None
    offset = _natural(parameters.get("offset", "0"), "offset", least=0)
    return Query(since, min(limit, max_limit), offset, cursor, "again" in parameters)


def _natural(text: str, name: str, least: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise BadQuery(f"{name} is not a whole number from {least}")
    return int(text)


def next_link(request: Request, entity: str, page: Page, salt: int | None) -> str | None:
    """The link to what follows a page, or None behind the last one."""
    if not page.more:
        return None
    kept = {
        name: value
        for name, value in request.query_params.items()
        if name in ("modified_since", "limit")
    }
    if not _STYLES[entity].by_cursor:
        return link_to(request, entity, {**kept, "offset": str(page.end)})
    if page.last is None:
        return None
    cursor = base64.urlsafe_b64encode(msgspec.json.encode(_Cursor(salt, page.last)))
    return link_to(request, entity, {**kept, "cursor": cursor.decode()})


def link_to(request: Request, entity: str, parameters: dict[str, str]) -> str:
    """A link in the style of the entity."""
    link = f"/{SOURCE_OF[entity]}/{entity}?{urlencode(parameters)}"
    if _STYLES[entity].absolute:
        return f"{request.url.scheme}://{request.url.netloc}{link}"
    return link
