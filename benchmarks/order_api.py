"""A local API of nested orders for the benchmarks: pages made on the fly, memory that stays flat.

`python -m benchmarks.order_api COUNT [CHANGED]` prints its base URL. The newest `CHANGED` orders
have an `updated_at` of their own day, so that an incremental sync can ask for them alone.
"""

import json
import socket
import sys
from collections import deque
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ITEM = (
    '{"id":"%d-%d","product_id":"product-%d","quantity":%d,"unit_price":"%d.990",'
    '"discount_amount":"0.50"}'
)
ORDER = (
    '{"id":"order-%d","customer_id":"customer-%d","status":"completed","currency":"GBP",'
    '"shipping_address":{"street":"%d High Street","city":"London","state":null,'
    '"country":"United Kingdom","zip_code":"N1 %d"},"created_at":"2026-01-01T08:26:00Z",'
    '"updated_at":"%s","items":[%s]}'
)
ITEMS = 3
START = datetime(2025, 1, 1, tzinfo=UTC)


def order(number: int, *, changed: bool) -> str:
    """One order as JSON."""
    items = ",".join(
        ITEM % (number, item, (number + item) % 5000, 1 + number % 5, number % 90)
        for item in range(ITEMS)
    )
    second = timedelta(seconds=number)
    moment = "2026-02-01T00:00:00Z" if changed else (START + second).isoformat()
    return ORDER % (number, number % 20000, number % 300, number % 99, moment, items)


def create_app(count: int, changed: int) -> Starlette:
    """`/commerce/orders`, empty tables beside it, and `/requests` for the log."""
    log: deque[dict[str, object]] = deque(maxlen=100_000)

    def orders(request: Request) -> Response:
        since = request.query_params.get("modified_since", "")
        limit = int(request.query_params.get("limit", 1000))
        first = 0
        if since:
            seconds = (datetime.fromisoformat(since) - START).total_seconds()
            first = min(max(0, int(seconds)), count - changed)
        start = first + int(request.query_params.get("offset", 0))
        end = min(start + limit, count)
        rows = [order(n, changed=n >= count - changed) for n in range(start, end)]
        log.append({"since": since, "rows": len(rows)})
        following = "null"
        if end < count:
            query = urlencode({"limit": limit, "offset": end - first, "modified_since": since})
            following = json.dumps(f"/commerce/orders?{query}")
        body = f'{{"data":[{",".join(rows)}],"next":{following}}}'
        return Response(body, media_type="application/json")

    def nothing(_: Request) -> Response:
        return JSONResponse({"data": [], "next": None})

    def requests(_: Request) -> Response:
        answer = JSONResponse(list(log))
        log.clear()
        return answer

    routes = [
        Route("/commerce/orders", orders),
        Route("/requests", requests),
        Route("/{path:path}", nothing),
    ]
    return Starlette(routes=routes)


def main() -> None:
    """Serve until killed."""
    count = int(sys.argv[1])
    changed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(create_app(count, changed), log_level="error")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
