"""Settings: what is wrong is named with the way out, and never with a password."""

from pathlib import Path

import pytest

from ledger.errors import SettingsError
from ledger.settings import load_settings
from loaders.sources import SOURCES
from loaders.sources.base import configured

SECRET = "hunter2"
HOST = f"postgresql://me:{SECRET}@host/db"
VERIFIED = "sslmode=verify-full&sslrootcert=/ca.pem"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path / "a" / "b"))
    return tmp_path / "a" / "b"


def test_the_default_is_local(home: Path) -> None:
    settings = load_settings()
    assert (settings.target, settings.engine_name, settings.home) == ("local", "duckdb", home)
    assert home.is_dir()
    assert settings.ledger_url.database == str(home / "ledger.sqlite")


@pytest.mark.parametrize(
    ("url", "host", "port", "options"),
    [
        ("postgresql://me:p%40ss@db.example:5433/w", "db.example", 5433, {}),
        ("postgresql://me:p%40ss@/w?host=/run/pg", "/run/pg", 5432, {}),
        ("postgresql://me:p%40ss@/w?host=/run/pg&port=5433", "/run/pg", 5433, {}),
        ("postgres://me:p%40ss@db/w", "db", 5432, {}),
        (
            f"postgresql://me:p%40ss@db/w?{VERIFIED}&options=-c%20geqo%3Doff",
            *("db", 5432),
            {"sslmode": "verify-full", "sslrootcert": "/ca.pem", "options": "-c geqo=off"},
        ),
    ],
)
def test_addresses(
    monkeypatch: pytest.MonkeyPatch, url: str, host: str, port: int, options: dict[str, str]
) -> None:
    monkeypatch.setenv("WAREHOUSE_TARGET", "prod")
    monkeypatch.setenv("WAREHOUSE_POSTGRES_URL", url)
    settings = load_settings()
    assert settings.postgres_parameters() == {
        "host": host,
        "port": port,
        "user": "me",
        "password": "p@ss",
        "dbname": "w",
        **options,
    }
    assert "p@ss" not in repr(settings)
    assert "p%40ss" not in repr(settings)


@pytest.mark.parametrize(
    ("target", "url", "says"),
    [
        ("staging", None, "set it to `local` or `prod`"),
        ("prod", None, "WAREHOUSE_POSTGRES_URL is not set; set it to postgresql://"),
        ("prod", "", "WAREHOUSE_POSTGRES_URL is not set"),
        ("prod", f"me:{SECRET}@host", "expected postgresql://user:password@host:5432/database"),
        ("prod", f"mysql://me:{SECRET}@host/db", "expected postgresql://"),
        ("prod", f"postgresql://me:{SECRET}@host", "expected postgresql://"),
        ("prod", f"postgresql://me:{SECRET}@host:port/db", "expected postgresql://"),
        ("prod", f"{HOST}?sslmod=require", "unknown option 'sslmod'; correct it or leave it out"),
        ("prod", f"{HOST}?dsn=host", "unknown option 'dsn'"),
        ("prod", f"{HOST}?ssl%20mode=require", "unknown option 'ssl mode'"),
        ("prod", f"{HOST}?sslmode", "gives sslmode no value; write sslmode=… or leave it out"),
        ("prod", f"{HOST}?sslrootcert=&sslmode=require", "gives sslrootcert no value"),
        ("prod", f"{HOST}?sslmode=full", "sslmode is 'full'; expected one of disable, allow, "),
        ("prod", f"{HOST}?sslmode=require&sslmode=allow", "sslmode 2 times; give it once"),
        ("prod", f"{HOST}?connect_timeout=soon", "connect_timeout is 'soon'; expected a whole"),
        ("prod", f"postgresql://host/db?password={SECRET}", "password behind the `?`; expected"),
        ("prod", f"{HOST}?sslpassword={SECRET}", "name an sslkey without a passphrase"),
    ],
)
def test_wrong_settings(
    monkeypatch: pytest.MonkeyPatch, target: str, url: str | None, says: str
) -> None:
    monkeypatch.setenv("WAREHOUSE_TARGET", target)
    if url is not None:
        monkeypatch.setenv("WAREHOUSE_POSTGRES_URL", url)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_home_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(SettingsError, match=r"WAREHOUSE_HOME: cannot create .*writable directory"):
        load_settings()


def test_source_settings_are_found_and_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__CRM__BASE_URL", "https://crm.example/api")
    monkeypatch.setenv("SOURCES__CRM__API_TOKEN", SECRET)
    monkeypatch.setenv("SOURCES__CRM__PAGE_SIZE", "7")
    monkeypatch.setenv("SOURCES__CRM__TIMEOUT_SECONDS", "1.5")
    found = configured(SOURCES["crm"])
    assert (found.page_size, found.timeout_seconds, found.api_token) == (7, 1.5, SECRET)
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("API_TOKEN", None, "api_token is not set; set the environment variable SOURCES__CRM__API"),
        ("API_TOKEN", None, "[sources.crm] in .dlt/secrets.toml"),
        ("BASE_URL", None, "[sources.crm] in .dlt/config.toml"),
        ("BASE_URL", f"ftp://me:{SECRET}@host", "SOURCES__CRM__BASE_URL"),
        ("BASE_URL", f"me:{SECRET}@host", "expected https://host/path"),
        ("BASE_URL", f"http://me:{SECRET}@", "expected https://host/path"),
        ("BASE_URL", f"http://me:{SECRET}@host:port/", "expected https://host/path"),
        ("PAGE_SIZE", "many", "page_size cannot be read as int; correct SOURCES__CRM__PAGE_SIZE"),
    ],
)
def test_wrong_source_settings(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, says: str
) -> None:
    monkeypatch.setenv("SOURCES__CRM__BASE_URL", "https://crm.example")
    monkeypatch.setenv("SOURCES__CRM__API_TOKEN", SECRET)
    if value is None:
        monkeypatch.delenv(f"SOURCES__CRM__{name}")
    else:
        monkeypatch.setenv(f"SOURCES__CRM__{name}", value)
    with pytest.raises(SettingsError) as caught:
        configured(SOURCES["crm"])
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)
