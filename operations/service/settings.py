"""Settings of the service: `[serve]` in `.dlt/config.toml`, or `SERVE__PORT` and so on.

Schedules are cron expressions in UTC below `[serve.schedules]`: one for each source, `reconcile`
(a sync of everything that marks what is gone), `build` (everything, with tests) and `maintain`
(forget what is old). An empty one means never.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dlt
from croniter import croniter
from dlt.common.configuration.exceptions import ConfigurationException

from ledger.errors import SettingsError
from loaders.sources import SOURCES

SYNC_SCHEDULE = "*/15 * * * *"
DEFAULT_SCHEDULES = {"reconcile": "30 2 * * *", "build": "10 * * * *", "maintain": "40 3 * * *"}
NUMBERS = {
    "cycle_seconds": float,
    "queue_limit": int,
    "max_body_bytes": int,
    "body_timeout_seconds": float,
}


@dataclass(frozen=True)
class ServiceSettings:
    """How the service listens and how often it works; times are in seconds."""

    host: str = "127.0.0.1"
    port: int = 8080
    cycle_seconds: float = 5.0
    queue_limit: int = 100_000
    """Events that may wait; more are refused with 429."""
    max_body_bytes: int = 1_000_000
    body_timeout_seconds: float = 10.0
    sync_token: str | None = field(default=None, repr=False)
    """Bearer token of `POST /sync/{source}`; without one the address does not exist."""
    schedules: Mapping[str, str] = field(default_factory=dict)


def configured_service(host: str | None = None, port: int | None = None) -> ServiceSettings:
    """The settings, with what the command line says instead.

    Raises:
        SettingsError: a setting is of a wrong kind, or a schedule is no cron expression.
    """
    values: dict[str, Any] = {"host": host or _get("host", str)}
    values["port"] = port if port is not None else _get("port", int)
    for name, kind in NUMBERS.items():
        values[name] = _get(name, kind)
        if values[name] is not None and values[name] <= 0:
            raise SettingsError(
                f"serve: {name} is {values[name]}; expected a number above 0 in "
                f"SERVE__{name.upper()} or [serve] in .dlt/config.toml"
            )
    values["sync_token"] = dlt.secrets.get("serve.sync_token", str)
    given = {name: value for name, value in values.items() if value is not None}
    return ServiceSettings(**given, schedules=configured_schedules())


def configured_schedules() -> dict[str, str]:
    """Cron expressions, by what is done then.

    Raises:
        SettingsError: a schedule is no cron expression.
    """
    found = {}
    for name in (*SOURCES, *DEFAULT_SCHEDULES):
        default = DEFAULT_SCHEDULES.get(name, SYNC_SCHEDULE)
        expression = _get(f"schedules.{name}", str)
        expression = default if expression is None else expression.strip()
        if expression and not croniter.is_valid(expression):
            raise SettingsError(
                f"serve: the schedule of {name} is {expression!r}; expected a cron expression "
                f"such as {default!r} in [serve.schedules] in .dlt/config.toml"
            )
        if expression:
            found[name] = expression
    return found


def _get(name: str, kind: type[Any]) -> Any:
    try:
        return dlt.config.get(f"serve.{name}", kind)
    except (ConfigurationException, ValueError, TypeError) as error:
        variable = f"SERVE__{name.upper().replace('.', '__')}"
        raise SettingsError(
            f"serve: {name} cannot be read as {kind.__name__}; correct {variable} or [serve] in "
            ".dlt/config.toml"
        ) from error
