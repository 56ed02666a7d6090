"""What to say of a warehouse that does not open: who has it, or what is wrong with it."""

import re

from ledger.errors import TargetError
from ledger.settings import Settings

DAMAGES = ("Could not read enough bytes", "not a valid DuckDB database", "Corrupt", "checksum")
"""What DuckDB says of a file that is not whole."""
HELD = re.compile(r"Could not set lock on file .* \(PID (\d+)\)", re.DOTALL)
"""How DuckDB says that another process has the file."""


def unreadable(settings: Settings, error: BaseException) -> TargetError:
    """The error of a driver in the user's words, with the way out."""
    if held := HELD.search(str(error)):
        return TargetError(
            f"the warehouse ({settings.warehouse_path}) is open in another program "
            f"(pid {held.group(1)}); wait for it to end, or end it"
        )
    reason = str(error).strip().splitlines()[0]
    if settings.postgres_url is not None:
        return TargetError(f"cannot read the warehouse (PostgreSQL): {reason}")
    way_out = ""
    if any(damage in reason for damage in DAMAGES):
        way_out = (
            "; put a backup in its place, or move it away: the next `warehouse run` pulls "
            "everything again, and what was pushed is gone"
        )
    return TargetError(f"cannot read the warehouse ({settings.warehouse_path}): {reason}{way_out}")
