"""Alerts: one message a root cause, none while it lasts, one when it is over, none for flapping."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from ledger.alerts import FLAPS, QUIET, raise_alerts, record_delivery, to_deliver
from ledger.engine import open_ledger
from ledger.settings import Settings
from ledger.tables import alerts

AT = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CHANNELS = ("slack-1", "mailto-2")


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Engine]:
    opened = open_ledger(settings)
    yield opened
    opened.dispose()


class History:
    """Says what is raised, minute by minute."""

    def __init__(self, ledger: Engine) -> None:
        self.ledger = ledger
        self.minute = 0
        self.well_since: dict[str, datetime] = {}

    def see(self, *faults: str) -> list[str]:
        at = AT + self.minute * MINUTE
        self.minute += 1
        for cause in list(self.well_since):
            if cause in faults:
                del self.well_since[cause]
        with self.ledger.begin() as connection:
            return raise_alerts(
                connection, dict.fromkeys(faults, "down"), self.well_since, CHANNELS, at
            )

    def heal(self, cause: str) -> list[str]:
        self.well_since.setdefault(cause, AT + self.minute * MINUTE)
        return self.see()


def test_a_problem_is_told_once_and_its_end_once(ledger: Engine) -> None:
    history = History(ledger)
    assert history.see("source:crm") == ["source:crm: down"]
    assert [history.see("source:crm") for _ in range(20)] == [[]] * 20
    assert history.see("source:crm", "disk") == ["disk: down"]
    assert history.see("disk") == ["source:crm: well again"]
    assert history.see() == ["disk: well again"]
    assert [history.see() for _ in range(200)] == [[]] * 200
    with ledger.connect() as connection:
        rows = connection.execute(select(alerts.c.channel, alerts.c.kind)).all()
    assert sorted(rows) == sorted(
        (channel, kind) for channel in CHANNELS for kind in ("problem", "recovery") * 2
    )


def test_what_comes_and_goes_is_told_so_and_then_left_alone(ledger: Engine) -> None:
    history = History(ledger)
    said: list[str] = []
    for _ in range(20):
        said += history.see("stream")
        said += history.heal("stream")
    assert len(said) == 2 * FLAPS + 1
    assert "comes and goes" in said[-1]
    quiet = [history.heal("stream") for _ in range(int(QUIET / MINUTE) + 2)]
    assert [message for one in quiet for message in one] == ["stream: well again"]
    history.minute += 120
    assert history.see("stream") == ["stream: down"]


def test_a_message_that_no_channel_took_is_tried_again_later_and_later(ledger: Engine) -> None:
    history = History(ledger)
    history.see("disk")
    tried = []
    for second in range(0, 3600, 5):
        at = AT + timedelta(seconds=second)
        with ledger.begin() as connection:
            for row in to_deliver(connection, at):
                error = None if row["channel"] == "slack-1" else "refused"
                record_delivery(connection, row["alert_id"], error, at)
                tried.append((row["channel"], second))
    assert [second for name, second in tried if name == "slack-1"] == [0]
    seconds = [second for name, second in tried if name == "mailto-2"]
    assert seconds[:5] == [0, 10, 30, 70, 150]
    assert 8 < len(seconds) < 14


def test_alerts_are_kept_without_a_channel(tmp_path: Path) -> None:
    ledger = open_ledger(Settings(tmp_path))
    with ledger.begin() as connection:
        assert raise_alerts(connection, {"disk": "full"}, {}, [], AT) == ["disk: full"]
        assert to_deliver(connection, AT) == []
    ledger.dispose()
