"""Senders of webhooks, and a service whose cycles a test runs one by one."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import Engine
from standardwebhooks import Webhook
from starlette.testclient import TestClient

from ledger.balance import balances
from loaders.webhooks import WebhookSource
from operations.service.app import Application, create_app
from operations.service.settings import ServiceSettings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
AT = "2026-03-01T00:00:00Z"
SOURCES = {
    name: WebhookSource(name, (SECRET, OTHER_SECRET)) for name in ("crm", "commerce", "support")
} | {"hub": WebhookSource("hub", ("It's a Secret to Everybody",), "github")}


def company(id: str = "c1", **fields: Any) -> dict[str, Any]:
    """A record that keeps its contract."""
    return {
        "id": id,
        "account_id": "a1",
        "name": "Acme",
        "is_active": True,
        "created_at": AT,
        "updated_at": AT,
        **fields,
    }


def feedback(id: str = "f1", **fields: Any) -> dict[str, Any]:
    """A record that keeps its contract."""
    return {
        "id": id,
        "company_id": "c1",
        "sentiment": "positive",
        "created_at": AT,
        "updated_at": AT,
        **fields,
    }


def event(kind: str, data: Any, id: str) -> bytes:
    """The body of an event."""
    return json.dumps({"id": id, "type": kind, "timestamp": AT, "data": data}).encode()


def signed(
    body: bytes, id: str, secret: str = SECRET, at: datetime | None = None
) -> dict[str, str]:
    """Headers of the Standard Webhooks scheme; the library signs no body that is no text."""
    moment = at or datetime.now(UTC)
    return {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": _signature(body, id, secret, moment),
    }


def _signature(body: bytes, id: str, secret: str, moment: datetime) -> str:
    with suppress(UnicodeDecodeError):
        return Webhook(secret).sign(id, moment, body.decode())
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{id}.{int(moment.timestamp())}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def signed_by_github(body: bytes, delivery: str, kind: str = "push") -> dict[str, str]:
    """Headers as GitHub sends them."""
    digest = hmac.new(b"It's a Secret to Everybody", body, hashlib.sha256).hexdigest()
    return {
        "content-type": "application/json",
        "x-hub-signature-256": f"sha256={digest}",
        "x-github-delivery": delivery,
        "x-github-event": kind,
    }


class Sender:
    """Posts signed events."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def send(self, source: str, kind: str, data: Any, id: str) -> httpx.Response:
        """One event."""
        return self.post(source, event(kind, data, id), id)

    def post(self, source: str, body: bytes, id: str, **headers: str) -> httpx.Response:
        """One body, signed."""
        response: httpx.Response = self.client.post(
            f"/webhooks/{source}", content=body, headers=signed(body, id) | headers
        )
        return response


@contextmanager
def served(ledger: Engine, **options: Any) -> Iterator[tuple[Sender, Application]]:
    """The web application over a ledger, without a worker."""
    application = Application(ServiceSettings(**options), ledger, SOURCES, lambda _: None)
    with TestClient(create_app(application), raise_server_exceptions=False) as client:
        yield Sender(client), application


async def ask(
    app: Any, path: str, headers: Iterable[tuple[bytes, bytes]], chunks: AsyncIterator[bytes]
) -> int:
    """The status of a POST, asked of the ASGI application itself: any bytes may be sent so."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        async for chunk in chunks:
            return {"type": "http.request", "body": chunk, "more_body": True}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(headers),
    }
    await app(scope, receive, send)
    return statuses[0]


def assert_balanced(ledger: Engine) -> None:
    """received = landed + duplicate + dead + waiting, whichever way things came in."""
    for balance in balances(ledger):
        assert balance.balanced, balance
