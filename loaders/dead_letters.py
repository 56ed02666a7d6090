"""Dead letters between raw and the ledger: registered there after a load, replayed from there."""

import base64

from sqlalchemy import Engine, RowMapping

from ledger.dead_letters import Letter, register
from ledger.inbox import Event
from ledger.replay import Replayed, replay
from loaders.contracts import USER_EVENTS
from loaders.decoding import RecordDecoder, row_hash
from loaders.inbox_landing import BY_NAME
from loaders.knowledge import COMPLETE
from loaders.target import RAW, Target
from loaders.webhooks import EventReader, MalformedEvent, WebhookSource

COLUMNS = (
    "dead_letter_id, source, entity, record_id, error, payload, payload_encoding, position,"
    " first_seen_at"
)


def register_landed(target: Target, ledger: Engine) -> int:
    """Give the ledger the letters that pulls and the stream landed in raw; gives how many are new.

    It compares all of them, so a process that dies in between costs nothing.
    """
    letters = []
    query = f"select {COLUMNS} from {RAW}.dead_letters where {COMPLETE} order by first_seen_at"
    for _, source, entity, record_id, error, payload, encoding, position, at in target.fetch(query):
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


def replay_letter(
    ledger: Engine, letter: RowMapping, *, by_id: bool, dry_run: bool = False
) -> tuple[Replayed | None, str | None]:
    """Validate a letter's bytes again and let them wait; gives the result and what is wrong still.

    In a dry run nothing changes and the result is None.
    """
    event = _event(letter)
    if dry_run:
        return None, event.error
    result = replay(ledger, letter["dead_letter_id"], event, by_id=by_id)
    return result, result.error


def _event(letter: RowMapping) -> Event:
    body = bytes(letter["payload"])
    if letter["way_in"] == "webhook":
        return _webhook_event(letter, body)
    entity = BY_NAME.get((letter["source"], letter["entity"]))
    error = f"no contract is called {letter['entity']!r} any more"
    if entity is not None:
        page = RecordDecoder(entity).decode_apart([body], [""])
        error = page.dead[0].error if page.dead else ""
    return Event(
        way_in=letter["way_in"],
        source=letter["source"],
        event_id=f"dead-letter:{letter['dead_letter_id']}",
        event_type="record",
        body=body,
        body_hash=row_hash(body),
        received_at=letter["first_seen_at"],
        entity=letter["entity"],
        position=letter["position"],
        error=error or None,
    )


def _webhook_event(letter: RowMapping, body: bytes) -> Event:
    reader = EventReader(WebhookSource(letter["source"], ()))
    headers = {
        "webhook-id": letter["event_id"] or "",
        "x-github-event": letter["event_type"] or "",
    }
    try:
        return reader.read(headers, body, letter["first_seen_at"])
    except MalformedEvent as error:
        return Event(
            way_in="webhook",
            source=letter["source"],
            event_id=letter["event_id"],
            event_type=letter["event_type"],
            body=body,
            body_hash=row_hash(body),
            received_at=letter["first_seen_at"],
            error=str(error),
        )
