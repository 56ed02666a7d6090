"""The three REST APIs as one ASGI app: request -> faults -> a page of the store -> JSON bytes.

`GET /{source}/{entities}?modified_since=&limit=` needs the bearer token and answers
`{"data": [...], "next": link | null}`. Some entities page by offset, others by a cursor; some links
are absolute, others a path: a client that follows `next` as it is needs to know neither.
Under `/_demo` stand the request log, the rows as served now, the step to the next day, and what
pushes webhooks and messages.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from demo.answers import DropConnection, error, fault_answer, json_answer
from demo.faults import FaultPlan, Faults, Strike
from demo.push import Push, Stream
from demo.query import BadQuery, Query, link_to, next_link, read_query
from demo.store import SOURCE_OF, Store
from demo.table import Page, Position

DEFAULT_TOKEN = "demo-token"
_KEPT_REQUESTS = 20_000


class RequestRecord(msgspec.Struct, frozen=True):
    """One request as it was answered; status 0 is a dropped connection."""

    source: str
    entity: str
    query: str
    status: int
    rows: int
    faults: tuple[str, ...] = ()


class PushRequest(msgspec.Struct, frozen=True):
    """Where webhooks go: `url`/<source>, signed with `secret`."""

    url: str
    secret: str


class DemoApi:
    """State behind the endpoints; faults may be replaced while requests run."""

    def __init__(
        self,
        store: Store,
        *,
        token: str = DEFAULT_TOKEN,
        faults: Faults | None = None,
        max_limit: int = 1000,
        advance: Callable[[], Any] | None = None,
        stream: Stream | None = None,
    ) -> None:
        self.store = store
        self.stream = stream
        self.token = token
        self.max_limit = max_limit
        self.advance = advance
        self.requests: deque[RequestRecord] = deque(maxlen=_KEPT_REQUESTS)
        self.served: Counter[tuple[str, str]] = Counter()
        self.faults = faults or Faults()
        self._advancing = threading.Lock()

    @property
    def faults(self) -> Faults:
        """The faults in force; setting them starts their counts anew."""
        return self._plan.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._plan = FaultPlan(faults)

    def authorized(self, request: Request) -> bool:
        """Whether the request carries the bearer token."""
        return request.headers.get("authorization") == f"Bearer {self.token}"

    async def pull(self, request: Request) -> Response:
        """Answer one page request and note it in the log."""
        source, entity = request.path_params["source"], request.path_params["entity"]
        strikes: dict[str, Strike] = {}
        response, rows = await self._answer(request, source, entity, strikes)
        status = 0 if isinstance(response, DropConnection) else response.status_code
        names = tuple(strikes)
        self.requests.append(RequestRecord(source, entity, request.url.query, status, rows, names))
        self.served[source, entity] += rows
        return response

    async def _answer(
        self, request: Request, source: str, entity: str, strikes: dict[str, Strike]
    ) -> tuple[Response, int]:
        plan = self._plan
        if outage := plan.outage(entity):
            strikes.update(outage)
            return error(503, "service unavailable"), 0
        if SOURCE_OF.get(entity) != source:
            return error(404, f"no such entity: {source}/{entity}"), 0
        if not self.authorized(request):
            return error(401, "missing or wrong bearer token"), 0
        try:
            query = read_query(request, self.max_limit)
        except BadQuery as problem:
            return error(400, str(problem)), 0
        strikes.update(plan.strike(entity, first_page=query.first_page, again=query.again))
        if slow := strikes.get("slow"):
            await asyncio.sleep(slow.fault.seconds)
        page, link = self._page(request, source, entity, query, strikes)
        body = b'{"data":[%b],"next":%b}' % (b",".join(page.rows), msgspec.json.encode(link))
        if failure := fault_answer(strikes, body):
            return failure, 0
        return json_answer(body), len(page.rows)

    def _page(
        self,
        request: Request,
        source: str,
        entity: str,
        query: Query,
        strikes: dict[str, Strike],
    ) -> tuple[Page, str | None]:
        if moving := strikes.get("moving_rows"):
            fault = moving.fault
            left = fault.moves - fault.step * (moving.number - 1)
            self.store.move_to_end(source, entity, min(fault.step, left), query.since)
        salt = self._salt(entity, query, strikes)
        limit = min(query.limit, clamp.fault.limit if (clamp := strikes.get("clamp")) else 1 << 30)
        after = query.cursor.position if query.cursor else None

        def page(offset: int, after: Position | None) -> Page:
            return self.store.page(
                source,
                entity,
                modified_since=query.since,
                limit=limit,
                offset=offset,
                after=after,
                salt=salt,
            )

        here = page(query.offset, after)
        if "loop" in strikes:
            return here, link_to(request, entity, dict(request.query_params))
        if (twice := strikes.get("same_page_twice")) and twice.fault.mode == "repeat":
            return here, link_to(request, entity, {**request.query_params, "again": "1"})
        link = next_link(request, entity, here, salt)
        return (page(0, None) if twice else here), link

    def _salt(self, entity: str, query: Query, strikes: dict[str, Strike]) -> int | None:
        if unstable := strikes.get("unstable_order"):
            return unstable.number
        if query.cursor:
            return query.cursor.salt
        return None if self.faults.has("moving_rows", entity) else 0

    async def step(self, request: Request) -> Response:
        """Move the generated data one day forward."""
        if not self.authorized(request):
            return error(401, "missing or wrong bearer token")
        if self.advance is None:
            return error(409, "this data was not generated and has no next day")
        return json_answer(msgspec.json.encode(await run_in_threadpool(self._step)))

    async def push(self, request: Request) -> Response:
        """Send webhooks to the address in the body, and messages to the topic if there is one."""
        if not self.authorized(request):
            return error(401, "missing or wrong bearer token")
        try:
            asked = msgspec.json.decode(await request.body(), type=PushRequest)
        except msgspec.MsgspecError as problem:
            return error(400, str(problem))
        push = Push(self.store)
        sent = await run_in_threadpool(push.webhooks, asked.url, asked.secret)
        messages = 0
        if self.stream is not None:
            messages = await run_in_threadpool(self.stream.send, push.messages())
        return json_answer(msgspec.json.encode({"answers": sent, "messages": messages}))

    def _step(self) -> Any:
        assert self.advance is not None
        with self._advancing:
            return self.advance()

    async def log(self, request: Request) -> Response:
        """Give the request log."""
        return json_answer(msgspec.json.encode(list(self.requests)))

    async def oracle(self, request: Request) -> Response:
        """Give all rows of an entity as JSON lines."""
        source, entity = request.path_params["source"], request.path_params["entity"]
        if SOURCE_OF.get(entity) != source:
            return error(404, f"no such entity: {source}/{entity}")
        lines = b"".join(row + b"\n" for row in self.store.rows(source, entity))
        return Response(lines, media_type="application/x-ndjson")


def create_app(
    store: Store,
    *,
    token: str = DEFAULT_TOKEN,
    faults: Faults | None = None,
    max_limit: int = 1000,
    advance: Callable[[], Any] | None = None,
    stream: Stream | None = None,
) -> Starlette:
    """The ASGI app; its `DemoApi` is `app.state.demo`."""
    api = DemoApi(
        store, token=token, faults=faults, max_limit=max_limit, advance=advance, stream=stream
    )
    app = Starlette(
        routes=[
            Route("/_demo/advance", api.step, methods=["POST"]),
            Route("/_demo/push", api.push, methods=["POST"]),
            Route("/_demo/requests", api.log),
            Route("/_demo/served/{source}/{entity}", api.oracle),
            Route("/{source}/{entity}", api.pull),
        ]
    )
    app.state.demo = api
    return app
