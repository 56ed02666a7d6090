"""The run lock on both engines: one holder, who is named, and who leaves nothing behind."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.errors import LockedError, TargetError
from ledger.lock import run_lock
from ledger.settings import Settings

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from ledger.lock import run_lock
from ledger.settings import load_settings
with run_lock(load_settings(), "warehouse sync", 0):
    print("held", flush=True)
    time.sleep(float(sys.argv[1]))
"""


@contextmanager
def holder(settings: Settings, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock."""
    values = {"WAREHOUSE_HOME": str(settings.home), "WAREHOUSE_TARGET": settings.target}
    if settings.postgres_url is not None:
        url = settings.postgres_url.render_as_string(hide_password=False)
        values["WAREHOUSE_POSTGRES_URL"] = url
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(seconds)],
        env=os.environ | values,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_holder_is_named_and_a_killed_one_is_gone(settings: Settings) -> None:
    with holder(settings, 60) as process:
        with pytest.raises(LockedError) as caught, run_lock(settings, "run", 0):
            pass
        message = str(caught.value)
        assert f"`warehouse sync` (pid {process.pid} on " in message
        assert "since 20" in message
        assert "--wait SECONDS" in message
        process.kill()
        process.wait()
        with run_lock(settings, "run", 5):
            pass


def test_the_second_waits_for_the_first_to_end(settings: Settings) -> None:
    with holder(settings, 0.5), run_lock(settings, "run", 20):
        pass


def test_waiting_ends(settings: Settings) -> None:
    with holder(settings, 60):
        begin = time.monotonic()
        with pytest.raises(LockedError), run_lock(settings, "run", 0.5):
            pass
        assert 0.4 < time.monotonic() - begin < 5


def test_it_is_released_after_an_error(settings: Settings) -> None:
    with pytest.raises(ValueError, match="x"), run_lock(settings, "run", 0):
        raise ValueError("x")
    with run_lock(settings, "run", 0):
        pass


def test_it_is_free_before_the_server_sees_the_connection_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqlalchemy.Connection.close", lambda _: None)
    for _ in range(2):
        with run_lock(settings, "run", 0):
            pass


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)
def test_another_home_meets_the_lock_of_the_database(settings: Settings, tmp_path: Path) -> None:
    other = replace(settings, home=tmp_path)
    with holder(settings, 60) as process:
        with pytest.raises(LockedError) as caught, run_lock(other, "run", 0):
            pass
        assert f"warehouse sync pid {process.pid}" in str(caught.value)
        process.kill()
        process.wait()
        with run_lock(other, "run", 5):
            pass


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)
def test_a_database_that_is_not_there_is_named_without_password(settings: Settings) -> None:
    assert settings.postgres_url is not None
    url = settings.postgres_url.set(password="hunter2", database="gone")
    gone = replace(settings, postgres_url=url)
    with (
        pytest.raises(TargetError, match="cannot connect to postgresql") as caught,
        run_lock(gone, "run", 0),
    ):
        pass
    assert "hunter2" not in str(caught.value)
    with run_lock(settings, "run", 0):
        pass
