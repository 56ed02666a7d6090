"""Logs: one line an event on standard error, as text or JSON, with the id of the run and no secret.

`WAREHOUSE_LOG` is `text` or `json` and turns them on for any command; `serve` and `stream` always
log. The run id is the one of `operations.sync_history`, `model_runs` and dbt's own log.
"""

import json
import logging
import os
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ledger.errors import SettingsError
from ledger.runs import current_run_id

SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|ALERTS__URLS|_URL$")
SECRETS_FILE = Path(".dlt") / "secrets.toml"
SHORTEST_SECRET = 6
HIDDEN = "***"


class RedactingFilter(logging.Filter):
    """Adds the run id, and hides every secret that the settings hold, whoever logs it."""

    def __init__(self, secrets: set[str]) -> None:
        super().__init__()
        longest_first = sorted(secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if secrets else None

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; every one passes."""
        record.run_id = current_run_id.get()
        if self._pattern is not None:
            record.msg = self._pattern.sub(HIDDEN, record.getMessage())
            record.args = ()
            if record.exc_info and not record.exc_text:
                record.exc_text = logging.Formatter().formatException(record.exc_info)
            if record.exc_text:
                record.exc_text = self._pattern.sub(HIDDEN, record.exc_text)
        return True


class _JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        values = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "run_id": getattr(record, "run_id", None),
            "message": record.getMessage(),
        }
        if record.exc_info or record.exc_text:
            values["traceback"] = record.exc_text or self.formatException(record.exc_info or ())  # type: ignore[arg-type]
        return json.dumps(values)


def set_up_logs(*, as_json: bool) -> None:
    """Let the project's own log be seen; libraries speak up from warnings on."""
    handler = logging.StreamHandler()
    plain = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(_JsonFormatter() if as_json else plain)
    handler.addFilter(RedactingFilter(configured_secrets()))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("warehouse").setLevel(logging.INFO)


def set_up_logs_if_asked() -> None:
    """As `WAREHOUSE_LOG` says; nothing when it is not set.

    Raises:
        SettingsError: it is neither `text` nor `json`.
    """
    asked = os.environ.get("WAREHOUSE_LOG")
    if not asked:
        return
    if asked not in ("text", "json"):
        raise SettingsError(f"WAREHOUSE_LOG is {asked!r}; set it to `text` or `json`")
    set_up_logs(as_json=asked == "json")


def configured_secrets() -> set[str]:
    """Every secret that the environment and `.dlt/secrets.toml` hold."""
    found = set()
    for name, value in os.environ.items():
        if SECRET_NAMES.search(name):
            found |= set(_secrets_of(value))
    if SECRETS_FILE.exists():
        try:
            for value in _leaves(tomllib.loads(SECRETS_FILE.read_text())):
                found |= set(_secrets_of(value))
        except (OSError, tomllib.TOMLDecodeError):
            # dlt says what is wrong with the file when a setting is asked for.
            pass
    return {secret for secret in found if len(secret) >= SHORTEST_SECRET}


def _secrets_of(value: str) -> Iterator[str]:
    """A value, or what is secret in an address: its password, and its path where it has no user."""
    for part in re.split(r"[\s,\[\]\"']+", value):
        address = re.fullmatch(r"(\w[\w+.-]*)://(?:([^/@]*)@)?(.*)", part)
        if address is None:
            yield part
        elif address[2]:
            yield address[2].partition(":")[2] or address[2]
        elif not address[1].startswith("http"):
            yield address[3]


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, str):
        yield value
