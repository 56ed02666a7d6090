"""What a source declares, and how its settings are found.

Settings are looked up where dlt users expect them: environment (`SOURCES__CRM__BASE_URL`),
`.dlt/secrets.toml`, `.dlt/config.toml` (`[sources.crm]`). Each default below can be set there.
"""

from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import dlt
from dlt.common.configuration.exceptions import ConfigurationException

from ledger.errors import SettingsError
from loaders.contracts import Entity


@dataclass(frozen=True)
class ApiSource:
    """A REST API that answers `{"data": [...], "next": ...}`; times are in seconds."""

    name: str
    entities: tuple[Entity, ...]
    base_url: str = ""
    api_token: str = field(default="", repr=False)
    cursor_param: str = "modified_since"
    limit_param: str = "limit"
    page_size: int = 1000
    requests_per_minute: int = 600
    cursor_lag_seconds: int = 600
    timeout_seconds: float = 30.0
    max_attempts: int = 6
    retry_initial_seconds: float = 0.5
    retry_max_seconds: float = 30.0
    max_retry_after_seconds: float = 300.0
    breaker_failures: int = 5
    breaker_reset_seconds: float = 60.0
    max_deleted_ratio: float = 0.2


REQUIRED = {"base_url": dlt.config, "api_token": dlt.secrets}
FIXED = ("name", "entities")
MAY_BE_0 = ("cursor_lag_seconds", "max_deleted_ratio", "retry_initial_seconds")


def configured(source: ApiSource) -> ApiSource:
    """`source` with its settings filled in.

    Raises:
        SettingsError: a setting is missing or of a wrong kind; the message says where to put it.
    """
    values: dict[str, Any] = {}
    for name, default in vars(source).items():
        if name in FIXED:
            continue
        value = _lookup(source.name, name, type(default))
        if value is not None:
            values[name] = value
        elif name in REQUIRED and not default:
            raise SettingsError(
                f"source {source.name}: {name} is not set; set the environment variable "
                f"SOURCES__{source.name.upper()}__{name.upper()}, or {name} below "
                f"[sources.{source.name}] in .dlt/"
                + ("secrets.toml" if name == "api_token" else "config.toml")
            )
    found = replace(source, **values)
    for name, value in vars(found).items():
        if isinstance(value, int | float) and (value < 0 or (value == 0 and name not in MAY_BE_0)):
            raise SettingsError(
                f"source {source.name}: {name} is {value}; expected a number above 0 in "
                f"SOURCES__{source.name.upper()}__{name.upper()} or [sources.{source.name}]"
            )
    if not _is_web_address(found.base_url):
        raise SettingsError(
            f"source {source.name}: base_url is no web address; expected https://host/path in "
            f"SOURCES__{source.name.upper()}__BASE_URL or [sources.{source.name}] in .dlt/"
        )
    return found


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _lookup(source: str, name: str, kind: type[Any]) -> Any:
    accessor = dlt.secrets if name == "api_token" else dlt.config
    try:
        return accessor.get(f"sources.{source}.{name}", kind)
    except (ConfigurationException, ValueError, TypeError) as error:
        raise SettingsError(
            f"source {source}: {name} cannot be read as {kind.__name__}; correct "
            f"SOURCES__{source.upper()}__{name.upper()} or [sources.{source}] in .dlt/"
        ) from error
