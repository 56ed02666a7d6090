"""Records of raw that expectations refuse are dead letters: found, replayed, judged, closed."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import RowMapping, update
from support.push import assert_balanced
from support.serving import served
from support.template import MakeTemplate, Template
from support.warehouse import Warehouse
from typer.testing import CliRunner

from demo import DemoServer, Store
from ledger.balance import balances
from ledger.dead_letters import MAX_REPLAYS, QUALITY, STATUSES, Letter, LetterFilter, bury, find
from ledger.inbox import waiting_count
from ledger.runs import now
from ledger.settings import Settings
from ledger.tables import dead_letters, inbox
from loaders.dead_letters import replay_letter
from operations.cli import app as cli
from operations.cycle import run_cycle
from operations.monitor.supervisor import Supervisor
from operations.plan import CycleResult, Plan
from operations.progress import Reporter

USERS, BAD = 40, 8
RULE = "crm__users__email_has_its_form"


def user(number: int, email: str, version: int = 1) -> dict[str, Any]:
    return {
        "id": f"u{number}",
        "company_id": "c1",
        "email": email,
        "full_name": "A. Person",
        "role": None,
        "nickname": {"of": [number]},
        "created_at": "2026-03-01T00:00:00Z",
        "updated_at": f"2026-03-01T00:0{version}:00+02:00",
    }


def forty_users() -> Store:
    """Forty users, eight of them with an email that is none: more than the rule allows."""
    store = Store()
    for number in range(USERS):
        email = f"nobody-{number}" if number < BAD else f"u{number}@example.com"
        store.upsert("crm", "users", user(number, email))
    return store


@pytest.fixture
def store(serve: Callable[..., DemoServer]) -> Store:
    """What the source serves."""
    store = forty_users()
    serve(store)
    return store


@pytest.fixture(scope="module")
def judged_once(make_template: MakeTemplate) -> Template:
    """The users have landed and were judged."""

    def judge(settings: Settings) -> None:
        warehouse = Warehouse(settings)
        with served(forty_users()):
            cycle(warehouse)
        warehouse.ledger.dispose()

    return make_template(judge)


@pytest.fixture
def judged(
    judged_once: Template, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """The users have landed and were judged, and are served still."""
    with judged_once.copied(tmp_path / "home") as settings:
        warehouse = Warehouse(settings)
        monkeypatch.setattr("operations.dead_letter_commands.load_settings", lambda: settings)
        yield warehouse
        assert_balanced(warehouse.ledger)
        warehouse.ledger.dispose()


def cycle(warehouse: Warehouse, *sources: str) -> CycleResult:
    plan = Plan("sync", sources=sources or ("crm",))
    result = run_cycle(warehouse.settings, plan, Reporter(silent=True), warehouse.ledger)
    assert result.errors == []
    return result


def letters(warehouse: Warehouse) -> dict[str, RowMapping]:
    """Letters by their record; each record has one."""
    found = find(warehouse.ledger, LetterFilter(statuses=STATUSES))
    by_record = {letter["record_id"]: letter for letter in found}
    assert len(by_record) == len(found)
    return by_record


def command(*arguments: str) -> tuple[int, list[Any]]:
    done = CliRunner().invoke(cli, ["dead-letters", *arguments, "--json"])
    return done.exit_code, json.loads(done.output).popitem()[1]


def test_what_is_refused_is_a_letter_once_and_disturbs_nothing(
    judged: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(2):
        cycle(judged)
        found = letters(judged)
        assert found.keys() == {f"u{number}" for number in range(BAD)}
        assert {letter["status"] for letter in found.values()} == {"open"}
    letter = found["u3"]
    assert (letter["way_in"], letter["source"], letter["entity"]) == (QUALITY, "crm", "users")
    assert letter["error"] == f"users 'u3': {RULE}, value \"nobody-3\""
    record = json.loads(bytes(letter["payload"]))
    times = {"created_at": "2026-03-01T00:00:00+00:00", "updated_at": "2026-02-28T22:01:00+00:00"}
    assert record == user(3, "nobody-3") | times
    assert {balance.way_in for balance in balances(judged.ledger)} == {"pull"}
    _, listed = command("list", "--error", RULE, "--source", "crm")
    assert len(listed) == BAD
    assert "nobody" not in caplog.text
    supervisor = Supervisor(judged.settings, judged.ledger)
    unwell = {check.name for check in supervisor.observe().checks if not check.is_healthy}
    figures = {check.name: check.value for check in supervisor.observe().checks}
    supervisor.close()
    assert unwell == {"quality"}
    assert figures["dead_letters"] == 0


def test_a_replay_that_is_refused_again_opens_its_letter_and_the_fifth_parks_it(
    judged: Warehouse,
) -> None:
    """However old the record is: expectations judge the newest day."""
    judged.execute(
        "update raw.crm__users set _received_at = _received_at - interval '3 days' where id = 'u0'"
    )
    with judged.ledger.begin() as connection:
        connection.execute(update(dead_letters).values(first_seen_at=now() - timedelta(days=3)))
    for replays in range(1, MAX_REPLAYS + 1):
        code, (replayed,) = command("replay", letters(judged)["u0"]["dead_letter_id"])
        expected = ("failed", "open") if replays < MAX_REPLAYS else ("parked", "parked")
        letter = letters(judged)["u0"]
        assert (replayed["result"], letter["status"]) == expected
        assert (code, letter["replays"]) == (1, replays)
        assert RULE in replayed["error"]
        assert_balanced(judged.ledger)
    rows = judged.rows(
        "select count(*), count(distinct _row_hash) from raw.crm__users where id = 'u0'"
    )
    assert rows == [(1 + MAX_REPLAYS, 1)], "it lands again each time, and is the same row"
    assert {letter["status"] for id, letter in letters(judged).items() if id != "u0"} == {"open"}


def test_a_replay_that_the_rules_accept_is_done(
    judged: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    anything = {"raw.crm__users": {"email": ("nobody|@", "valid_email_min_ratio")}}
    monkeypatch.setattr("quality.suites.raw.FORMATS", anything)
    code, replayed = command("replay", "--error", RULE)
    assert (code, {one["result"] for one in replayed}) == (0, {"landed"})
    cycle(judged)
    assert {letter["status"] for letter in letters(judged).values()} == {"replayed"}
    assert judged.count("crm__users") == USERS + BAD


def test_a_letter_closes_when_its_source_mends_the_record(judged: Warehouse, store: Store) -> None:
    for number in range(3):
        store.upsert("crm", "users", user(number, f"u{number}@example.com", version=2))
    cycle(judged)
    by_status = {id: letter["status"] for id, letter in letters(judged).items()}
    assert by_status == {f"u{n}": "closed" if n < 3 else "open" for n in range(BAD)}
    for number in range(3, BAD):
        store.upsert("crm", "users", user(number, f"u{number}@example.com", version=2))
    cycle(judged)
    assert {letter["status"] for letter in letters(judged).values()} == {"closed"}
    store.upsert("crm", "users", user(0, "nobody-0", version=3))
    assert cycle(judged).warnings == []
    assert letters(judged).keys() == {f"u{n}" for n in range(BAD)}, "one of forty is allowed"


def test_letters_close_when_the_rule_holds_and_open_when_it_does_not_again(
    judged: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr("quality.suites.raw.FORMATS", {})
        cycle(judged)
        assert {letter["status"] for letter in letters(judged).values()} == {"closed"}
    cycle(judged)
    assert {letter["status"] for letter in letters(judged).values()} == {"open"}


def test_a_replay_that_still_waits_is_not_judged_by_the_row_before(judged: Warehouse) -> None:
    id = letters(judged)["u0"]["dead_letter_id"]
    assert command("replay", id)[1][0]["result"] == "failed"
    assert replay_letter(judged.ledger, letters(judged)["u0"], by_id=False).error is None
    assert waiting_count(judged.ledger) == 1
    done = CliRunner().invoke(cli, ["check", "--suite", "raw"], env=environment(judged))
    assert done.exit_code == 1, done.output
    assert letters(judged)["u0"]["status"] == "replayed"
    cycle(judged)
    assert letters(judged)["u0"]["status"] == "open"


def test_a_breach_on_the_way_in_is_another_letter_than_what_is_said_of_raw(
    judged: Warehouse,
) -> None:
    """The bytes were refused by an older contract, were replayed, and are refused by a rule."""
    (own,) = find(judged.ledger, LetterFilter(error="'u0'"))
    with judged.ledger.begin() as connection:
        connection.execute(dead_letters.delete().where(dead_letters.c.record_id == "u0"))
        before = Letter("pull", "crm", "users", "an older contract", own["payload"], now())
        bury(connection, [before])
    (found,) = find(judged.ledger, LetterFilter(error="older"))
    assert replay_letter(judged.ledger, found, by_id=False).error is None
    cycle(judged)
    (again,) = find(judged.ledger, LetterFilter(error="'u0'"))
    assert (again["way_in"], again["payload"]) == (QUALITY, own["payload"])
    with judged.ledger.begin() as connection:
        connection.execute(dead_letters.delete().where(dead_letters.c.way_in == "pull"))
        connection.execute(inbox.delete().where(inbox.c.way_in == "pull"))


def test_raw_is_judged_without_a_pull_when_everything_is_built(
    judged: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events may be all there is; a cycle every few seconds judges nothing."""
    asked: list[str] = []
    monkeypatch.setattr("operations.cycle._build", lambda *_, **__: None)
    monkeypatch.setattr("operations.cycle._check_raw", lambda *_: asked.append("raw"))
    for plan, number in (
        (Plan("serve", sources=(), selectors=(), tests=True), 1),
        (Plan("serve", sources=(), selectors=(), tests=False), 0),
        (Plan("serve", sources=(), news=frozenset({"crm__users"}), tests=False), 0),
    ):
        asked.clear()
        run_cycle(judged.settings, plan, Reporter(silent=True), judged.ledger)
        assert len(asked) == number


