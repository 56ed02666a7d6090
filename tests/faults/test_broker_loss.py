"""The broker is lost and comes back, at any moment: every message lands once, and nothing waits."""

import random
import time
from collections.abc import Iterator

import pytest
from support.link import Link
from support.push import assert_balanced
from support.topic import TOPIC, Topic, user_event
from support.warehouse import COMPLETE, Warehouse

from ledger.lock import run_lock
from ledger.runs import recorded_run
from loaders.stream import StreamReader
from loaders.stream_settings import StreamSettings

LOSSES = 6
MESSAGES_A_LOSS = 200
SECONDS = 60.0
LANDED = f"select id from raw.events__user_events where {COMPLETE} order by id"
OPTIONS = {
    "session.timeout.ms": "6000",
    "reconnect.backoff.ms": "50",
    "reconnect.backoff.max.ms": "200",
    "log_level": "0",
}


@pytest.fixture
def link() -> Iterator[tuple[Topic, Link]]:
    with Topic() as topic, Link(topic.servers) as opened:
        yield topic, opened


def land(warehouse: Warehouse, reader: StreamReader) -> None:
    with (
        run_lock(warehouse.settings, "stream", 10),
        recorded_run(warehouse.ledger, "stream", warehouse.settings.target) as run_id,
    ):
        reader.land(run_id)


def ids(warehouse: Warehouse) -> list[str]:
    return [row[0] for row in warehouse.rows(LANDED)]


def test_each_message_lands_once_whenever_the_broker_is_lost(
    warehouse: Warehouse, link: tuple[Topic, Link]
) -> None:
    topic, way = link
    chance = random.Random(7)
    reader = StreamReader(
        warehouse.settings, warehouse.ledger, StreamSettings(way.server, TOPIC, options=OPTIONS)
    )
    sent: list[str] = []
    complaints = 0
    for _ in range(LOSSES):
        new = [f"e{len(sent) + n:04}" for n in range(MESSAGES_A_LOSS)]
        topic.send(*map(user_event, new))
        sent += new
        for _ in range(chance.randrange(12)):
            if reader.poll(0.1) and chance.random() < 0.7:
                land(warehouse, reader)
        way.cut()
        for _ in range(chance.randrange(1, 6)):
            if reader.poll(0.2):
                land(warehouse, reader)
        complaints += reader.error is not None
        way.mend()
    deadline = time.monotonic() + SECONDS
    while len(ids(warehouse)) < len(sent):
        assert time.monotonic() < deadline, reader.error
        if reader.poll(0.2):
            land(warehouse, reader)
    reader.close()
    assert complaints, "the loss was not noticed"
    assert ids(warehouse) == sent
    assert_balanced(warehouse.ledger)


def test_a_broker_lost_before_its_partitions_are_placed_stops_no_cycle(
    warehouse: Warehouse, link: tuple[Topic, Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, way = link
    topic.send(user_event("e1"))
    reader = StreamReader(
        warehouse.settings, warehouse.ledger, StreamSettings(way.server, TOPIC, options=OPTIONS)
    )
    deadline = time.monotonic() + SECONDS
    while reader.is_placed:
        assert time.monotonic() < deadline, reader.error
        reader.poll(0.2)
    way.cut()
    with monkeypatch.context() as hasty:
        hasty.setattr("loaders.stream.TIMEOUT_SECONDS", 0.5)
        land(warehouse, reader)
    assert reader.error is not None
    assert not reader.is_placed
    way.mend()
    while ids(warehouse) != ["e1"]:
        assert time.monotonic() < deadline, reader.error
        if reader.poll(0.2):
            land(warehouse, reader)
    reader.close()
    assert_balanced(warehouse.ledger)
