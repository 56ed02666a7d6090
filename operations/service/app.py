"""The web application: verified bytes ─▶ inbox, and an answer that says what became of them.

`POST /webhooks/{source}`: 202 once the event is durable, also when it breaks its contract (it is
kept as a dead letter: sending it again would not help); 200 for a repeat. Refused, so that the
sender tries again or mends it: 400, 401, 404, 408, 409, 413, 415, 429, 503.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect

from ledger.dead_letters import letter_id
from ledger.inbox import Event, Outcome
from ledger.runs import now
from loaders.sources import SOURCES
from loaders.webhooks import BadSignature, EventReader, MalformedEvent, WebhookSource
from operations.service.committer import Committer, QueueFullError
from operations.service.settings import ServiceSettings

RETRY_SECONDS = "5"
_ENCODER = msgspec.json.Encoder()


class _Refused(Exception):
    """A request that gets an answer other than 2xx."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Application:
    """What the routes share."""

    def __init__(
        self,
        settings: ServiceSettings,
        ledger: Engine,
        sources: dict[str, WebhookSource],
        request_sync: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.committer = Committer(ledger, settings.queue_limit)
        self._sources = sources
        self._readers = {name: EventReader(source) for name, source in sources.items()}
        self._request_sync = request_sync

    async def take_webhook(self, name: str, request: Request) -> Response:
        """Verify, read and store one event."""
        source = self._sources.get(name)
        if source is None:
            raise _Refused(404, "no such source")
        body = await self._body(request)
        try:
            source.verify(request.headers, body)
            event = self._readers[name].read(request.headers, body, now())
        except BadSignature as error:
            raise _Refused(401, str(error)) from error
        except MalformedEvent as error:
            raise _Refused(400, str(error)) from error
        try:
            outcome = await self.committer.take(event)
        except QueueFullError as error:
            raise _Refused(429, "too many events wait to be landed; send it again later") from error
        except SQLAlchemyError as error:
            raise _Refused(503, "the event could not be stored; send it again later") from error
        return _answer(event, outcome)

    async def _body(self, request: Request) -> bytes:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise _Refused(415, "the body must be application/json")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise _Refused(415, "the body must not be encoded")
        limit = self.settings.max_body_bytes
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise _Refused(413, f"the body is larger than {limit} bytes")
        body = bytearray()
        try:
            async with asyncio.timeout(self.settings.body_timeout_seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > limit:
                        raise _Refused(413, f"the body is larger than {limit} bytes")
        except TimeoutError as error:
            raise _Refused(408, "the body took too long") from error
        except ClientDisconnect as error:
            raise _Refused(400, "the body ended early") from error
        return bytes(body)

    def trigger_sync(self, name: str, request: Request) -> Response:
        """Ask the worker for a sync of one source."""
        token = self.settings.sync_token
        if token is None or name not in SOURCES:
            raise _Refused(404, "no such source, or serve.sync_token is not set")
        sent = request.headers.get("authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(sent, f"Bearer {token}".encode()):
            raise _Refused(401, "the bearer token does not fit")
        self._request_sync(name)
        return _json(202, {"status": "requested", "source": name})


def create_app(application: Application) -> FastAPI:
    """The ASGI application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await application.committer.start()
        yield
        await application.committer.stop()

    app = FastAPI(title="Customer health warehouse", lifespan=lifespan)

    @app.post("/webhooks/{source}")
    async def take_webhook(source: str, request: Request) -> Response:
        """Take one signed event in; 2xx once it is durable."""
        return await application.take_webhook(source, request)

    @app.post("/sync/{source}")
    async def trigger_sync(source: str, request: Request) -> Response:
        """Sync one source with the next cycle."""
        return application.trigger_sync(source, request)

    @app.exception_handler(_Refused)
    async def refuse(_: Request, error: _Refused) -> Response:
        headers = {"retry-after": RETRY_SECONDS} if error.status in (429, 503) else {}
        if error.status in (408, 413):
            # The rest of the body is not read: the connection cannot be used again.
            headers["connection"] = "close"
        return _json(error.status, {"error": str(error)}, headers)

    return app


def _answer(event: Event, outcome: Outcome) -> Response:
    answer: dict[str, Any] = {"id": event.event_id, "duplicate": outcome is Outcome.DUPLICATE}
    if outcome is Outcome.ACCEPTED:
        return _json(202, answer | {"status": "accepted"})
    if outcome is Outcome.DUPLICATE:
        return _json(200, answer | {"status": "duplicate"})
    answer["dead_letter_id"] = letter_id(event.source, event.entity, event.body)
    if outcome is Outcome.CONFLICT:
        error = "an event with this id came before with another body; both are kept"
        return _json(409, answer | {"status": "conflict", "error": error})
    return _json(202, answer | {"status": "dead letter", "error": event.error})


def _json(status: int, value: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(_ENCODER.encode(value), status, headers, "application/json")
