"""`warehouse dead-letters`: find what was refused, look at it, replay it or discard it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from ledger.dead_letters import STATUSES, LetterFilter, discard, find, find_by_prefix
from ledger.engine import open_ledger
from ledger.errors import SettingsError, TargetError
from ledger.judged_letters import statuses
from ledger.lock import run_lock
from ledger.publications import current_publication
from ledger.replay import Replay, Replayed
from ledger.settings import Settings, load_settings
from loaders.dead_letters import breach_of, register_landed, replay_letter
from loaders.judged_letters import close_replaced
from loaders.target import Target
from operations import summary
from operations.cycle import run_cycle
from operations.options import JsonOption, WaitOption, moment
from operations.plan import Plan
from operations.progress import Reporter

app = typer.Typer(
    no_args_is_help=True, help="Records and events that were refused, and kept with their bytes."
)

SHOWN = 50
REFUSED = {"open": Replay.FAILED, "parked": Replay.PARKED}
ID_LENGTH = 12
WAIT_SECONDS = 60.0

IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Letters by id or its beginning.")
]
SourceOption = Annotated[str | None, typer.Option(help="Only of this source.")]
EntityOption = Annotated[str | None, typer.Option(help="Only of this entity.")]
ErrorOption = Annotated[str | None, typer.Option(help="Only where the error holds this text.")]
SinceOption = Annotated[
    str | None, typer.Option(metavar="ISO", help="Only what was first seen since this moment.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, only.")]
AllOption = Annotated[bool, typer.Option("--all", help="Every open letter.")]


@app.command("list", epilog="Example: warehouse dead-letters list --source crm --error domain")
def list_letters(
    source: SourceOption = None,
    entity: EntityOption = None,
    error: ErrorOption = None,
    since: SinceOption = None,
    status: Annotated[str, typer.Option(help=f"One of {', '.join(STATUSES)}, or all.")] = "open",
    wait: WaitOption = WAIT_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """List letters, oldest first."""
    if status not in (*STATUSES, "all"):
        raise SettingsError(f"--status is {status!r}; expected {', '.join(STATUSES)} or all")
    statuses = STATUSES if status == "all" else (status,)
    wanted = LetterFilter(source, entity, error, moment("--since", since), statuses)
    letters = [_as_json(letter) for letter in _found(load_settings(), wanted, [], wait)]
    if as_json:
        typer.echo(json.dumps({"dead_letters": letters}))
        return
    _print_letters(letters)


@app.command(epilog="Example: warehouse dead-letters show 3f9a1c")
def show(
    id: Annotated[str, typer.Argument(help="Id of the letter, or its beginning.")],
    wait: WaitOption = WAIT_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Show one letter with its bytes."""
    (letter,) = _found(load_settings(), LetterFilter(), [id], wait)
    values = _as_json(letter) | {"payload": bytes(letter["payload"]).decode("utf-8", "replace")}
    if as_json:
        typer.echo(json.dumps(values))
        return
    for name, value in values.items():
        typer.echo(f"{name:>17}  {'-' if value is None else value}")


