"""What the demo pushes: store -> signed webhooks and messages of a topic -> the warehouse.

The topic lives in librdkafka's mock cluster: real protocol, no broker to install. Some events are
sent twice and some are broken on purpose, as in life.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
from confluent_kafka import Producer
from standardwebhooks import Webhook

from demo.shapes import iso
from demo.store import Store

TOPIC = "user-events"
FEEDBACK, COMPANIES, MESSAGES, REPEATS = 60, 8, 400, 20
_KINDS = ("login", "view", "view", "view", "export", "purchase")


class Stream:
    """A cluster of one broker and a producer; both live as long as this object."""

    def __init__(self) -> None:
        options = {"bootstrap.servers": "none:1", "test.mock.num.brokers": 1, "log_level": 0}
        self._producer = Producer(options)
        # The broker makes a topic that a producer asks for: consumers come before the messages.
        brokers = self._producer.list_topics(TOPIC, timeout=10).brokers.values()
        self.servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def send(self, messages: list[bytes]) -> int:
        """Produce messages; gives how many."""
        for message in messages:
            self._producer.produce(TOPIC, message)
        self._producer.flush(30)
        return len(messages)


class Push:
    """Pushes what happened since the newest day of the store."""

    def __init__(self, store: Store) -> None:
        self._rng = random.Random("push")
        self._companies = _records(store, "crm", "companies")
        self._users = _records(store, "crm", "users")
        self._now = datetime.now(UTC).replace(microsecond=0)

    def webhooks(self, url: str, secret: str) -> dict[str, int]:
        """Send every event to `url`/<source>; gives the number of answers by status."""
        answers: Counter[int] = Counter()
        webhook = Webhook(secret)
        with httpx.Client(timeout=30, trust_env=False) as client:
            for source, event in self._events():
                body = msgspec.json.encode(event)
                now = datetime.now(UTC)
                headers = {
                    "content-type": "application/json",
                    "webhook-id": event["id"],
                    "webhook-timestamp": str(int(now.timestamp())),
                    "webhook-signature": webhook.sign(event["id"], now, body.decode()),
                }
                answer = client.post(f"{url}/{source}", content=body, headers=headers)
                answers[answer.status_code] += 1
        return {str(status): number for status, number in sorted(answers.items())}

    def messages(self) -> list[bytes]:
        """Messages of the topic: what users did today; one is broken, some come twice."""
        sent = [msgspec.json.encode(self._user_event(number)) for number in range(MESSAGES)]
        sent += self._rng.sample(sent, REPEATS)
        sent.append(b'{"id": "evt_broken", "user_id": "usr_000001", "amount": 7}')
        return sent

    def _events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        sent = [("support", self._feedback(number)) for number in range(FEEDBACK)]
        for number, company in enumerate(self._rng.sample(self._companies, COMPANIES)):
            renamed = company | {"industry": "Robotics", "updated_at": iso(self._moment())}
            sent.append(("crm", self._event(f"company_{number}", "company.updated", renamed)))
        sent.append(("crm", self._event("deal_1", "deal.won", {"deal": 1, "value": "1200.00"})))
        sent += self._rng.sample(sent, REPEATS)
        broken = self._feedback(FEEDBACK)
        broken["data"]["sentiment"] = "furious"
        return iter([*sent, ("support", broken)])

    def _feedback(self, number: int) -> dict[str, Any]:
        user = self._rng.choice(self._users)
        at = iso(self._moment())
        data = {
            "id": f"fbk_push_{number:04d}",
            "company_id": user["company_id"],
            "user_id": user["id"],
            "sentiment": self._rng.choice(("positive", "positive", "neutral", "negative")),
            "channel": "in-app",
            "created_at": at,
            "updated_at": at,
        }
        return self._event(f"feedback_{number}", "feedback.created", data)

    def _event(self, id: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        return {"id": f"evt_{id}", "type": kind, "timestamp": iso(self._now), "data": data}

    def _user_event(self, number: int) -> dict[str, Any]:
        user = self._rng.choice(self._users)
        kind = self._rng.choice(_KINDS)
        event = {
            "id": f"evt_{number:06d}",
            "user_id": user["id"],
            "company_id": user["company_id"],
            "type": kind,
            "occurred_at": iso(self._moment()),
        }
        if kind == "purchase":
            event["amount"] = f"{self._rng.randrange(500, 20_000) / 100:.2f}"
            event["currency"] = self._rng.choice(("EUR", "USD", "GBP"))
        return event

    def _moment(self) -> datetime:
        """A moment of today, not in the future."""
        midnight = self._now.replace(hour=0, minute=0, second=0)
        passed = int((self._now - midnight).total_seconds())
        return midnight + timedelta(seconds=self._rng.randint(0, passed))


def _records(store: Store, source: str, entity: str) -> list[dict[str, Any]]:
    rows = (store.get(source, entity, id) for id in store.ids(source, entity))
    return [msgspec.json.decode(row) for row in rows if row is not None]
