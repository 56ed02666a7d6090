"""A database that is down for a while, and then up again with what it had."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, create_engine, text

from ledger.settings import Settings


@contextmanager
def outage(settings: Settings) -> Iterator[None]:
    """PostgreSQL ends every connection and takes none; a ledger of SQLite has lost its tokens."""
    url = settings.postgres_url
    if url is None:
        _execute(settings.ledger_url, "alter table api_tokens rename to lost")
        _execute(settings.ledger_url, "alter table access_log rename to lost_too")
        yield
        _execute(settings.ledger_url, "alter table lost rename to api_tokens")
        _execute(settings.ledger_url, "alter table lost_too rename to access_log")
        return
    server = settings.ledger_url.set(database="postgres")
    name = url.database
    end = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    _execute(server, f"alter database {name} allow_connections false", end)
    yield
    _execute(server, f"alter database {name} allow_connections true")


def _execute(url: URL, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
