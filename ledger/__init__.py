"""Ground floor: settings, errors, the lock and the ledger's tables. Imports nothing of the project."""
