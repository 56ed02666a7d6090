"""Ctrl-C and SIGTERM: one line, an exit code as a shell gives it, and no failure in the ledger."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import pytest

from ledger.engine import open_ledger
from ledger.runs import ENDED_BY_HAND, recent_runs, syncs
from ledger.settings import Settings
from operations import interrupts
from operations.cycle import run_cycle
from operations.dbt_runner import NodeDone
from operations.plan import Plan
from operations.progress import Reporter

PATIENCE_SECONDS = 60


@pytest.mark.parametrize(
    ("number", "options", "code"), [(signal.SIGINT, (), 130), (signal.SIGTERM, ("--json",), 143)]
)
def test_a_command_that_is_ended_says_so(
    tmp_path: Path, number: int, options: tuple[str, ...], code: int
) -> None:
    """While it waits for an API that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as api:
        api.settimeout(PATIENCE_SECONDS)
        environment = {
            "WAREHOUSE_HOME": str(tmp_path),
            "SOURCES__CRM__BASE_URL": f"http://127.0.0.1:{api.getsockname()[1]}",
            "SOURCES__CRM__API_TOKEN": "secret",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "operations", "sync", "crm", *options],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        asked, _ = api.accept()
        with asked:
            process.send_signal(number)
            output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code
    assert "Traceback" not in errors
    if options:
        assert json.loads(output) == {"succeeded": False, "errors": [interrupts.MESSAGE]}
    else:
        assert errors.splitlines()[-1] == f"failed: {interrupts.MESSAGE}"
    ledger = open_ledger(Settings(tmp_path))
    pulls = [row for row in syncs(ledger) if row["source"] == "crm"]
    ended = {(row["status"], row["error"]) for row in (*recent_runs(ledger), *pulls)}
    assert (len(pulls), ended) == (3, {("interrupted", ENDED_BY_HAND)})


class Interrupting(Reporter):
    """Presses Ctrl-C when the first node is done."""

    @contextmanager
    def building(self) -> Iterator[NodeDone]:
        """Give what is called with each node."""
        pressed = Lock()

        def press_once(*_: object) -> None:
            if pressed.acquire(blocking=False):
                os.kill(os.getpid(), signal.SIGINT)

        yield press_once


def test_a_build_that_is_interrupted_has_not_failed(built_settings: Settings) -> None:
    ledger = open_ledger(built_settings)
    plan = Plan("build", selectors=["staging", "intermediate"])
    with pytest.raises(KeyboardInterrupt):
        run_cycle(built_settings, plan, Interrupting(silent=True))
    assert recent_runs(ledger)[0]["status"] == "interrupted"
    result = run_cycle(built_settings, plan, Reporter(silent=True))
    assert (result.errors, recent_runs(ledger)[0]["status"]) == ([], "succeeded")


def test_what_dbt_makes_of_an_interrupt_is_an_interrupt(
    built_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It catches it, and may stumble over what was not done."""
    monkeypatch.setattr(interrupts, "received", [int(signal.SIGTERM)])
    with pytest.raises(KeyboardInterrupt):
        run_cycle(
            built_settings, Plan("build", selectors=["stg_crm__users"]), Reporter(silent=True)
        )
