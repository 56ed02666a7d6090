"""The command line as a user meets it: exit codes, one-line errors, JSON, the run lock."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from demo import DemoServer, generate
from ledger.lock import run_lock
from ledger.settings import Settings
from operations.__main__ import main
from operations.cli import app

README = (Path(__file__).parents[2] / "README.md").read_text()
AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, standard output and standard error."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run the command in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path / "home"))

    def run(*arguments: str, **environment: str) -> Done:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["warehouse", *arguments])
            for name, value in environment.items():
                patch.setenv(name, value)
            capsys.readouterr()
            with pytest.raises(SystemExit) as stopped:
                main()
        return Done(int(stopped.value.code or 0), *capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["sync", "nothing"], {}, r"no source 'nothing'; there are crm, commerce, support"),
        (["sync"], {}, r"source crm: base_url is not set; .* SOURCES__CRM__BASE_URL"),
        (["status"], {"WAREHOUSE_TARGET": "moon"}, r"WAREHOUSE_TARGET is 'moon'; set it to"),
        (["status"], {"WAREHOUSE_TARGET": "prod"}, r"WAREHOUSE_POSTGRES_URL is not set; set it"),
        (["build", "--as-of", "soon"], {}, r"--as-of is 'soon'; give a date"),
        (["build", "--as-of", "9999-12-31"], {}, r"--as-of is '9999-12-31'; .* 2 and 9998"),
        (["health"], {}, r"there is no warehouse at .*; run .* set WAREHOUSE_HOME"),
        (["demo", "--data", "nowhere"], {}, r"no such folder of demo data: .*nowhere"),
    ],
)
def test_a_foreseeable_mistake_is_one_line(
    warehouse: Run, arguments: list[str], environment: dict[str, str], message: str
) -> None:
    done = warehouse(*arguments, **environment)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert re.search(message, lines[0])
    answer = json.loads(warehouse(*arguments, "--json", **environment).stdout)
    assert answer["succeeded"] is False


def test_a_name_that_nothing_has_is_no_run_that_failed(warehouse: Run) -> None:
    for wrong in ("nosuch", "tag:", "source:crm.users", "1+x+"):
        done = warehouse("build", wrong)
        assert done.returncode == 1
        assert done.stderr == f"failed: nothing is called {wrong!r}; see `dbt ls` for the names\n"
    assert json.loads(warehouse("status", "--json").stdout)["runs"] == []


def test_sync_reports_and_fails_in_json(
    warehouse: Run, serve: Callable[..., DemoServer], tmp_path: Path
) -> None:
    server = serve(generate(7, 0.02, AS_OF))
    done = warehouse("sync", "crm", "--json")
    answer: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, answer["errors"]) == (0, [])
    for sync in answer["syncs"]:
        assert sync["received"] == sync["landed"] + sync["duplicate"] + sync["dead"] > 0
    server.faults = "unauthorized"
    done = warehouse("sync", "crm", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert "401: the token was refused" in answer["errors"][0]
    assert server.token not in done.stdout + done.stderr
    status = json.loads(warehouse("status", "--json").stdout)
    assert [run["status"] for run in status["runs"]] == ["failed", "succeeded"]
    with run_lock(Settings(tmp_path / "home"), "somebody", 0):
        done = warehouse("sync", "crm")
    assert done.returncode == 1
    assert f"in use by `somebody` (pid {os.getpid()}" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("show", "3f"), ("discard", "--all"), ("replay", "--all")],
    ids=lambda arguments: arguments[0],
)
def test_letters_wait_for_the_run_that_has_the_file(
    warehouse: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    settings = Settings(tmp_path / "home")
    # The file is open in another process, as while `serve` builds: both locks are held.
    with run_lock(settings, "serve", 0), opened_elsewhere(settings.warehouse_path):
        done = warehouse("dead-letters", *arguments, "--wait", "0.3")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert f"in use by `serve` (pid {os.getpid()}" in line
    assert "give --wait SECONDS" in line


def test_another_program_that_has_the_file_is_named(warehouse: Run, tmp_path: Path) -> None:
    settings = Settings(tmp_path / "home")
    settings.home.mkdir()
    with opened_elsewhere(settings.warehouse_path) as pid:
        done = warehouse("dead-letters", "list")
    assert done.returncode == 1
    assert f"open in another program (pid {pid}); wait for it to end" in done.stderr
    assert "duckdb.org" not in done.stderr


@contextmanager
def opened_elsewhere(path: Path) -> Iterator[int]:
    """Another process has the DuckDB file; gives its pid."""
    path.parent.mkdir(exist_ok=True)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", hold, str(path)], **pipes) as process:
        process.stdout.readline()
        yield process.pid
        process.communicate(b"\n")


def test_the_demo_and_real_data_stay_apart(warehouse: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "warehouse.duckdb").touch()
    refused = warehouse("demo")
    assert (refused.returncode, (home / "warehouse.duckdb").exists()) == (1, True)
    assert "holds real data" in refused.stderr
    (home / "demo").touch()
    refused = warehouse("sync")
    assert "holds the demo's data" in refused.stderr


def test_every_command_is_in_the_readme_and_has_an_example() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        assert f"warehouse {name}" in README, name
        for inner, one in getattr(command, "commands", {name: command}).items():
            assert one.epilog.startswith("Example: "), (name, inner)
    named = set(re.findall(r"`warehouse ([a-z-]+)", README))
    assert named <= set(commands), named - set(commands)


def test_the_command_line_does_not_wait_for_what_few_commands_need() -> None:
    slow = ("dbt", "great_expectations", "streamlit", "metricflow", "pandas", "altair")
    asked = f"import operations.cli, sys; print([m for m in {slow} if m in sys.modules])"
    arguments = [sys.executable, "-c", asked]
    project = Path(__file__).parents[2]
    done = subprocess.run(arguments, cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_the_readme_names_exists() -> None:
    root = Path(__file__).parents[2]
    paths = re.findall(r"`((?:models|macros|tests|loaders|seeds|operations)/[^`<>{}… ]+)`", README)
    assert paths
    for path in paths:
        if "billing" not in path:
            assert (root / path).exists(), path
    for model in re.findall(r"`(?:health|core|sales)\.(\w+)`", README):
        assert list((root / "models").rglob(f"{model}.sql")), model


def test_health_says_what_is_wrong_and_exits_with_it(warehouse: Run) -> None:
    warehouse("status")
    well = warehouse("health", "--json")
    assert (well.returncode, json.loads(well.stdout)["succeeded"]) == (0, True)
    no_room = {"MONITOR__THRESHOLDS__DISK_FREE": "1000000"}
    unwell = warehouse("health", "--json", **no_room)
    assert unwell.returncode == 1
    (wrong,) = (one for one in json.loads(unwell.stdout)["checks"] if not one["is_healthy"])
    assert (wrong["name"], wrong["threshold"]) == ("disk_free", 1000000)
    assert "run `warehouse maintain`" in wrong["advice"]
    shown = warehouse("health", **no_room)
    assert shown.returncode == 1
    assert shown.stdout.startswith("unhealthy: 1 checks")
    assert warehouse("health").stdout.startswith("healthy")
