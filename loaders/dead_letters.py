"""Dead letters between raw and the ledger: registered there after a load, replayed from there.

Letters about records in raw come from `judged_letters.py`, and are replayed from here as well.
"""

import base64

from msgspec.structs import replace
from sqlalchemy import Engine, RowMapping

from ledger.dead_letters import QUALITY, Letter, register
from ledger.inbox import Event
from ledger.judged_letters import replay_event_id
from ledger.replay import Replayed, replay
from ledger.runs import now
from loaders.contracts import USER_EVENTS
from loaders.decoding import RecordDecoder, row_hash
from loaders.inbox_landing import BY_NAME
from loaders.knowledge import COMPLETE
from loaders.target import RAW, Target
from loaders.webhooks import EventReader, MalformedEvent, WebhookSource

COLUMNS = "source, entity, record_id, error, payload, payload_encoding, position, first_seen_at"


def register_landed(target: Target, ledger: Engine) -> int:
    """Give the ledger the letters that pulls and the stream landed in raw; gives how many are new.

    It compares all of them, so a process that dies in between costs nothing.
    """
    letters = []
    query = f"select {COLUMNS} from {RAW}.dead_letters where {COMPLETE} order by first_seen_at"
    for source, entity, record_id, error, payload, encoding, position, at in target.fetch(query):
        letters.append(
            Letter(
                way_in="stream" if source == USER_EVENTS.source else "pull",
                source=source,
                entity=entity,
                record_id=record_id,
                error=error,
                payload=base64.b64decode(payload) if encoding == "base64" else payload.encode(),
                position=position,
                first_seen_at=at,
            )
        )
    return register(ledger, letters)


def breach_of(letter: RowMapping) -> str | None:
    """Why a letter would fail its replay; None if it would land."""
    return _event(letter).error


def replay_letter(ledger: Engine, letter: RowMapping, *, by_id: bool) -> Replayed:
    """Validate a letter's bytes again and let them wait to be landed."""
    return replay(ledger, letter["dead_letter_id"], _event(letter), by_id=by_id)


def _event(letter: RowMapping) -> Event:
    body = bytes(letter["payload"])
    event = Event(
        way_in=letter["way_in"],
        source=letter["source"],
        event_id=letter["event_id"] or f"dead-letter:{letter['dead_letter_id']}",
        event_type="record" if letter["event_type"] is None else letter["event_type"],
        body=body,
        body_hash=row_hash(body),
        received_at=letter["first_seen_at"],
        entity=letter["entity"],
        position=letter["position"],
    )
    if letter["way_in"] == QUALITY:
        # The same row, received anew: expectations judge the newest day of rows.
        again = {"event_id": replay_event_id(letter), "body_hash": letter["event_id"]}
        event = replace(event, **again, received_at=now())
    if letter["way_in"] == "webhook":
        return _webhook_event(event)
    entity = BY_NAME.get((letter["source"], letter["entity"]))
    if entity is None:
        return replace(event, error=f"no contract is called {letter['entity']!r} any more")
    page = RecordDecoder(entity).decode_apart([body], [""])
    return replace(event, error=page.dead[0].error if page.dead else None)


def _webhook_event(event: Event) -> Event:
    """The event as the present contracts read it."""
    reader = EventReader(WebhookSource(event.source, ()))
    headers = {"webhook-id": event.event_id, "x-github-event": event.event_type}
    try:
        return reader.read(headers, event.body, event.received_at)
    except MalformedEvent as error:
        return replace(event, error=str(error))
