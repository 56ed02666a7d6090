"""Stores that are served by the demo API, with sources that point at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from demo import SOURCES, DemoServer, Store

FAST = {
    "RETRY_INITIAL_SECONDS": "0.01",
    "RETRY_MAX_SECONDS": "0.02",
    "MAX_ATTEMPTS": "3",
    "REQUESTS_PER_MINUTE": "1000000",
    "BREAKER_FAILURES": "1000",
}


@contextmanager
def served(store: Store, **options: Any) -> Iterator[DemoServer]:
    """Serve a store, and let the sources point at it."""
    with DemoServer(store, **options) as server, pytest.MonkeyPatch.context() as patch:
        for source in SOURCES:
            values = FAST | {"BASE_URL": server.base_url(source), "API_TOKEN": server.token}
            for name, value in values.items():
                patch.setenv(f"SOURCES__{source.upper()}__{name}", value)
        yield server