def environment(warehouse: Warehouse) -> dict[str, str]:
    settings = warehouse.settings
    found = {"WAREHOUSE_HOME": str(settings.home), "WAREHOUSE_TARGET": settings.target}
    if settings.postgres_url is not None:
        url = settings.postgres_url.render_as_string(hide_password=False)
        found["WAREHOUSE_POSTGRES_URL"] = url
    return found


def test_a_version_that_came_since_is_not_hidden_by_a_replay(
    judged: Warehouse, store: Store
) -> None:
    """The same `updated_at`, and mended: landing the letter again would be the newer of both."""
    store.upsert("crm", "users", user(0, "u0@example.com"))
    judged.sync("crm")
    code, (replayed,) = command("replay", letters(judged)["u0"]["dead_letter_id"])
    assert (code, replayed["result"]) == (0, "closed")
    assert letters(judged)["u0"]["status"] == "closed"
    assert waiting_count(judged.ledger) == 0
    assert judged.count("crm__users") == USERS + 1


def test_letters_of_many_failures_are_bounded_and_the_next_follow(
    warehouse: Warehouse, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.dead_letter_commands.load_settings", lambda: warehouse.settings)
    monkeypatch.setattr("loaders.judged_letters.MOST_OPEN", 3)
    for _ in range(2):
        cycle(warehouse)
        assert len(letters(warehouse)) == 3
    command("discard", "--all")
    cycle(warehouse)
    statuses = [letter["status"] for letter in letters(warehouse).values()]
    assert sorted(statuses) == ["discarded"] * 3 + ["open"] * 3
