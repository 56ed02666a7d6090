"""Settings: environment ─▶ one frozen object that every part reads.

`WAREHOUSE_HOME` (default `.warehouse`), `WAREHOUSE_TARGET` (`local`: DuckDB and SQLite below the
home; `prod`: one PostgreSQL for both) and `WAREHOUSE_POSTGRES_URL`. Settings of the sources are
dlt's business: see `loaders/sources`.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.engine import URL

from ledger.errors import SettingsError
from ledger.postgres_url import postgres_parameters, read_postgres_url

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
    def ledger_path(self) -> Path:
        """SQLite file of the ledger, where the target is DuckDB."""
        return self.home / "ledger.sqlite"

    @property
    def ledger_url(self) -> URL:
        """SQLAlchemy address of the ledger."""
        if self.postgres_url is not None:
            return self.postgres_url.set(drivername="postgresql+psycopg2")
        return URL.create("sqlite", database=str(self.ledger_path))

    def postgres_parameters(self) -> dict[str, Any]:
        """What libpq is given: host, port, user, password, dbname, and the URL's options."""
        assert self.postgres_url is not None
        return postgres_parameters(self.postgres_url)

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
    return read_postgres_url(text)
