"""The options of PostgreSQL's address count for every connection: none goes on without TLS."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dlt
import pytest
from sqlalchemy import URL

from ledger.engine import open_ledger
from ledger.errors import TargetError
from ledger.lock import run_lock
from ledger.settings import Settings
from loaders.target import Target
from operations.dbt_runner import _environment, invoke
from quality.session import Session
from serving.reader import connect_published

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
OPTIONS = {"sslmode": "verify-full", "sslrootcert": "/no/such/ca.pem", "connect_timeout": "7"}


@contextmanager
def plain_server() -> Iterator[tuple[int, list[int]]]:
    """A server without TLS; gives its port, and the codes of the first messages that it gets."""
    seen: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    while message := connection.recv(8):
                        (code,) = struct.unpack("!4xI", message)
                        seen.append(code)
                        if code not in (SSL_REQUEST, GSS_REQUEST):
                            break
                        connection.sendall(b"N")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1], seen
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def ledger(settings: Settings) -> None:
    open_ledger(settings)


def lock(settings: Settings) -> None:
    with run_lock(settings, "run", 0):
        pass


def fetch(settings: Settings) -> None:
    Target(settings).fetch("select 1")


def execute(settings: Settings) -> None:
    Target(settings).execute("select 1")


def stream(settings: Settings) -> None:
    list(Target(settings).stream("select 1"))


def published(settings: Settings) -> None:
    connect_published(settings)


def quality(settings: Settings) -> None:
    with Session(settings).opened():
        pass


def loading(settings: Settings) -> None:
    place = str(settings.pipelines_dir)
    destination = Target(settings).destination()
    pipeline = dlt.pipeline("probe", place, destination=destination, dataset_name="raw")
    with pipeline.sql_client():
        pass


def modelling(settings: Settings) -> None:
    outcome = invoke(settings, ["show", "--inline", "select 1"])
    raise TargetError(str(outcome.exception))


@pytest.mark.parametrize(
    "connect",
    [ledger, lock, fetch, execute, stream, published, quality, loading, modelling],
    ids=lambda connect: str(connect.__name__),
)
def test_nothing_is_said_to_a_server_without_tls(
    connect: Callable[[Settings], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OPTIONS:
        monkeypatch.setenv(f"WAREHOUSE_POSTGRES_{name.upper()}", "1")
    with plain_server() as (port, seen):
        url = URL.create("postgresql", "me", "hunter2", "127.0.0.1", port, "w", OPTIONS)
        with pytest.raises(Exception, match="does not support SSL") as caught:
            connect(Settings(tmp_path, "prod", url))
    assert set(seen) <= {SSL_REQUEST, GSS_REQUEST}
    assert "hunter2" not in str(caught.value)


def test_libpq_is_told_what_the_profile_cannot_say(tmp_path: Path) -> None:
    url = URL.create("postgresql", "me", "hunter2", "db", 5432, "w", {"channel_binding": "require"})
    environment = _environment(Settings(tmp_path, "prod", url))
    assert environment["PGCHANNELBINDING"] == "require"
    assert "WAREHOUSE_POSTGRES_SSLMODE" not in environment
