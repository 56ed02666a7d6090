"""A link to a Kafka broker that can be cut: every connection ends, and new ones are refused.

Brokers name their own address in their answers; on the way it becomes that of the link.
"""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

CHUNK = 1 << 20


class Link:
    """Passes bytes to a broker on this machine while the context is open, unless it is cut."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._broker = (host, int(port))
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._changing = threading.Lock()
        self._address = ("127.0.0.1", 0)
        self.mend()

    @property
    def server(self) -> str:
        """Where to connect to."""
        return f"{self._address[0]}:{self._address[1]}"

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        with self._changing:
            ended, self._open, self._listener = [*self._open, self._listener], [], None
        for end in ended:
            if end is not None:
                _end(end)

    def mend(self) -> None:
        """Connect again, at the same address."""
        self._listener = socket.create_server(self._address)
        self._address = self._listener.getsockname()
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                broker = socket.create_connection(self._broker)
            except OSError:
                return
            with self._changing:
                is_cut = self._listener is not listener
                self._open += [] if is_cut else [client, broker]
            if is_cut:  # It was, while this connection was being made.
                _end(client)
                _end(broker)
                return
            for way in ((client, broker, False), (broker, client, True)):
                threading.Thread(target=self._pass, args=way, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        own, real = (_on_the_wire(*address) for address in (self._address, self._broker))
        try:
            while chunk := source.recv(CHUNK):
                target.sendall(chunk.replace(real, own) if is_answer else chunk)
        except OSError:
            pass
        _end(target)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()


def _on_the_wire(host: str, port: int) -> bytes:
    """An address as Kafka's protocol writes it."""
    return host.encode() + port.to_bytes(4, "big")


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
