"""Settings of the stream: `[stream]` in `.dlt/config.toml`, or `STREAM__BOOTSTRAP_SERVERS` etc.

Settings of librdkafka (TLS, SASL) are passed through: `[stream.options]` with the names that
librdkafka gives them, in config or secrets, or `STREAM__OPTIONS__SASL_PASSWORD` in the environment.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigurationException

from ledger.errors import SettingsError

OPTION_VARIABLE = "STREAM__OPTIONS__"
UNDERSCORED = ("log_level",)
# What exactly-once rests on.
FIXED_OPTIONS = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": True,
    "auto.offset.reset": "earliest",
}


@dataclass(frozen=True)
class StreamSettings:
    """Which topic is read, and how; times are in seconds."""

    bootstrap_servers: str
    topic: str = "user-events"
    group_id: str = "customer-health-warehouse"
    batch_messages: int = 100_000
    """Landed at once at most; a landing costs half a second, however small."""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def consumer_options(self) -> dict[str, Any]:
        """The configuration of librdkafka's consumer."""
        return {
            **self.options,
            "bootstrap.servers": self.bootstrap_servers,
            "group.id": self.group_id,
            **FIXED_OPTIONS,
        }


def configured_stream() -> StreamSettings | None:
    """The stream that is configured; None if there is none.

    Raises:
        SettingsError: a setting is of a wrong kind.
    """
    servers = _get("bootstrap_servers", str)
    if not servers:
        return None
    values: dict[str, Any] = {
        name: value
        for name, kind in (("topic", str), ("group_id", str), ("batch_messages", int))
        if (value := _get(name, kind)) is not None
    }
    if values.get("batch_messages", 1) < 1:
        raise SettingsError("stream: batch_messages must be 1 or more; correct [stream] in .dlt/")
    return StreamSettings(bootstrap_servers=servers, options=_options(), **values)


def _get(name: str, kind: type[Any]) -> Any:
    try:
        return dlt.config.get(f"stream.{name}", kind)
    except (ConfigurationException, ValueError, TypeError) as error:
        raise SettingsError(
            f"stream: {name} cannot be read as {kind.__name__}; correct STREAM__{name.upper()} or "
            "[stream] in .dlt/config.toml"
        ) from error


def _options() -> dict[str, str]:
    found: dict[str, str] = {}
    for accessor in (dlt.config, dlt.secrets):
        section: Any = accessor.get("stream.options", dict)
        if isinstance(section, Mapping):
            found |= _flat(section)
    for name, value in os.environ.items():
        if name.startswith(OPTION_VARIABLE):
            option = name.removeprefix(OPTION_VARIABLE).lower()
            found[option if option in UNDERSCORED else option.replace("_", ".")] = value
    return found


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """`security.protocol = ...` in TOML is a table in a table."""
    found: dict[str, str] = {}
    for name, value in section.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found
