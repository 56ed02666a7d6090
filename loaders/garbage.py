"""Pauses Python's search for reference cycles while many records are made.

Records hold none, and counts still free them. The search begins anew with every few hundred of
them, looks at all that the process holds, and costs as much as decoding does.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def search_paused() -> Iterator[None]:
    """No search in this block; also as a decorator. Whoever paused it first lets it go on."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
