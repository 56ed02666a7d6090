"""Failures and warnings of a command, each on one line; what they quote is never read as markup."""

from rich.console import Console
from rich.text import Text


def open_errors() -> Console:
    """Where they go: stderr, as they are."""
    return Console(stderr=True, markup=False, highlight=False)


def print_error(console: Console, error: str) -> None:
    """One failure."""
    console.print(Text.assemble(("failed: ", "red"), error), soft_wrap=True)


def print_warning(console: Console, warning: str) -> None:
    """One thing that is amiss and held nothing back."""
    console.print(Text.assemble(("warning: ", "yellow"), warning), soft_wrap=True)
