"""A Kafka cluster within the process (librdkafka's own mock), that speaks the real protocol."""

import json
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Producer

from loaders.stream_settings import StreamSettings

TOPIC = "user-events"


def user_event(id: str, **fields: Any) -> dict[str, Any]:
    """A message that keeps its contract."""
    return {
        "id": id,
        "user_id": "u1",
        "company_id": "c1",
        "type": "purchase",
        "amount": "9.50",
        "currency": "EUR",
        "occurred_at": "2026-03-02T10:00:00Z",
        **fields,
    }


class Topic:
    """Brokers and a producer; they live as long as the context."""

    def __init__(self, brokers: int = 1) -> None:
        self._producer = Producer(
            {"bootstrap.servers": "none:1", "test.mock.num.brokers": brokers, "log_level": 0}
        )
        found = self._producer.list_topics(timeout=10).brokers.values()
        self.servers = ",".join(f"{broker.host}:{broker.port}" for broker in found)
        self.settings = StreamSettings(
            self.servers, TOPIC, options={"session.timeout.ms": "6000", "log_level": "0"}
        )

    def send(self, *messages: Any, partition: int | None = None) -> None:
        """Produce messages: bytes as they are, None, or values as JSON."""
        for message in messages:
            raw = message
            if not (message is None or isinstance(message, bytes)):
                raw = json.dumps(message).encode()
            place = {} if partition is None else {"partition": partition}
            self._producer.produce(TOPIC, raw, **place)
        assert self._producer.flush(10) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._producer.purge()
