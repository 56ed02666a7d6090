"""The web application: verified bytes ─▶ inbox, and an answer that says what became of them.

`POST /webhooks/{source}`: 202 once the event is durable, also when it breaks its contract (it is
kept as a dead letter: sending it again would not help); 200 for a repeat. Refused, so that the
sender tries again or mends it: 400, 401, 404, 405, 408, 409, 413, 415, 429, 503.

Webhooks and metrics are plain ASGI: the framework's layers would cost more than the work itself
does. All else is FastAPI's.
"""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Receive, Scope, Send

from ledger.dead_letters import letter_id
from ledger.errors import SettingsError
from ledger.inbox import Event, Outcome
from ledger.runs import now
from loaders.sources import SOURCES
from loaders.sources.base import configured
from loaders.webhooks import BadSignature, EventReader, MalformedEvent, WebhookSource
from operations.service.committer import Committer, QueueFullError
from operations.service.probes import CONTENT_TYPE, is_ready, metrics
from operations.service.settings import ServiceSettings
from serving.api import DataApi
from serving.gate import Refused
from serving.metrics_api import METRICS

WEBHOOKS = "/webhooks/"
RETRY_SECONDS = "5"
_ENCODER = msgspec.json.Encoder()
log = logging.getLogger("warehouse")
Answer = tuple[int, dict[str, Any]]


