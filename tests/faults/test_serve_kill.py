"""SIGKILL of the service at any moment, under load: what was answered 2xx is in the marts, once.

The oracle is on the sender's side: an event that was not answered is sent again until it is.
"""

import json
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest
from support.child import start_service
from support.push import SECRET, assert_balanced, event, feedback, signed
from support.topic import Topic, user_event
from support.warehouse import Warehouse

from ledger.balance import balances
from ledger.inbox import waiting_count

KILLS = int(os.environ.get("SERVE_KILLS") or 4)
SENDERS = 4
SECONDS = 90.0


class Load:
    """Senders that repeat every event until it is answered 2xx."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/webhooks/support"
        self._numbers = count()
        self._stop = threading.Event()
        self.answered: list[str] = []
        self.attempts = 0
        self.statuses: set[int] = set()
        self._threads = [threading.Thread(target=self._run) for _ in range(SENDERS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=5) as client:
            while not self._stop.is_set():
                id = f"f{next(self._numbers)}"
                body = event("feedback.created", feedback(id), f"event-{id}")
                while not self._sent(client, id, body):
                    time.sleep(0.02)
                self.answered.append(id)
                time.sleep(0.01)

    def _sent(self, client: httpx.Client, id: str, body: bytes) -> bool:
        self.attempts += 1
        try:
            answer = client.post(self._url, content=body, headers=signed(body, f"event-{id}"))
        except httpx.HTTPError:
            return False
        self.statuses.add(answer.status_code)
        return answer.is_success


@pytest.fixture
def topic() -> Iterator[Topic]:
    with Topic() as opened:
        yield opened


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_killed_under_load(warehouse: Warehouse, topic: Topic) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.randrange(2**32))
    print(f"KILL_SEED={seed}")
    random_ = random.Random(seed)
    port = free_port()
    environment = {
        "WEBHOOKS__SUPPORT__SECRETS": SECRET,
        "STREAM__BOOTSTRAP_SERVERS": topic.servers,
        "STREAM__OPTIONS__LOG_LEVEL": "0",
    }
    messages: list[str] = []

    def start(life: int) -> Any:
        return start_service(warehouse.settings, environment, port, f"group-{life}")

    with Load(port) as load:
        for life in range(KILLS):
            process = start(life)
            messages += [f"m{life}-{n}" for n in range(5)]
            topic.send(*(user_event(id) for id in messages[-5:]))
            # Long lives now and then: they come as far as the stream and the build.
            process.join(random_.uniform(4, 7) if life % 10 == 9 else random_.uniform(0.2, 1.5))
            assert process.exitcode is None, "it ended by itself"
            process.kill()
            process.join()
            assert_balanced(warehouse.ledger)
        process = start(KILLS)
        deadline = time.monotonic() + SECONDS
        while len(load.answered) < 20 * KILLS // 10 and time.monotonic() < deadline:
            time.sleep(0.1)
    begin = time.monotonic()
    wanted = {*load.answered}
    while not (modelled(warehouse) >= wanted and streamed(warehouse) >= set(messages)):
        assert time.monotonic() < begin + SECONDS, (len(modelled(warehouse)), len(wanted))
        assert process.exitcode is None
        time.sleep(1)
    process.terminate()
    process.join(SECONDS)
    assert process.exitcode == 0, "a clean stop"
    assert waiting_count(warehouse.ledger) == 0
    assert_once(warehouse, load, messages)


def assert_once(warehouse: Warehouse, load: Load, messages: list[str]) -> None:
    """Nothing is lost and nothing is there twice."""
    facts = warehouse.rows("select feedback_id from core.fct_feedback order by 1")
    assert [row[0] for row in facts] == sorted(load.answered)
    events = warehouse.rows("select event_id from core.fct_user_events order by 1")
    assert [row[0] for row in events] == sorted(messages)
    assert load.statuses <= {200, 202}
    found = {balance.way_in: balance for balance in balances(warehouse.ledger)}
    assert found["webhook"].landed == len(load.answered)
    assert found["webhook"].received >= len(load.answered)
    assert found["stream"].landed == len(messages), "also what landed just before a kill"
    assert_balanced(warehouse.ledger)
    # Each batch landed once: raw itself holds no repeat but those of dlt's own crashes.
    distinct = warehouse.value("select count(distinct id) from raw.support__feedback")
    assert distinct == len(load.answered)
    print(json.dumps({"sent": load.attempts, "accepted": len(load.answered)}))


def modelled(warehouse: Warehouse) -> set[str]:
    return ids(warehouse, "select feedback_id from core.fct_feedback")


def streamed(warehouse: Warehouse) -> set[str]:
    return ids(warehouse, "select event_id from core.fct_user_events")


def ids(warehouse: Warehouse, query: str) -> set[str]:
    """DuckDB's file belongs to the service while it writes."""
    try:
        return {row[0] for row in warehouse.rows(query)}
    except Exception:
        return set()
