"""Ctrl-C and SIGTERM end a command alike: what is under way is given up, and one line says so."""

import signal
from types import FrameType

SIGNAL_EXIT = 128
"""What a shell adds to the number of the signal that ended a program."""
TYPER_EXIT = 130
"""What Typer makes of a `KeyboardInterrupt`."""
MESSAGE = "interrupted; what was done is kept, and the next run goes on from there"
received: list[int] = []
"""Signals that asked this process to end, in order."""


def end_on_signals() -> None:
    """Let SIGTERM do what Ctrl-C does, and keep in mind which it was."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(number: int, _: FrameType | None) -> None:
    received.append(number)
    raise KeyboardInterrupt


def exit_code() -> int:
    """Of a process that was asked to end, as a shell would give it."""
    return SIGNAL_EXIT + (received[0] if received else signal.SIGINT)
