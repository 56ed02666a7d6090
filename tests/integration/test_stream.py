"""The topic: every message once, whoever reads it and whatever breaks in between."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select
from support.push import assert_balanced
from support.topic import TOPIC, Topic, user_event
from support.warehouse import COMPLETE, Warehouse

from ledger.balance import balances
from ledger.dead_letters import LetterFilter, find
from ledger.engine import open_ledger
from ledger.errors import TargetError
from ledger.lock import run_lock
from ledger.runs import SyncCounts, recorded_run
from ledger.settings import Settings
from ledger.tables import stream_positions, sync_log
from loaders.accounts import recover_figures
from loaders.dead_letters import register_landed
from loaders.landing import Landing
from loaders.stream import StreamReader
from loaders.stream_settings import StreamSettings, configured_stream

SECONDS = 30.0
LANDED = f"select id from raw.events__user_events where {COMPLETE} order by id"


@pytest.fixture
def topic() -> Iterator[Topic]:
    with Topic() as opened:
        yield opened


@pytest.fixture
def reader(warehouse: Warehouse, topic: Topic) -> Iterator[StreamReader]:
    opened = StreamReader(warehouse.settings, warehouse.ledger, topic.settings)
    yield opened
    opened.close()


def land(warehouse: Warehouse, reader: StreamReader) -> SyncCounts:
    with (
        run_lock(warehouse.settings, "stream", 10),
        recorded_run(warehouse.ledger, "stream", warehouse.settings.target) as run_id,
    ):
        return reader.land(run_id).counts


def drain(
    warehouse: Warehouse, reader: StreamReader, until: Callable[[SyncCounts], bool]
) -> SyncCounts:
    """Poll and land until the sum of all figures is what the test waits for."""
    total, deadline = SyncCounts(), time.monotonic() + SECONDS
    while not until(total):
        assert time.monotonic() < deadline, (total, reader.error)
        if reader.poll(0.2):
            total.add(land(warehouse, reader))
    assert_balanced(warehouse.ledger)
    return total


def ids(warehouse: Warehouse) -> list[str]:
    return [row[0] for row in warehouse.rows(LANDED)]


def test_messages_land_with_their_place_and_the_lag_is_recorded(
    warehouse: Warehouse, topic: Topic, reader: StreamReader
) -> None:
    sent = [user_event(f"e{n:03}", properties={"n": n, "deep": [{"a": None}]}) for n in range(100)]
    topic.send(*sent)
    drain(warehouse, reader, lambda total: total.landed == 100)
    assert ids(warehouse) == [event["id"] for event in sent]
    rows = warehouse.rows(
        "select _topic, _partition, _offset, properties from raw.events__user_events"
    )
    assert len({row[:3] for row in rows}) == 100
    assert {row[0] for row in rows} == {TOPIC}
    assert json.loads(max(rows, key=lambda row: row[3])[3])["deep"] == [{"a": None}]
    with warehouse.ledger.connect() as connection:
        positions = connection.execute(select(stream_positions)).mappings().all()
    assert sum(position["next_offset"] for position in positions) == 100
    assert {position["lag"] for position in positions} == {0}


POISON = [
    b"",
    None,
    b"\xff\xfe",
    b"nonsense",
    b"[" * 50_000,
    b'{"id": "a"},{"id": "b"}',
    json.dumps(user_event("p1", amount=7)).encode(),
    json.dumps(user_event("p2", amount="NaN")).encode(),
    json.dumps(user_event("p3", occurred_at="2026-03-02 10:00")).encode(),
    json.dumps(user_event("p4", properties={"a": "\0"})).encode(),
    b'{"id": "\\ud800"}',
]


def test_poison_becomes_dead_letters_and_blocks_nothing(
    warehouse: Warehouse, topic: Topic, reader: StreamReader
) -> None:
    for number, poison in enumerate(POISON):
        topic.send(poison, user_event(f"e{number:02}"), partition=0)
    number = len(POISON)
    total = drain(warehouse, reader, lambda total: total.received == 2 * number)
    assert (total.landed, total.dead) == (number, number)
    assert ids(warehouse) == [f"e{n:02}" for n in range(number)]
    register_landed(warehouse.target, warehouse.ledger)
    letters = find(warehouse.ledger, LetterFilter(source="events"))
    # No bytes and empty bytes are the same letter.
    assert {bytes(letter["payload"]) for letter in letters} == {raw or b"" for raw in POISON}
    offsets = sorted(json.loads(letter["position"])["offset"] for letter in letters)
    assert offsets == [0, *range(4, 2 * number, 2)] or offsets == [2, *range(4, 2 * number, 2)]


def test_another_reader_goes_on_where_raw_says(
    warehouse: Warehouse, topic: Topic, reader: StreamReader
) -> None:
    topic.send(*(user_event(f"e{n}") for n in range(5)))
    drain(warehouse, reader, lambda total: total.landed == 5)
    reader.close()
    topic.send(*(user_event(f"e{n}") for n in range(5, 8)))
    # A group that the broker has never seen: it would begin at the begin.
    other = StreamReader(
        warehouse.settings,
        warehouse.ledger,
        StreamSettings(topic.servers, TOPIC, "another-group", options=topic.settings.options),
    )
    total = drain(warehouse, other, lambda total: total.received >= 3)
    other.close()
    assert (total.received, total.landed) == (3, 3)
    assert ids(warehouse) == [f"e{n}" for n in range(8)]


def test_two_readers_share_the_topic(
    warehouse: Warehouse, topic: Topic, reader: StreamReader
) -> None:
    """A rebalance in the middle: what one took and did not land, the other lands."""
    topic.send(*(user_event(f"a{n:03}") for n in range(200)))
    while not reader.poll(0.2):
        pass
    other = StreamReader(warehouse.settings, warehouse.ledger, topic.settings)
    deadline = time.monotonic() + SECONDS
    for name, number in (("a", 200), ("b", 400)):
        if name == "b":
            topic.send(*(user_event(f"b{n:03}") for n in range(200)))
        while len(set(ids(warehouse))) < number:
            assert time.monotonic() < deadline
            for member in (reader, other):
                if member.poll(0.1):
                    land(warehouse, member)
    other.close()
    assert ids(warehouse) == [f"{name}{n:03}" for name in "ab" for n in range(200)]
    assert_balanced(warehouse.ledger)


def test_a_reader_that_lost_its_partitions_unawares_lands_nothing_twice(
    warehouse: Warehouse, topic: Topic, reader: StreamReader
) -> None:
    """What it took before, another has landed meanwhile."""
    topic.send(*(user_event(f"e{n}") for n in range(5)), partition=0)
    deadline = time.monotonic() + SECONDS
    while len(reader._messages) < 5:
        assert time.monotonic() < deadline
        if reader.poll(0.2) and not reader.is_placed:
            land(warehouse, reader)
    stream = StreamSettings(topic.servers, TOPIC, "others", options=topic.settings.options)
    other = StreamReader(warehouse.settings, warehouse.ledger, stream)
    drain(warehouse, other, lambda total: total.landed == 5)
    other.close()
    late = land(warehouse, reader)
    assert (late.received, late.landed, late.duplicate) == (5, 0, 5)
    assert ids(warehouse) == [f"e{n}" for n in range(5)]
    assert_balanced(warehouse.ledger)


def test_a_landing_that_fails_is_read_again(
    warehouse: Warehouse, topic: Topic, reader: StreamReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic.send(*(user_event(f"e{n}") for n in range(5)))
    while not reader.poll(0.2) or not reader._messages:
        land(warehouse, reader)
    with monkeypatch.context() as broken:
        broken.setattr(Landing, "land", _no_disk)
        with pytest.raises(TargetError, match="no disk"):
            land(warehouse, reader)
    with warehouse.ledger.connect() as connection:
        failed = connection.execute(select(sync_log).order_by(sync_log.c.started_at.desc()))
        assert failed.mappings().first()["error"] == "no disk"  # type: ignore[index]
    drain(warehouse, reader, lambda total: total.landed == 5)
    assert ids(warehouse) == [f"e{n}" for n in range(5)]


def test_what_is_taken_after_a_failed_landing_does_not_overtake_it(
    warehouse: Warehouse, topic: Topic, reader: StreamReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that came before the way back was taken are beyond those that did not land."""
    topic.send(*(user_event(f"e{n}") for n in range(5)), partition=0)
    deadline = time.monotonic() + SECONDS
    while len(reader._messages) < 5:
        assert time.monotonic() < deadline
        if reader.poll(0.2) and not reader.is_placed:
            land(warehouse, reader)
    with monkeypatch.context() as broken:
        broken.setattr(Landing, "land", _no_disk)
        with pytest.raises(TargetError, match="no disk"):
            land(warehouse, reader)
    topic.send(*(user_event(f"e{n}") for n in range(5, 8)), partition=0)
    for _ in range(10):
        reader.poll(0.2)
    drain(warehouse, reader, lambda total: total.landed >= 8)
    assert ids(warehouse) == [f"e{n}" for n in range(8)]


