"""Messages a second from the topic into raw, against a loop that only counts them.

The cluster is librdkafka's mock in a process of its own. It holds some megabytes a partition, so
the messages lie in several topics, read together. The clock starts at the first message: joining
the group is not counted.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from confluent_kafka import Consumer, Producer

from benchmarks.measure import empty_warehouse, figure, quick
from ledger.engine import open_ledger
from ledger.lock import run_lock
from ledger.runs import recorded_run
from ledger.settings import Settings
from loaders.stream import StreamReader
from loaders.stream_settings import StreamSettings

MESSAGES_A_TOPIC = 60_000
PATTERN = "^topic-"
ROUNDS = 3
BATCH_SECONDS = 2.0


def produce() -> None:
    """Serve topics full of messages until the input ends (the child's part)."""
    topics = int(sys.argv[2])
    producer = Producer(
        {
            "bootstrap.servers": "none:1",
            "test.mock.num.brokers": 1,
            "queue.buffering.max.messages": MESSAGES_A_TOPIC,
        }
    )
    broker = next(iter(producer.list_topics(timeout=10).brokers.values()))
    for number in range(topics):
        for message in range(MESSAGES_A_TOPIC):
            value = {
                "id": f"e{number}-{message}",
                "user_id": f"u{message % 997}",
                "company_id": f"c{message % 211}",
                "type": "purchase",
                "amount": "19.90",
                "currency": "EUR",
                "occurred_at": "2026-03-01T12:00:00Z",
                "properties": {"page": message},
            }
            producer.produce(f"topic-{number}", json.dumps(value).encode())
            if message % 10_000 == 0:
                producer.flush()
        producer.flush()
    print(f"{broker.host}:{broker.port}", flush=True)
    sys.stdin.read()


def timed(messages: int, take: Callable[[], int]) -> float:
    """Messages a second from the first to the last."""
    seen = 0
    begin = time.perf_counter()
    while seen < messages:
        taken = take()
        if not seen and not taken:
            begin = time.perf_counter()
        seen += taken
    return messages / (time.perf_counter() - begin)


def bare(servers: str, messages: int) -> float:
    """A consumer that counts."""
    options = {
        "bootstrap.servers": servers,
        "group.id": f"bare-{time.time()}",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    consumer = Consumer(options)
    consumer.subscribe([PATTERN])
    rate = timed(messages, lambda: len(consumer.consume(10_000, 0.2)))
    consumer.close()
    return rate


def landed(settings: Settings, servers: str, messages: int) -> float:
    """The reader of the project: contracts, raw, offsets."""
    ledger = open_ledger(settings)
    stream = StreamSettings(servers, PATTERN, f"landed-{time.time()}")
    reader = StreamReader(settings, ledger, stream)

    def take() -> int:
        # Batches by size or time, as the service takes them.
        deadline = time.perf_counter() + BATCH_SECONDS
        if not reader.poll(0.2):
            return 0
        while reader.is_placed and not reader.is_full and time.perf_counter() < deadline:
            reader.poll(0.2)
        with run_lock(settings, "stream", 10), recorded_run(ledger, "stream", "bench") as run_id:
            return reader.land(run_id).counts.landed

    rate = timed(messages, take)
    reader.close()
    ledger.dispose()
    return rate


def main() -> None:
    """Print the figures."""
    topics = 1 if quick() else 8
    rounds = 1 if quick() else ROUNDS
    messages = topics * MESSAGES_A_TOPIC
    child = [sys.executable, "-m", "benchmarks.stream", "produce", str(topics)]
    cluster = subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert cluster.stdout is not None
    servers = cluster.stdout.readline().strip()
    for engine in ("duckdb", "postgres"):
        counted, rates = list[float](), list[float]()
        for _ in range(rounds):
            counted.append(bare(servers, messages))
            with empty_warehouse(engine) as settings:
                rates.append(landed(settings, servers, messages))
        rate, count = median(rates), median(counted)
        figure(
            "messages a second, against only counting",
            engine,
            rate / count,
            "≥ 0.3",
            f"{rate:,.0f}/s against {count:,.0f}/s",
        )
    cluster.kill()


if __name__ == "__main__":
    produce() if sys.argv[1:2] == ["produce"] else main()
