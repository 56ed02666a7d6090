"""The address of PostgreSQL: text ─▶ a checked URL ─▶ what libpq is given, wherever it is called.

What stands behind the `?` are libpq's own options (`sslmode`, `sslrootcert`, …). They count for
every connection, so an option that one of them could not heed is refused.
"""

import re
from typing import Any
from urllib.parse import parse_qsl

import psycopg2
from psycopg2.extensions import parse_dsn
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ledger.errors import SettingsError

NAME = "WAREHOUSE_POSTGRES_URL"
EXPECTED = "expected postgresql://user:password@host:5432/database"
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
NUMBERS = (
    *("port", "connect_timeout", "tcp_user_timeout"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
)
# Secrets are shown nowhere because they stand nowhere else than where SQLAlchemy hides one.
ELSEWHERE = {
    "user": EXPECTED,
    "password": EXPECTED,
    "dbname": EXPECTED,
    "sslpassword": "dbt cannot be given it: name an sslkey without a passphrase",
}


def read_postgres_url(text: str) -> URL:
    """The address that a text gives.

    Raises:
        SettingsError: it is none, not of PostgreSQL, or has an option that makes no sense.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise SettingsError(f"{NAME} cannot be read as an address; {EXPECTED}") from error
    if url.get_backend_name() not in ("postgresql", "postgres") or not url.database:
        raise SettingsError(
            f"{NAME} names {url.get_backend_name()!r} database {url.database!r}; {EXPECTED}"
        )
    for name in _empty_options(text):
        raise SettingsError(f"{NAME} gives {name} no value; write {name}=… or leave it out")
    for name, value in url.query.items():
        _check_option(name, value)
    return url


def postgres_parameters(url: URL) -> dict[str, Any]:
    """host, port, user, password, dbname, and the options; the host may be a socket directory."""
    parameters: dict[str, Any] = {
        "host": url.host or "localhost",
        "port": url.port or 5432,
        "user": url.username or "postgres",
        "password": url.password or "",
        "dbname": url.database,
    }
    parameters |= url.query
    return parameters | {"port": int(parameters["port"])}


def _check_option(name: str, value: str | tuple[str, ...]) -> None:
    if not _is_option(name):
        raise SettingsError(
            f"{NAME} has an unknown option {name!r}; correct it or leave it out: "
            "PostgreSQL's manual lists them as `Parameter Key Words` (sslmode, sslrootcert, …)"
        )
    if name in ELSEWHERE:
        raise SettingsError(f"{NAME} gives {name} behind the `?`; {ELSEWHERE[name]}")
    if not isinstance(value, str):
        raise SettingsError(f"{NAME} gives {name} {len(value)} times; give it once")
    if name == "sslmode" and value not in SSL_MODES:
        raise SettingsError(f"{NAME}: sslmode is {value!r}; expected one of {', '.join(SSL_MODES)}")
    if name in NUMBERS and not (value.isascii() and value.isdigit()):
        raise SettingsError(f"{NAME}: {name} is {value!r}; expected a whole number")


def _empty_options(text: str) -> list[str]:
    """Options without a value: SQLAlchemy would leave them out, and a certificate unverified."""
    pairs = parse_qsl(text.rpartition("?")[2], keep_blank_values=True)
    return [name for name, value in pairs if not value and _is_option(name)]


def _is_option(name: str) -> bool:
    try:
        return bool(re.fullmatch("[a-z_]+", name) and parse_dsn(f"{name}=x"))
    except psycopg2.ProgrammingError:
        return False
