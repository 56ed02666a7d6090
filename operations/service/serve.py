"""`warehouse serve` and `warehouse stream`: web application and worker, until SIGTERM."""

import logging
import signal
import socket
import threading
from contextlib import ExitStack
from dataclasses import replace

import uvicorn
from sqlalchemy import Engine

from ledger.engine import open_ledger
from ledger.errors import SettingsError
from ledger.settings import Settings
from loaders.stream import StreamReader
from loaders.stream_settings import configured_stream
from loaders.webhooks import configured_webhooks
from operations.service.app import Application, create_app
from operations.service.settings import ServiceSettings
from operations.service.worker import Worker

log = logging.getLogger("warehouse")


def serve(settings: Settings, service: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT; the cycle that runs is finished first.

    Raises:
        SettingsError: no webhook has a secret, or the port is taken.
        TargetError: the ledger cannot be opened.
    """
    sources = configured_webhooks()
    with ExitStack() as stack:
        bound = stack.enter_context(_bind(service))
        ledger = open_ledger(settings)
        stack.callback(ledger.dispose)
        stream = _open_stream(settings, ledger, stack)
        worker = Worker(settings, service, ledger, stream)
        application = Application(service, ledger, sources, worker.request_sync)
        worker.told_waiting = application.committer.set_waiting
        config = uvicorn.Config(
            create_app(application),
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=10,
            server_header=False,
        )
        names = ", ".join(sources) or "none: give a source a secret"
        host, port = bound.getsockname()[:2]
        log.info("listening on http://%s:%d; webhooks: %s", host, port, names)
        worker.start()
        stack.callback(worker.stop)
        # uvicorn raises the signal anew once it has stopped; the worker is to end its cycle.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: log.info("stopping: the cycle that runs ends first"))
        uvicorn.Server(config).run(sockets=[bound])


def consume(settings: Settings, service: ServiceSettings) -> None:
    """Land the topic, and build what is downstream, until SIGTERM or SIGINT.

    Raises:
        SettingsError: no stream is configured.
        TargetError: the ledger cannot be opened.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with ExitStack() as stack:
        ledger = open_ledger(settings)
        stack.callback(ledger.dispose)
        stream = _open_stream(settings, ledger, stack)
        if stream is None:
            raise SettingsError(
                "no stream is configured; set STREAM__BOOTSTRAP_SERVERS, or bootstrap_servers "
                "below [stream] in .dlt/config.toml"
            )
        worker = Worker(settings, replace(service, schedules={}), ledger, stream)
        worker.start()
        stack.callback(worker.stop)
        stopped.wait()


def _open_stream(settings: Settings, ledger: Engine, stack: ExitStack) -> StreamReader | None:
    configuration = configured_stream()
    if configuration is None:
        return None
    stream = StreamReader(settings, ledger, configuration)
    stack.callback(stream.close)
    return stream


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
