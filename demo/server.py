"""The demo API on a loopback port: store -> uvicorn in a daemon thread -> HTTP.

The server binds its socket before the thread starts, so the port is known and nobody else can take
it; leaving the context stops the thread. Nothing is written anywhere.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from demo.api import DEFAULT_TOKEN, DemoApi, RequestRecord, create_app
from demo.faults import Faults
from demo.push import Stream
from demo.store import SOURCES, Store

__all__ = ["DemoServer", "RequestRecord", "create_app"]

_START_SECONDS = 10.0


class _OpenProtocol(H11Protocol):
    """Shows the app its transport, so that a fault can drop the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class DemoServer:
    """Serve a store while the context is open; `faults` may be set at any time."""

    def __init__(
        self,
        store: Store,
        *,
        token: str = DEFAULT_TOKEN,
        faults: Faults | str | Iterable[str] | None = None,
        port: int = 0,
        max_limit: int = 1000,
        advance: Callable[[], Any] | None = None,
        stream: Stream | None = None,
    ) -> None:
        self._app = create_app(
            store,
            token=token,
            faults=_faults(faults),
            max_limit=max_limit,
            advance=advance,
            stream=stream,
        )
        self._api: DemoApi = self._app.state.demo
        self._asked_port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.port = port

    def start(self) -> Self:
        """Bind, listen, and return once requests are answered."""
        # With the protocol named, asyncio sets TCP_NODELAY; without it each answer waits 40 ms.
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", self._asked_port))
        except OSError:
            bound.close()
            raise
        self.port = bound.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            http=_OpenProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [bound]}, name="demo-api", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the demo API did not start on port {self.port}")
            time.sleep(0.002)
        return self

    def stop(self) -> None:
        """Stop listening and end the thread; harmless when it does not run."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is not None and thread is not None:
            server.should_exit = True
            thread.join(timeout=5)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def base_url(self, source: str) -> str:
        """Address of one API, such as `http://127.0.0.1:8000/crm`."""
        if source not in SOURCES:
            raise ValueError(f"unknown source {source!r}; known: {', '.join(SOURCES)}")
        return f"http://127.0.0.1:{self.port}/{source}"

    @property
    def base_urls(self) -> dict[str, str]:
        """Addresses of all APIs by source."""
        return {source: self.base_url(source) for source in SOURCES}

    @property
    def store(self) -> Store:
        """The rows served; changes show at once, and another store may take its place."""
        return self._api.store

    @store.setter
    def store(self, store: Store) -> None:
        self._api.store = store

    @property
    def token(self) -> str:
        """The bearer token that requests need."""
        return self._api.token

    @property
    def requests(self) -> deque[RequestRecord]:
        """The latest requests, oldest first."""
        return self._api.requests

    @property
    def served(self) -> Counter[tuple[str, str]]:
        """Rows sent in good answers since the last clearing, by (source, entity)."""
        return self._api.served

    def clear_requests(self) -> None:
        """Forget the log and the counts of rows."""
        self._api.requests.clear()
        self._api.served.clear()

    @property
    def faults(self) -> Faults:
        """The faults in force; set `Faults`, a spec, several specs, or None."""
        return self._api.faults

    @faults.setter
    def faults(self, faults: Faults | str | Iterable[str] | None) -> None:
        self._api.faults = _faults(faults)


def _faults(faults: Faults | str | Iterable[str] | None) -> Faults:
    if isinstance(faults, Faults):
        return faults
    return Faults() if faults is None else Faults.parse(faults)
