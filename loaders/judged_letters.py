"""Records of raw that expectations refuse ─▶ dead letters, to look at, replay or discard.

A record stays in raw whatever is said of it; its letter holds it as JSON, in the shape of its
contract. Checked again with every check of raw: what is refused still stays a letter, what is
refused again after a replay is one again, and a letter closes by itself when raw has another
version of its record, or the rules that refused it hold.

Bounded: an entity has at most `MOST_OPEN` such letters open. When more records are refused, every
key is in `operations.quality_failures`, and as letters are done with, the next ones become letters.
"""

import logging
from collections.abc import Sequence
from itertools import islice

from sqlalchemy import Engine, RowMapping

from ledger.dead_letters import QUALITY, Letter, bury
from ledger.judged_letters import OPEN, close, judged_letters, refuse_again
from ledger.quality import ERROR, RuleOutcome, SuiteResult
from ledger.runs import now
from loaders.columns import tables_of
from loaders.contracts import ALL_ENTITIES, Entity
from loaders.decoding import encode_json
from loaders.raw_records import RawRecord, newest_rows, read_records
from loaders.target import RAW, Target

MOST_OPEN = 1000
SHOWN_VALUE = 100
DONE = ("replayed", "closed")
Refused = dict[str, list[RuleOutcome]]
"""What refuses a row, by `_row_hash`."""

log = logging.getLogger("warehouse")


def keep_letters(target: Target, ledger: Engine, result: SuiteResult) -> None:
    """Bring the letters up to a check of all of raw.

    Raises:
        TargetError: the warehouse cannot be read.
    """
    for entity in ALL_ENTITIES:
        tables = {f"{RAW}.{table.name}" for table in tables_of(entity)}
        outcomes = [outcome for outcome in result.outcomes if outcome.table in tables]
        refused: Refused = {}
        for outcome in outcomes:
            for row_hash in outcome.failing_rows:
                refused.setdefault(row_hash, []).append(outcome)
        is_judged = bool(outcomes) and all(outcome.status != ERROR for outcome in outcomes)
        _keep(target, ledger, entity, refused, is_judged=is_judged)


def close_replaced(target: Target, ledger: Engine, letters: Sequence[RowMapping]) -> set[str]:
    """Close those of the letters whose record is another row of raw by now; gives their ids.

    Landing an older version once more could hide one that came since with the same `updated_at`.

    Raises:
        TargetError: the warehouse cannot be read.
    """
    closed = []
    for entity in ALL_ENTITIES:
        own = [
            letter
            for letter in letters
            if letter["way_in"] == QUALITY
            and (letter["source"], letter["entity"]) == (entity.source, entity.name)
        ]
        newest = newest_rows(target, entity, [letter["record_id"] for letter in own])
        for letter in own:
            row = newest.get(letter["record_id"])
            if row is not None and row.row_hash != letter["event_id"]:
                closed.append(letter["dead_letter_id"])
    with ledger.begin() as connection:
        close(connection, closed)
    return set(closed)


def _keep(
    target: Target, ledger: Engine, entity: Entity, refused: Refused, *, is_judged: bool
) -> None:
    with ledger.connect() as connection:
        letters = judged_letters(connection, entity.source, entity.name)
    if not letters and not refused:
        return
    known = {letter["event_id"]: letter for letter in letters}
    done = _not_refused(target, entity, letters, refused, is_judged=is_judged)
    room = MOST_OPEN - sum(letter["status"] in OPEN for letter in letters) + len(done)
    again = [row for row in refused if row in known and known[row]["status"] in DONE]
    new = islice((row for row in refused if row not in known), max(room, 0))
    made = [_letter(entity, one, refused) for one in read_records(target, entity, [*again, *new])]
    by_id = {letter["dead_letter_id"]: letter for letter in letters}
    fresh = {letter.dead_letter_id: letter for letter in made if letter.dead_letter_id not in by_id}
    with ledger.begin() as connection:
        close(connection, list(done - {letter.dead_letter_id for letter in made}))
        bury(connection, fresh.values())
        for letter in made:
            if letter.dead_letter_id in by_id:
                refuse_again(connection, by_id[letter.dead_letter_id], letter)
    if fresh or done:
        log.info("%s: %d letters opened, %d closed", entity.table, len(fresh), len(done))


def _not_refused(
    target: Target,
    entity: Entity,
    letters: Sequence[RowMapping],
    refused: Refused,
    *,
    is_judged: bool,
) -> set[str]:
    """Open letters whose record is another row by now, or was judged and found good."""
    asked = [one for one in letters if one["status"] in OPEN and one["event_id"] not in refused]
    newest = newest_rows(target, entity, [letter["record_id"] for letter in asked])
    done = set()
    for letter in asked:
        row = newest.get(letter["record_id"])
        if row is None:
            continue
        if row.row_hash != letter["event_id"] or (is_judged and row.is_of_newest_day):
            done.add(letter["dead_letter_id"])
    return done


def _letter(entity: Entity, record: RawRecord, refused: Refused) -> Letter:
    reasons = [_reason(outcome, record) for outcome in refused[record.row_hash]]
    return Letter(
        way_in=QUALITY,
        source=entity.source,
        entity=entity.name,
        event_id=record.row_hash,
        record_id=record.id,
        error=f"{entity.name} {record.id!r}: {'; '.join(reasons)}",
        payload=record.payload,
        position=record.position,
        first_seen_at=now(),
    )


def _reason(outcome: RuleOutcome, record: RawRecord) -> str:
    """The rule, and the value that it refuses where the record itself holds it."""
    if outcome.column not in record.values:
        return outcome.rule
    text = encode_json(record.values[outcome.column])
    return f"{outcome.rule}, value {text if len(text) <= SHOWN_VALUE else text[:SHOWN_VALUE]}"
