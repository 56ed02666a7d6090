"""Fixtures of faults: where alerts go, and who is on call."""

from collections.abc import Iterator

import pytest
from support.on_call import OnCall, Sink
from support.warehouse import Warehouse


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    sink = Sink()
    monkeypatch.setenv("ALERTS__URLS", f"json://127.0.0.1:{sink.server.server_port}")
    yield sink
    sink.server.shutdown()


@pytest.fixture
def on_call(warehouse: Warehouse, sink: Sink) -> Iterator[OnCall]:
    watcher = OnCall(warehouse.settings, warehouse.ledger, sink)
    assert watcher.look() == (set(), [])
    yield watcher
    watcher.supervisor.close()
