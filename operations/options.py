"""What the commands share: options, and how their values are read."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ledger.errors import SettingsError

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
WaitOption = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", help="Wait for another run to end.", min=0)
]


def moment(option: str, text: str | None) -> datetime | None:
    """An ISO 8601 date or time; UTC unless it says otherwise.

    Raises:
        SettingsError: it is none, or one that leaves no room for a window before or after it.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"{option} is {text!r}; give a date or time such as 2026-01-31T00:00:00+00:00"
        ) from error
    if not 1 < found.year < 9999:
        raise SettingsError(f"{option} is {text!r}; give a time between the years 2 and 9998")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
