"""`python -m demo`: options -> store -> server -> one JSON line on stdout, until a signal."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from demo.api import DEFAULT_TOKEN
from demo.changes import advance
from demo.faults import FAULT_HELP, Faults, FaultSpecError
from demo.folder import DemoDataError, stray_files
from demo.generator import generate
from demo.push import Stream
from demo.server import DemoServer
from demo.store import SOURCE_OF, Store

_EPILOG = f"""{FAULT_HELP}

example:
  python -m demo --port 8700 --scale 1 --seed 7 \\
      --fault rate_limit:every=5,retry_after=1 --fault reset:every=7,entity=orders
  curl -H 'Authorization: Bearer {DEFAULT_TOKEN}' 'http://127.0.0.1:8700/crm/accounts?limit=2'
  curl -X POST -H 'Authorization: Bearer {DEFAULT_TOKEN}' http://127.0.0.1:8700/_demo/advance"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; gives the exit status."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        faults = Faults.parse(options.fault)
        store, step = _data(options)
        stream = Stream() if options.stream else None
        server = DemoServer(
            store,
            token=options.token,
            faults=faults,
            port=options.port,
            max_limit=options.max_limit,
            advance=step,
            stream=stream,
        )
        with server:
            line: dict[str, Any] = {"base_urls": server.base_urls, "token": server.token}
            if stream is not None:
                line["bootstrap_servers"] = stream.servers
            if options.data is not None:
                line["ignored"] = stray_files(options.data, SOURCE_OF)
            print(msgspec.json.encode(line).decode(), flush=True)
            stop.wait()
    except (DemoDataError, FaultSpecError, OSError, ValueError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    return 0


class _Generated:
    """Generated data that can move on day by day."""

    def __init__(self, seed: int, scale: float, as_of: datetime) -> None:
        self._seed, self._scale, self._as_of = seed, scale, as_of
        self.store = generate(seed, scale, as_of)

    def step(self) -> dict[str, Any]:
        """Move one day forward; gives the new as-of and what changed."""
        self._as_of += timedelta(days=1)
        changes = advance(self.store, self._seed, self._scale, self._as_of)
        return {"as_of": self._as_of.isoformat(), "changes": changes}


def _data(options: argparse.Namespace) -> tuple[Store, Any]:
    if options.data is not None:
        store = Store.from_folder(options.data)
        release = store.withhold_newest(options.withhold)
        return store, lambda: {"as_of": None, "released": release()}
    generated = _Generated(options.seed, options.scale, options.as_of)
    return generated.store, generated.step


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parser() -> argparse.ArgumentParser:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Serve the crm, commerce and support APIs with deterministic data.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=int, default=0, help="loopback port; 0 takes a free one (default)")
    add("--scale", type=float, default=1.0, help="1 is about 6,000 orders a year (default)")
    add("--seed", type=int, default=7, help="another seed gives other data (default 7)")
    add("--as-of", type=_moment, default=midnight, metavar="ISO", help="end of the year served; "
        "the last UTC midnight by default")  # fmt: skip
    add("--data", type=Path, metavar="DIR", help="serve DIR/<entities>.jsonl[.gz] instead")
    add("--withhold", type=float, default=0.0, metavar="SHARE", help="with --data: serve the "
        "newest share of all changes only after an advance (default 0)")  # fmt: skip
    add("--stream", action="store_true", help="serve a Kafka topic too; its brokers are printed")
    add("--fault", action="append", default=[], metavar="SPEC", help="may be repeated; see below")
    add("--token", default=DEFAULT_TOKEN, help=f"bearer token (default {DEFAULT_TOKEN})")
    add("--max-limit", type=int, default=1000, metavar="N", help="largest page (default 1000)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
