"""Settings: environment ─▶ one frozen object that every part reads.

`WAREHOUSE_HOME` (default `.warehouse`), `WAREHOUSE_TARGET` (`local`: DuckDB and SQLite below the
home; `prod`: one PostgreSQL for both) and `WAREHOUSE_POSTGRES_URL`. Settings of the sources are
dlt's business: see `loaders/sources`.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ledger.errors import SettingsError

TargetName = Literal["local", "prod"]


@dataclass(frozen=True)
class Settings:
    """Where things are. `postgres_url` is set when, and only when, the target is `prod`."""

    home: Path
    target: TargetName = "local"
    postgres_url: URL | None = None

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file of the local target."""
        return self.home / "warehouse.duckdb"

    @property
    def published_path(self) -> Path:
        """What readers of the local target open: a link to the newest audited copy of the marts."""
        return self.home / "published.duckdb"

    def working_schema(self, name: str) -> str:
        """Where dbt builds the marts of a schema (`core`, `health`, `sales`).

        On PostgreSQL readers see only what was audited, in `core`; the build is in `working_core`.
        On DuckDB both have the same name, and lie in different files.
        """
        return name if self.postgres_url is None else f"working_{name}"

    @property
    def pipelines_dir(self) -> Path:
        """dlt's working directory; it may be lost at any time without losing a record."""
        return self.home / "pipelines"

    @property
    def ledger_url(self) -> URL:
        """SQLAlchemy address of the ledger."""
        if self.postgres_url is not None:
            return self.postgres_url.set(drivername="postgresql+psycopg2")
        return URL.create("sqlite", database=str(self.home / "ledger.sqlite"))

    def postgres_parameters(self) -> dict[str, Any]:
        """host, port, user, password and dbname; the host may be a socket directory."""
        url = self.postgres_url
        assert url is not None
        return {
            "host": url.host or str(url.query.get("host") or "localhost"),
            "port": url.port or 5432,
            "user": url.username or "postgres",
            "password": url.password or "",
            "dbname": url.database,
        }

    @property
    def engine_name(self) -> str:
        """`duckdb` or `postgres`."""
        return "duckdb" if self.postgres_url is None else "postgres"


def load_settings() -> Settings:
    """Read the environment; creates the home directory.

    Raises:
        SettingsError: unknown target, missing or unreadable address, home not writable.
    """
    home = Path(os.environ.get("WAREHOUSE_HOME") or ".warehouse").absolute()
    target = os.environ.get("WAREHOUSE_TARGET") or "local"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"WAREHOUSE_HOME: cannot create {home} ({error.strerror}); name a writable directory"
        ) from error
    if target == "local":
        return Settings(home)
    if target != "prod":
        raise SettingsError(f"WAREHOUSE_TARGET is {target!r}; set it to `local` or `prod`")
    return Settings(home, "prod", _postgres_url())


def _postgres_url() -> URL:
    text = os.environ.get("WAREHOUSE_POSTGRES_URL")
    if not text:
        raise SettingsError(
            "WAREHOUSE_TARGET is `prod` but WAREHOUSE_POSTGRES_URL is not set; "
            "set it to postgresql://user:password@host:5432/database"
        )
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise SettingsError(
            "WAREHOUSE_POSTGRES_URL cannot be read as an address; "
            "expected postgresql://user:password@host:5432/database"
        ) from error
    if url.get_backend_name() not in ("postgresql", "postgres") or not url.database:
        raise SettingsError(
            f"WAREHOUSE_POSTGRES_URL names {url.get_backend_name()!r} database {url.database!r}; "
            "expected postgresql://user:password@host:5432/database"
        )
    return url
