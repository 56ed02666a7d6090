"""Data in: contracts, HTTP sources and landing into the append-only raw log."""
