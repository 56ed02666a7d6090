"""Opens the ledger: settings ─▶ SQLAlchemy engine, migrated to the newest version.

SQLite runs in WAL mode with `synchronous=FULL`: what was committed survives a power cut.
"""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from ledger.errors import TargetError
from ledger.settings import Settings
from ledger.tables import SCHEMA

LOCK_SECONDS = 30.0
"""How long a statement waits for somebody else's lock."""
MIGRATIONS = Path(__file__).parent / "migrations"


def open_ledger(settings: Settings) -> Engine:
    """Engine of the ledger, its tables created or migrated.

    Raises:
        TargetError: the database cannot be reached or opened.
    """
    engine = _create_engine(settings)
    try:
        _migrate(engine)
    except DBAPIError as error:
        place = settings.ledger_url.render_as_string(hide_password=True)
        reason = _with_way_out(str(error.orig).strip().splitlines()[0])
        raise TargetError(f"cannot open the ledger at {place}: {reason}") from error
    return engine


def _with_way_out(reason: str) -> str:
    if not any(damage in reason for damage in ("not a database", "malformed")):
        return reason
    return (
        f"{reason}; put a backup in its place, or move it away: the next run makes a new one, "
        "without the tokens and the events that had not landed"
    )


def _create_engine(settings: Settings) -> Engine:
    url = settings.ledger_url
    if url.get_backend_name() != "sqlite":
        engine = create_engine(url, pool_pre_ping=True)
        event.listen(engine, "connect", _prepare_session)
        return engine
    engine = create_engine(url, connect_args={"timeout": LOCK_SECONDS})
    event.listen(engine, "connect", _set_pragmas)
    return engine.execution_options(schema_translate_map={SCHEMA: None})


def _prepare_session(connection: Any, _record: object) -> None:
    """Days are those of UTC, whatever the server's zone: SQLite knows no other.

    Without a limit a lock that nobody gives back would silence the checks too.
    """
    with connection.cursor() as cursor:
        cursor.execute("set time zone 'UTC'")
        cursor.execute(f"set lock_timeout = {int(LOCK_SECONDS * 1000)}")
    connection.commit()


def _set_pragmas(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"pragma {pragma}")


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    head = ScriptDirectory.from_config(config).get_current_head()
    with engine.connect() as connection:
        if _current_revision(connection) == head:
            return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Two first runs at once would both create the schema.
            connection.execute(text("select pg_advisory_xact_lock(hashtext('ledger migration'))"))
            connection.execute(text(f"create schema if not exists {SCHEMA}"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _current_revision(connection: Connection) -> str | None:
    schema = SCHEMA if connection.dialect.name == "postgresql" else None
    context = MigrationContext.configure(connection, opts={"version_table_schema": schema})
    return context.get_current_revision()
