"""A load of signed webhooks in a process of its own: 50 connections, or a steady rate.

`python -m benchmarks.load PORT EVENTS RATE` prints one JSON line: requests a second, p95 in
milliseconds, and when each event was answered (seconds since the epoch). Rate 0: at full speed.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime

from standardwebhooks import Webhook

CONNECTIONS = 50
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
COMPANIES = 500


def request(number: int) -> bytes:
    """The bytes of one request: feedback on one of the companies."""
    now = datetime.now(UTC)
    id = f"evt_{number}"
    data = {
        "id": f"new_{number}",
        "company_id": str(number % COMPANIES),
        "user_id": str(number % 997),
        "sentiment": ("positive", "neutral", "negative")[number % 3],
        "channel": "in-app",
        "body": "It does what it should, and I would like it in green. " * 4,
        "created_at": now.isoformat(),
        "updated_at": now.isoformat(),
    }
    event = {"id": id, "type": "feedback.created", "timestamp": now.isoformat(), "data": data}
    body = json.dumps(event).encode()
    head = (
        "POST /webhooks/support HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nwebhook-id: {id}\r\n"
        f"webhook-timestamp: {int(now.timestamp())}\r\n"
        f"webhook-signature: {Webhook(SECRET).sign(id, now, body.decode())}\r\n\r\n"
    )
    return head.encode() + body


async def run(port: int, events: int, rate: float) -> dict[str, object]:
    """Send all events and measure."""
    ready = [request(number) for number in range(events)] if not rate else []
    numbers = iter(range(events))
    waits: list[float] = []
    answered: list[float] = [0.0] * events
    begin = time.perf_counter()

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            if rate:
                await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
            sent = time.perf_counter()
            writer.write(ready[number] if ready else request(number))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 202"), head
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await reader.readexactly(length)
            waits.append(time.perf_counter() - sent)
            answered[number] = time.time()
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    passed = time.perf_counter() - begin
    waits.sort()
    return {
        "per_second": events / passed,
        "p95_ms": waits[int(0.95 * len(waits))] * 1000,
        "answered": answered if rate else [],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))
