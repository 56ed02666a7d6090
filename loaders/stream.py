"""The user event topic: messages ─▶ contracts ─▶ raw, with the offsets to read on from.

Offsets live in raw, in the load of their messages (`raw.stream_offsets`), so both are durable
together; what the broker keeps for the group only helps to watch the lag. A partition is read from
where raw says, whoever read it before, and a message below that place is a repeat. Messages are
taken without the run lock and landed with it.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pyarrow as pa
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from sqlalchemy import Engine

from ledger.errors import SettingsError
from ledger.runs import SyncCounts, finish_sync, now, reason_of, start_sync, status_of
from ledger.settings import Settings
from ledger.stream import Position, record_positions
from loaders.arrow import TableBuilder, arrow_schema, dead_letter_table
from loaders.columns import DEAD_LETTERS, STREAM_OFFSETS
from loaders.contracts import USER_EVENTS
from loaders.decoding import RecordDecoder, row_hash
from loaders.knowledge import COMPLETE
from loaders.landing import Landing
from loaders.stream_settings import StreamSettings
from loaders.target import RAW, Target

PIPELINE = "stream"
TIMEOUT_SECONDS = 10.0
LEAVE_SECONDS = 0.1
log = logging.getLogger("warehouse")
Place = tuple[str, int]
"""Topic and partition."""


@dataclass
class LandedStream:
    """What one landing did."""

    counts: SyncCounts = field(default_factory=SyncCounts)
    tables: set[str] = field(default_factory=set)


class StreamReader:
    """One member of the consumer group; close it so that others take over at once.

    Raises:
        SettingsError: librdkafka does not know an option, or its value.
    """

    def __init__(self, settings: Settings, ledger: Engine, stream: StreamSettings) -> None:
        self._stream = stream
        self._ledger = ledger
        self._target = Target(settings)
        self._landing = Landing(settings, self._target, PIPELINE)
        self._decoder = RecordDecoder(USER_EVENTS)
        self._builder = TableBuilder(USER_EVENTS)
        self._messages: list[Message] = []
        self._unplaced: list[TopicPartition] = []
        self._restarted: set[Place] = set()
        self._is_closed = False
        self.error: str | None = None
        """What the broker complains about; None when all is well."""
        try:
            self._consumer = Consumer(stream.consumer_options() | {"error_cb": self._complain})
        except KafkaException as error:
            reason = error.args[0].str()
            raise SettingsError(f"stream: {reason}; correct [stream.options] in .dlt/") from error
        self._consumer.subscribe(
            [stream.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    def _complain(self, error: Any) -> None:
        complaint = f"stream {self._stream.topic}: {error.str()}"
        if complaint != self.error:
            log.warning("%s", complaint)
        self.error = complaint

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.assign(partitions)
        consumer.pause(partitions)
        self._unplaced = partitions

    def _revoked(self, _: Consumer, __: list[TopicPartition]) -> None:
        self._messages.clear()
        self._unplaced.clear()

    def poll(self, seconds: float) -> bool:
        """Take messages for up to `seconds`; True when there is something to land or to place.

        What the broker refuses is in `error`: neither pulls nor webhooks wait for it.
        """
        room = self._stream.batch_messages - len(self._messages)
        if room > 0:
            try:
                taken = self._consumer.consume(room, seconds)
            except KafkaException as error:
                self._complain(error.args[0])
                return bool(self._messages)
            problems = [problem for message in taken if (problem := message.error()) is not None]
            for problem in problems:
                self._complain(problem)
            if problems:
                taken = [message for message in taken if message.error() is None]
            self._messages += taken
            if self._messages:
                self.error = None
        return bool(self._messages or self._unplaced)

    @property
    def is_placed(self) -> bool:
        """Whether messages come: partitions are assigned, and none waits for its place."""
        return not self._unplaced

    @property
    def is_full(self) -> bool:
        """Whether a whole batch waits to be landed."""
        return len(self._messages) >= self._stream.batch_messages

    def land(self, run_id: str) -> LandedStream:
        """Land what was taken; call it with the run lock held.

        Raises:
            TargetError: the warehouse cannot be written; the messages are read again.
        """
        result = LandedStream()
        offsets = self._stored_offsets()
        if self._unplaced:
            self._place(offsets)
        if not self._messages:
            return result
        start_sync(self._ledger, run_id, USER_EVENTS.source, USER_EVENTS.name, "stream")
        error: str | None = "the landing was interrupted"
        try:
            with self._target.held():
                self._land(self._messages, offsets, run_id, result)
            error = None
        except BaseException as failure:
            error, result.counts = reason_of(failure), SyncCounts()
            self._read_again()
            raise
        finally:
            key = (run_id, USER_EVENTS.source, USER_EVENTS.name)
            finish_sync(self._ledger, key, status_of(error), result.counts, error=error)
        self._restarted.clear()
        self._messages = []
        self._commit()
        return result

    def _place(self, offsets: dict[Place, int]) -> None:
        """Start each partition where raw says; at its begin if the topic was made anew.

        What was taken before is read again: it may lie beyond messages that are not landed.
        """
        self._messages = []
        restarted = set[Place]()
        for partition in self._unplaced:
            place = (partition.topic, partition.partition)
            try:
                low, high = self._consumer.get_watermark_offsets(partition, TIMEOUT_SECONDS)
            except KafkaException as error:  # The broker is lost: the next cycle asks again.
                self._complain(error.args[0])
                return
            stored = offsets.get(place)
            if stored is not None and stored > high:
                restarted.add(place)
                stored = None
            partition.offset = OFFSET_BEGINNING if stored is None else max(stored, low)
        self._restarted |= restarted
        self._consumer.assign(self._unplaced)
        self._consumer.resume(self._unplaced)
        self._unplaced = []

    def _read_again(self) -> None:
        """What did not land is asked for once more, from where raw says."""
        self._unplaced = self._consumer.assignment()

    def _land(
        self,
        messages: Sequence[Message],
        offsets: dict[Place, int],
        run_id: str,
        result: LandedStream,
    ) -> None:
        begins = {place: at for place, at in offsets.items() if place not in self._restarted}
        fresh, nexts = list[Message](), dict[Place, int]()
        for message in messages:
            place, offset = _place(message), cast(int, message.offset())
            if offset >= nexts.get(place, begins.get(place, 0)):
                fresh.append(message)
                nexts[place] = offset + 1
        counts = result.counts
        tables, counts.dead = self._tables(fresh)
        counts.received = len(messages)
        counts.duplicate = len(messages) - len(fresh)
        counts.landed = len(fresh) - counts.dead
        if not fresh:
            return
        load_id = self._landing.land(self._with_offsets(tables, nexts, run_id))
        self._landing.check(load_id, {name: table.num_rows for name, table in tables.items()})
        result.tables |= set(tables)
        self._record(nexts)

    def _tables(self, messages: Sequence[Message]) -> tuple[dict[str, pa.Table], int]:
        """Tables by name, and how many messages broke the contract."""
        received_at = now()
        # An empty message breaks its contract.
        raws = [message.value() or b"" for message in messages]
        page = self._decoder.decode_apart(raws, [row_hash(raw) for raw in raws])
        kept = [messages[place] for place in page.places]
        position: dict[str, Sequence[Any]] = {
            "_topic": [message.topic() for message in kept],
            "_partition": [message.partition() for message in kept],
            "_offset": [message.offset() for message in kept],
        }
        tables = self._builder.build(page, received_at, position=position)
        if page.dead:
            positions = [_position(messages[letter.place]) for letter in page.dead]
            tables[DEAD_LETTERS.name] = dead_letter_table(
                USER_EVENTS, page.dead, received_at, positions
            )
        return tables, len(page.dead)

    def _with_offsets(
        self, tables: dict[str, pa.Table], nexts: dict[Place, int], run_id: str
    ) -> Iterator[tuple[str, pa.Table]]:
        yield from tables.items()
        at = now()
        rows = [
            {
                "topic": topic,
                "partition": partition,
                "next_offset": offset,
                "run_id": run_id,
                "_received_at": at,
            }
            for (topic, partition), offset in nexts.items()
        ]
        yield STREAM_OFFSETS.name, pa.Table.from_pylist(rows, schema=arrow_schema(STREAM_OFFSETS))

    def _stored_offsets(self) -> dict[Place, int]:
        rows = self._target.fetch(
            "select topic, partition, next_offset from (select topic, partition, next_offset,"
            " row_number() over (partition by topic, partition"
            " order by _received_at desc, _dlt_load_id desc) as offset_rank"
            f" from {RAW}.{STREAM_OFFSETS.name} where {COMPLETE}) as ranked where offset_rank = 1"
        )
        return {(topic, int(partition)): int(offset) for topic, partition, offset in rows}

    def _record(self, nexts: dict[Place, int]) -> None:
        positions = []
        for (topic, partition), offset in nexts.items():
            at = TopicPartition(topic, partition)
            _, high = self._consumer.get_watermark_offsets(at, TIMEOUT_SECONDS, cached=True)
            positions.append(Position(topic, partition, offset, max(high, offset)))
        record_positions(self._ledger, positions)

    def _commit(self) -> None:
        """Tell the broker how far the group is: for those who watch it; nothing depends on it."""
        try:
            self._consumer.commit(asynchronous=True)
        except KafkaException as error:
            self._complain(error.args[0])

    def close(self) -> None:
        """Leave the group; what was not landed is read by whoever is next.

        Partitions are given back before the consumer closes: if it is asked to give them back while
        it does, librdkafka may wait for ever (confluentinc/librdkafka#4884).
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._consumer.unsubscribe()
        deadline, is_left = time.monotonic() + TIMEOUT_SECONDS, False
        while not is_left and time.monotonic() < deadline:
            self._messages.clear()
            self.poll(LEAVE_SECONDS)
            is_left = not self._consumer.assignment()
        self._consumer.close()


def _place(message: Message) -> Place:
    """Where it lay: a message without an error lay somewhere."""
    return cast(Place, (message.topic(), message.partition()))


def _position(message: Message) -> str:
    """Its place and offset, as JSON text."""
    topic, partition = _place(message)
    where = {"topic": topic, "partition": partition, "offset": message.offset()}
    return msgspec.json.encode(where).decode()
