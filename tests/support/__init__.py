"""Helpers of the tests: a store is served, synced and compared with what raw holds."""

from support.oracle import assert_complete, landed_ids, served_items, served_rows
from support.warehouse import SyncResult, Warehouse

__all__ = [
    "SyncResult",
    "Warehouse",
    "assert_complete",
    "landed_ids",
    "served_items",
    "served_rows",
]
