"""Great Expectations at the two boundaries: raw after a load, marts after a build.

warehouse, history of the ledger ─▶ `check` ─▶ verdicts and failing keys. Nothing is written to the
warehouse.
"""

from quality.checkpoint import build_docs, check
from quality.history import ACCEPT_SHRUNK, SHRUNK, History, Usual, read_history

__all__ = ["ACCEPT_SHRUNK", "SHRUNK", "History", "Usual", "build_docs", "check", "read_history"]