@app.command(epilog="Example: warehouse dead-letters replay --source crm --entity companies")
def replay(
    ids: IdsArgument = None,
    source: SourceOption = None,
    entity: EntityOption = None,
    error: ErrorOption = None,
    since: SinceOption = None,
    every: AllOption = False,
    dry_run: DryRunOption = False,
    wait: WaitOption = WAIT_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Validate letters again, land those that pass, and build what is downstream of them."""
    settings = load_settings()
    wanted = LetterFilter(source, entity, error, moment("--since", since))
    letters = _chosen(settings, wanted, ids or [], wait, every=every)
    results = (
        [_foreseen(letter) for letter in letters]
        if dry_run
        else _replayed(settings, letters, wait, by_id=bool(ids))
    )
    if any(result["result"] == Replay.WAITING for result in results):
        _land(settings, results, wait)
    if as_json:
        typer.echo(json.dumps({"replayed": results}))
    else:
        _print_replayed(results)
    if any(result["error"] for result in results):
        raise typer.Exit(1)


@app.command("discard", epilog="Example: warehouse dead-letters discard 3f9a1c")
def discard_letters(
    ids: IdsArgument = None,
    source: SourceOption = None,
    entity: EntityOption = None,
    error: ErrorOption = None,
    since: SinceOption = None,
    every: AllOption = False,
    dry_run: DryRunOption = False,
    wait: WaitOption = WAIT_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Say that letters need no replay; they are kept, and can still be replayed by id."""
    settings = load_settings()
    wanted = LetterFilter(source, entity, error, moment("--since", since))
    letters = _chosen(settings, wanted, ids or [], wait, every=every)
    number = len(letters)
    if not dry_run:
        ledger = open_ledger(settings)
        number = discard(ledger, [letter["dead_letter_id"] for letter in letters])
        ledger.dispose()
    if as_json:
        typer.echo(json.dumps({"discarded": number, "dry_run": dry_run}))
    else:
        typer.echo(f"{number:,} letters {'would be ' if dry_run else ''}discarded")


def _foreseen(letter: Any) -> dict[str, Any]:
    breach = breach_of(letter)
    return _as_json(letter) | {"result": "would fail" if breach else "would land", "error": breach}


def _replayed(
    settings: Settings, letters: list[Any], wait: float, *, by_id: bool
) -> list[dict[str, Any]]:
    ledger = open_ledger(settings)
    results = []
    with _at_rest(settings, wait):
        replaced = close_replaced(Target(settings), ledger, letters)
    for letter in letters:
        replayed = (
            Replayed(letter["dead_letter_id"], Replay.CLOSED)
            if letter["dead_letter_id"] in replaced
            else replay_letter(ledger, letter, by_id=by_id)
        )
        outcome = {"result": replayed.result, "error": replayed.error}
        results.append(_as_json(letter) | outcome)
    ledger.dispose()
    return results


def _land(settings: Settings, results: list[dict[str, Any]], wait: float) -> None:
    """Land what was replayed at once, and say what became of it.

    A letter that is not replayed any more was refused by its contract or by an expectation on raw.
    What is downstream of the letters is built; everything, where nothing was ever published.
    """
    plan = Plan("dead-letters replay", sources=(), selectors=(), tests=False, wait_seconds=wait)
    ledger = open_ledger(settings)
    try:
        if current_publication(ledger) is not None:
            plan = replace(plan, news=frozenset())
        outcome = run_cycle(settings, plan, Reporter(silent=True), ledger)
        if outcome.errors:
            raise TargetError("; ".join(outcome.errors))
        with ledger.connect() as connection:
            after = statuses(connection, [result["dead_letter_id"] for result in results])
    finally:
        ledger.dispose()
    for result in results:
        if result["result"] == Replay.WAITING:
            letter = after[result["dead_letter_id"]]
            result["result"] = REFUSED.get(letter["status"], "landed")
            result["error"] = letter["error"] if letter["status"] in REFUSED else None


def _chosen(
    settings: Settings, wanted: LetterFilter, ids: list[str], wait: float, *, every: bool
) -> list[Any]:
    filters = (wanted.source, wanted.entity, wanted.error, wanted.since)
    if not ids and not every and not any(filters):
        raise SettingsError("which letters? give ids, a filter such as --source, or --all")
    return _found(settings, wanted, ids, wait)


def _found(settings: Settings, wanted: LetterFilter, ids: list[str], wait: float) -> list[Any]:
    ledger = open_ledger(settings)
    try:
        with _at_rest(settings, wait):
            register_landed(Target(settings), ledger)
        if not ids:
            return find(ledger, wanted)
        letters = []
        for id in ids:
            found = find_by_prefix(ledger, id)
            if len(found) != 1:
                kind = "no letter has" if not found else "more than one letter has"
                raise SettingsError(f"{kind} an id that begins with {id!r}; see dead-letters list")
            letters += found
        return letters
    finally:
        ledger.dispose()


@contextmanager
def _at_rest(settings: Settings, wait: float) -> Iterator[None]:
    """Raw while no run writes it: a DuckDB file has one process at a time, readers included."""
    if settings.postgres_url is not None:
        yield
        return
    with run_lock(settings, "dead-letters", wait):
        yield


def _as_json(letter: Any) -> dict[str, Any]:
    values = {name: value for name, value in dict(letter).items() if name != "payload"}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _print_letters(letters: list[dict[str, Any]]) -> None:
    console = summary.open_console()
    if not letters:
        console.print("no letters")
        return
    table = Table()
    for name in ("id", "way in", "source", "entity", "first seen (UTC)", "status", "error"):
        table.add_column(name)
    for letter in letters[:SHOWN]:
        table.add_row(
            letter["dead_letter_id"][:ID_LENGTH],
            letter["way_in"],
            letter["source"],
            letter["entity"] or letter["event_type"] or "-",
            letter["first_seen_at"][:16].replace("T", " "),
            letter["status"],
            letter["error"],
        )
    console.print(table)
    if len(letters) > SHOWN:
        console.print(f"… and {len(letters) - SHOWN:,} more; --json gives all")


def _print_replayed(results: list[dict[str, Any]]) -> None:
    for result in results:
        error = f": {result['error']}" if result["error"] else ""
        typer.echo(f"{result['dead_letter_id'][:ID_LENGTH]} {result['result']}{error}")
    typer.echo(f"{len(results):,} letters")
