"""Keeps made-up data and real data apart: a home that the demo has used says so."""

import shutil

from sqlalchemy import create_engine, text

from ledger.engine import open_ledger
from ledger.errors import SettingsError
from ledger.runs import recent_runs
from ledger.settings import Settings

MARKER = "demo"
SCHEMAS = (
    "raw",
    "staging",
    "intermediate",
    "core",
    "health",
    "sales",
    "working_core",
    "working_health",
    "working_sales",
    "operations",
    "ledger",
)


def require_real_home(settings: Settings) -> None:
    """Refuse to mix real data into the demo's.

    Raises:
        SettingsError: the demo has used this home.
    """
    if (settings.home / MARKER).exists():
        raise SettingsError(
            f"{settings.home} holds the demo's data; set WAREHOUSE_HOME to another directory, "
            "or remove this one"
        )


def require_ledger(settings: Settings) -> None:
    """Refuse to judge what is not there: a home whose name is mistyped would look well.

    Raises:
        SettingsError: no command has used this home.
    """
    if settings.postgres_url is None and not settings.ledger_path.exists():
        raise SettingsError(
            f"there is no warehouse at {settings.home}; run `warehouse run`, or set WAREHOUSE_HOME "
            "to where it is"
        )


def prepare_demo_home(settings: Settings) -> None:
    """Empty the demo's home, so that it is safe to run again; real data is never touched.

    Raises:
        SettingsError: the home, or the database, holds data that is not the demo's.
    """
    marker = settings.home / MARKER
    if not marker.exists():
        if settings.warehouse_path.exists() or _has_real_runs(settings):
            raise SettingsError(
                f"{settings.home} or its database holds real data; set WAREHOUSE_HOME to an empty "
                "directory (and WAREHOUSE_POSTGRES_URL to an empty database) for the demo"
            )
    else:
        _empty(settings)
    marker.write_text("This home holds the demo's data. It is emptied by the next demo.\n")


def _has_real_runs(settings: Settings) -> bool:
    ledger = open_ledger(settings)
    try:
        return any(run["command"] != "demo" for run in recent_runs(ledger, 1000))
    finally:
        ledger.dispose()


def _empty(settings: Settings) -> None:
    settings.published_path.unlink(missing_ok=True)
    for name in ("pipelines", "target", "logs", "profiles", "published", "exports"):
        shutil.rmtree(settings.home / name, ignore_errors=True)
    for path in settings.home.glob("warehouse.duckdb*"):
        path.unlink()
    if settings.postgres_url is None:
        for path in settings.home.glob("ledger.sqlite*"):
            path.unlink()
        return
    if _has_real_runs(settings):
        raise SettingsError("the database holds real runs; give the demo an empty one")
    engine = create_engine(settings.ledger_url)
    with engine.begin() as connection:
        for schema in SCHEMAS:
            connection.execute(text(f"drop schema if exists {schema} cascade"))
    engine.dispose()
