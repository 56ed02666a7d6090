"""`warehouse serve` and `warehouse stream`: web application and worker, until SIGTERM."""

import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

import uvicorn
from sqlalchemy import Engine

from ledger.balance import Balance, balances
from ledger.engine import open_ledger
from ledger.errors import SettingsError
from ledger.settings import Settings
from loaders.stream import StreamReader
from loaders.stream_settings import configured_stream
from loaders.webhooks import configured_webhooks
from operations.monitor.supervisor import Supervisor
from operations.service.app import Application, create_app
from operations.service.settings import ServiceSettings
from operations.service.worker import Worker
from serving.api import open_data_api

START_SECONDS = 30.0
GRACEFUL_SECONDS = 10
# How long a thread at work may keep a request waiting; Python's 5 ms would be most of an answer.
SWITCH_SECONDS = 0.0005

log = logging.getLogger("warehouse")


class Service:
    """The service, at work while the context is open; leaving it ends the cycle that runs first.

    Raises on entry:
        SettingsError: the port is taken, or a setting makes no sense.
        TargetError: the ledger cannot be opened.
    """

    def __init__(self, settings: Settings, service: ServiceSettings) -> None:
        self._settings = settings
        self._service = service
        self._stack = ExitStack()
        self.port = service.port

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            sources = configured_webhooks()
            bound = stack.enter_context(_bind(self._service))
            self.port = bound.getsockname()[1]
            ledger = open_ledger(self._settings)
            stack.callback(ledger.dispose)
            stream = _open_stream(self._settings, ledger, stack)
            supervisor = _supervise(self._settings, self._service, ledger, stream, stack)
            worker = Worker(self._settings, self._service, ledger, stream, supervisor)
            data = stack.enter_context(open_data_api(self._settings, ledger))
            application = Application(
                self._service,
                ledger,
                sources,
                worker.request_sync,
                lambda: worker.is_alive,
                data,
            )
            worker.told_waiting = application.committer.set_waiting
            self._worker, self._ledger = worker, ledger
            worker.start()
            stack.callback(worker.stop)
            stack.callback(_start_web(application, bound))
            names = ", ".join(sources) or "none; give a source a secret"
            log.info("listening on %s:%d; webhooks: %s", self._service.host, self.port, names)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def is_idle(self) -> bool:
        """Whether everything that landed is built."""
        return self._worker.is_idle

    def balances(self) -> list[Balance]:
        """What became of everything, by way in and source."""
        return balances(self._ledger)


def serve(settings: Settings, service: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT; the cycle that runs is finished first."""
    stopped = _stopped()
    with Service(settings, service):
        stopped.wait()
        log.info("stopping: the cycle that runs ends first")


def consume(settings: Settings, service: ServiceSettings) -> None:
    """Land the topic, and build what is downstream, until SIGTERM or SIGINT.

    Raises:
        SettingsError: no stream is configured.
        TargetError: the ledger cannot be opened.
    """
    stopped = _stopped()
    with ExitStack() as stack:
        ledger = open_ledger(settings)
        stack.callback(ledger.dispose)
        stream = _open_stream(settings, ledger, stack)
        if stream is None:
            raise SettingsError(
                "no stream is configured; set STREAM__BOOTSTRAP_SERVERS, or bootstrap_servers "
                "below [stream] in .dlt/config.toml"
            )
        supervisor = _supervise(settings, service, ledger, stream, stack)
        unscheduled = replace(service, schedules={})
        worker = Worker(settings, unscheduled, ledger, stream, supervisor, command="stream")
        worker.start()
        stack.callback(worker.stop)
        stopped.wait()
        log.info("stopping: the cycle that runs ends first")


def _stopped() -> threading.Event:
    """Set by SIGTERM or SIGINT."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


def _supervise(
    settings: Settings,
    service: ServiceSettings,
    ledger: Engine,
    stream: StreamReader | None,
    stack: ExitStack,
) -> Supervisor:
    supervisor = Supervisor(
        settings, ledger, queue_limit=service.queue_limit, reads_stream=stream is not None
    )
    stack.callback(supervisor.close)
    return supervisor


def _open_stream(settings: Settings, ledger: Engine, stack: ExitStack) -> StreamReader | None:
    configuration = configured_stream()
    if configuration is None:
        return None
    stream = StreamReader(settings, ledger, configuration)
    stack.callback(stream.close)
    return stream


def _start_web(application: Application, bound: socket.socket) -> Callable[[], None]:
    """Answer requests in a thread; gives what stops it."""
    config = uvicorn.Config(
        create_app(application),
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        # Nobody asks who the client is.
        proxy_headers=False,
        server_header=False,
    )
    server = uvicorn.Server(config)
    sys.setswitchinterval(SWITCH_SECONDS)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="web")
    thread.start()

    def stop() -> None:
        """End it: what is in flight is answered first."""
        server.should_exit = True
        thread.join()

    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            stop()
            raise SettingsError("the web application did not start; see the log")
        time.sleep(0.005)
    return stop


def _bind(service: ServiceSettings) -> socket.socket:
    # With the protocol named, asyncio sets TCP_NODELAY; without it an answer can wait 40 ms.
    family = socket.AF_INET6 if ":" in service.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((service.host, service.port))
    except OSError as error:
        bound.close()
        raise SettingsError(
            f"cannot listen on {service.host}:{service.port} ({error.strerror}); "
            "give another --host or --port"
        ) from error
    return bound
