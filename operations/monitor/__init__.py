"""Is the pipeline well? Ledger ─▶ checks ─▶ one alert a root cause."""
