"""Ground floor: settings, errors, the run lock and the ledger. Imports nothing of the project."""