class _Refused(Exception):
    """A request that gets an answer other than 2xx."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Application:
    """What the routes share; as an ASGI application it answers webhooks."""

    def __init__(
        self,
        settings: ServiceSettings,
        ledger: Engine,
        sources: dict[str, WebhookSource],
        request_sync: Callable[[str], None],
        is_working: Callable[[], bool] = lambda: True,
        data: DataApi | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.is_working = is_working
        self.committer = Committer(ledger, settings.queue_limit)
        self._sources = sources
        self._readers = {name: EventReader(source) for name, source in sources.items()}
        self._request_sync = request_sync
        self._data = data

    @property
    def data(self) -> DataApi | None:
        """Exports and metrics, where they are served."""
        return self._data

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one webhook."""
        try:
            status, answer = await self._take(scope, receive)
        except _Refused as error:
            status, answer = error.status, {"error": str(error)}
        body = _ENCODER.encode(answer)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *_EXTRA_HEADERS.get(status, ()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _take(self, scope: Scope, receive: Receive) -> Answer:
        name = scope["path"].removeprefix(WEBHOOKS)
        source = self._sources.get(name)
        if source is None:
            raise _Refused(404, "no such source")
        if scope["method"] != "POST":
            raise _Refused(405, "events are sent by POST")
        headers = {key.decode("latin-1"): val.decode("latin-1") for key, val in scope["headers"]}
        body = await self._body(headers, receive)
        try:
            source.verify(headers, body)
            event = self._readers[name].read(headers, body, now())
            return _answer(event, await self.committer.take(event))
        except BadSignature as error:
            raise _Refused(401, str(error)) from error
        except MalformedEvent as error:
            raise _Refused(400, str(error)) from error
        except QueueFullError as error:
            raise _Refused(429, "too many events wait to be landed; send it again later") from error
        except SQLAlchemyError as error:
            _log_fault(error)
            raise _Refused(503, "the event could not be stored; send it again later") from error

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise _Refused(415, "the body must be application/json")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise _Refused(415, "the body must not be encoded")
        limit = self.settings.max_body_bytes
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise _Refused(413, f"the body is larger than {limit} bytes")
        body = bytearray()
        try:
            async with asyncio.timeout(self.settings.body_timeout_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Refused(400, "the body ended early")
                    body += message.get("body", b"")
                    if len(body) > limit:
                        raise _Refused(413, f"the body is larger than {limit} bytes")
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError as error:
            raise _Refused(408, "the body took too long") from error

    async def trigger_sync(self, name: str, authorization: str) -> Answer:
        """Ask the worker for a sync of one source.

        Raises:
            Refused: 401, 429 or 503, as `Gate.may`.
        """
        if not await self._may_sync(authorization):
            return 403, {"error": "the token has no scope 'sync'"}
        if name not in SOURCES:
            return 404, {"error": f"no source {name!r}"}
        try:
            configured(SOURCES[name])
        except SettingsError as error:
            return 409, {"error": str(error)}
        self._request_sync(name)
        return 202, {"status": "requested", "source": name}

    async def _may_sync(self, authorization: str) -> bool:
        """By `serve.sync_token`, or by a token of the ledger with scope `sync`."""
        token = self.settings.sync_token
        sent = authorization.encode("utf-8", "replace")
        if token is not None and hmac.compare_digest(sent, f"Bearer {token}".encode()):
            return True
        if self._data is None:
            raise Refused(401, "the bearer token does not fit")
        return await self._data.gate.may(authorization, "sync")


# Where the body was not read to its end, the connection cannot be used again.
_CLOSE = ((b"connection", b"close"),)
_RETRY = ((b"retry-after", RETRY_SECONDS.encode()),)
_EXTRA_HEADERS = {408: _CLOSE, 413: _CLOSE, 429: _RETRY, 503: _RETRY}


def create_app(application: Application) -> ASGIApp:
    """The ASGI application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await application.committer.start()
        yield
        await application.committer.stop()

    api = FastAPI(title="Customer health warehouse", lifespan=lifespan)

    @api.post("/sync/{source}")
    async def trigger_sync(source: str, request: Request) -> Response:
        """Sync one source with the next cycle."""
        authorization = request.headers.get("authorization", "")
        headers: dict[str, str] = {}
        try:
            status, answer = await application.trigger_sync(source, authorization)
        except Refused as error:
            status, answer, headers = error.status, {"error": str(error)}, error.headers
        if application.data is not None:
            application.data.gate.note(request.url.path, status, authorization)
        return _json(status, answer, headers)

    _add_probes(api, application)
    if application.data is not None:
        api.include_router(application.data.router)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if "\0" in path or b"%00" in scope.get("query_string", b""):
            # PostgreSQL holds no such text: nothing is called so.
            refused = _json(400, {"error": "the address holds the character NUL"})
            await refused(scope, receive, send)
        elif path.startswith(WEBHOOKS):
            await application(scope, receive, send)
        elif application.data is not None and path.startswith(METRICS):
            await application.data.metrics(scope, receive, send)
        else:
            await api(scope, receive, send)

    return app


def _add_probes(api: FastAPI, application: Application) -> None:
    @api.get("/healthz")
    def healthz() -> Response:
        """Whether the process works at all; if not, restart it."""
        alive = application.is_working()
        answer = {"status": "alive" if alive else "the worker has ended"}
        return _json(200 if alive else 503, answer)

    @api.get("/readyz")
    def readyz() -> Response:
        """Whether events can be taken."""
        ready = is_ready(application.ledger)
        return _json(200 if ready else 503, {"status": "ready" if ready else "no ledger"})

    @api.get("/metrics")
    def prometheus() -> Response:
        """Figures for Prometheus."""
        try:
            return Response(metrics(application.ledger), media_type=CONTENT_TYPE)
        except SQLAlchemyError as error:
            _log_fault(error)
            answer = {"error": "the ledger cannot be read"}
            return _json(503, answer, {"retry-after": RETRY_SECONDS})


def _log_fault(error: SQLAlchemyError) -> None:
    reason = str(error).strip().partition("\n")[0]
    log.error("the ledger cannot be reached: %s", reason)


def _json(status: int, answer: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(_ENCODER.encode(answer), status, headers, "application/json")


def _answer(event: Event, outcome: Outcome) -> Answer:
    answer: dict[str, Any] = {"id": event.event_id, "duplicate": outcome is Outcome.DUPLICATE}
    if outcome is Outcome.ACCEPTED:
        return 202, answer | {"status": "accepted"}
    if outcome is Outcome.DUPLICATE:
        return 200, answer | {"status": "duplicate"}
    answer["dead_letter_id"] = letter_id(event.source, event.entity, event.body)
    if outcome is Outcome.CONFLICT:
        error = "an event with this id came before with another body; both are kept"
        return 409, answer | {"status": "conflict", "error": error}
    return 202, answer | {"status": "dead letter", "error": event.error}
