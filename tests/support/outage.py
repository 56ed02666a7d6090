"""A database that is down for a while, and then up again with what it had."""

from collections.abc import Iterator
from contextlib import contextmanager

from ledger.settings import Settings

from .template import cut_connections, execute


@contextmanager
def outage(settings: Settings) -> Iterator[None]:
    """PostgreSQL ends every connection and takes none; a ledger of SQLite has lost its tokens."""
    url = settings.postgres_url
    if url is None:
        execute(settings.ledger_url, "alter table api_tokens rename to lost")
        execute(settings.ledger_url, "alter table access_log rename to lost_too")
        yield
        execute(settings.ledger_url, "alter table lost rename to api_tokens")
        execute(settings.ledger_url, "alter table lost_too rename to access_log")
        return
    server = settings.ledger_url.set(database="postgres")
    name = url.database
    execute(server, f"alter database {name} allow_connections false", cut_connections(name))
    yield
    execute(server, f"alter database {name} allow_connections true")