def _no_disk(*_: object) -> None:
    raise TargetError("no disk")


def test_messages_that_landed_before_a_kill_are_counted(
    warehouse: Warehouse, topic: Topic, reader: StreamReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between the load and the ledger."""
    # One partition: the first landing has a good message in it, whatever it takes.
    topic.send(*(user_event(f"e{n}") for n in range(5)), b"poison", b"poison", partition=0)
    with monkeypatch.context() as broken:
        broken.setattr("loaders.stream.finish_sync", _killed)
        with pytest.raises(KeyboardInterrupt):
            drain(warehouse, reader, lambda total: total.received == 7)
    landed = len(ids(warehouse))
    assert sum(balance.received for balance in balances(warehouse.ledger)) == 0
    with recorded_run(warehouse.ledger, "stream", warehouse.settings.target):
        assert recover_figures(warehouse.target, warehouse.ledger) == 1
        assert recover_figures(warehouse.target, warehouse.ledger) == 0
    (balance,) = balances(warehouse.ledger)
    assert balance.landed == landed > 0
    assert_balanced(warehouse.ledger)


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_topic_that_is_made_anew_is_read_from_its_begin(
    warehouse: Warehouse, topic: Topic, reader: StreamReader
) -> None:
    topic.send(*(user_event(f"e{n}") for n in range(5)), partition=0)
    drain(warehouse, reader, lambda total: total.landed == 5)
    with Topic() as anew:
        anew.send(user_event("n1"), user_event("n2"), partition=0)
        other = StreamReader(warehouse.settings, warehouse.ledger, anew.settings)
        drain(warehouse, other, lambda total: total.landed == 2)
        anew.send(user_event("n3"), partition=0)
        drain(warehouse, other, lambda total: total.landed == 1)
        other.close()
    assert ids(warehouse) == ["e0", "e1", "e2", "e3", "e4", "n1", "n2", "n3"]


def test_a_broker_that_is_not_there_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(tmp_path_factory.mktemp("home"))
    ledger = open_ledger(settings)
    reader = StreamReader(
        settings, ledger, StreamSettings("127.0.0.1:1", options={"log_level": "0"})
    )
    deadline = time.monotonic() + SECONDS
    while reader.error is None:
        assert time.monotonic() < deadline
        reader.poll(0.2)
    assert TOPIC in reader.error
    reader.close()
    assert balances(ledger) == []
    ledger.dispose()


def test_settings_of_librdkafka_are_passed_through(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured_stream() is None
    monkeypatch.setenv("STREAM__BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("STREAM__GROUP_ID", "mine")
    monkeypatch.setenv("STREAM__OPTIONS__SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("STREAM__OPTIONS__SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("STREAM__OPTIONS__ENABLE_AUTO_COMMIT", "true")
    found = configured_stream()
    assert found is not None
    options = found.consumer_options()
    assert (options["group.id"], options["sasl.password"]) == ("mine", "hunter2")
    assert options["security.protocol"] == "SASL_SSL"
    assert options["enable.auto.commit"] is False, "exactly-once rests on it"
    assert "hunter2" not in repr(found)
