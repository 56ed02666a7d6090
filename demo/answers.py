"""Answers of the demo API, honest and faulty: strikes and a good body -> one ASGI response."""

from __future__ import annotations

import math
import time
from email.utils import formatdate

import msgspec
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from demo.faults import Fault, Strike

_MAINTENANCE = "<!doctype html><html><body><h1>We will be back soon</h1></body></html>"


class DropConnection(Response):
    """Cut the connection before the first byte, or in the middle of the body."""

    def __init__(self, body: bytes, in_body: bool) -> None:
        super().__init__(body, media_type="application/json")
        self.in_body = in_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = scope.get("state", {}).get("transport")
        if transport is None:
            raise ConnectionResetError("dropped by a fault")
        if self.in_body:
            headers = self.raw_headers
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            half = bytes(self.body[: len(self.body) // 2])
            await send({"type": "http.response.body", "body": half, "more_body": True})
            transport.close()
        else:
            transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


def json_answer(body: bytes, status: int = 200) -> Response:
    """JSON bytes as a response."""
    return Response(body, status, media_type="application/json")


def error(status: int, message: str) -> Response:
    """A JSON error."""
    return json_answer(msgspec.json.encode({"error": message}), status)


def fault_answer(strikes: dict[str, Strike], body: bytes) -> Response | None:
    """The failure that these strikes ask for; the most violent wins, none gives None."""
    if reset := strikes.get("reset"):
        in_body = reset.fault.mode == "mid"
        if reset.fault.mode == "alternate":
            in_body = reset.number % 2 == 0
        return DropConnection(body, in_body)
    if "unauthorized" in strikes:
        return error(401, "token expired")
    if "not_found" in strikes:
        return error(404, "not found")
    if limited := strikes.get("rate_limit"):
        return _rate_limited(limited.fault)
    if "server_error" in strikes:
        return error(500, "internal error")
    if "html" in strikes:
        return HTMLResponse(_MAINTENANCE)
    if "truncated" in strikes:
        return json_answer(body[: len(body) // 2])
    return None


def _rate_limited(fault: Fault) -> Response:
    response = error(429, "too many requests")
    if fault.retry_after == "date":
        moment = math.ceil(time.time()) + 1
        response.headers["retry-after"] = formatdate(moment, usegmt=True)
    elif fault.retry_after != "none":
        response.headers["retry-after"] = fault.retry_after
    return response
