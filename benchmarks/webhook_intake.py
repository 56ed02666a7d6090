"""Webhooks at 50 connections: requests a second and p95 of the service against a bare application.

Both verify, commit in groups and answer only then; load, server and database share the machine.
"""

import json
import subprocess
import sys
from statistics import median
from typing import Any

from benchmarks.measure import empty_warehouse, figure, quick

ROUNDS = 3


def measure(engine: str, kind: str, events: int) -> dict[str, Any]:
    """One round: rate and p95."""
    with empty_warehouse(engine) as settings:
        command = [sys.executable, "-m", "benchmarks.webhook_server", kind, str(settings.home)]
        if settings.postgres_url is not None:
            command.append(settings.postgres_url.render_as_string(hide_password=False))
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        load = [sys.executable, "-m", "benchmarks.load", port, str(events), "0"]
        done = subprocess.run(load, stdout=subprocess.PIPE, text=True, check=True)
        server.kill()
        server.wait()
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def main() -> None:
    """Print the figures."""
    events = 2_000 if quick() else 20_000
    for engine in ("duckdb", "postgres"):
        bare, service = [], []
        for _ in range(1 if quick() else ROUNDS):
            bare.append(measure(engine, "bare", events))
            service.append(measure(engine, "service", events))
        rates = [median(run["per_second"] for run in runs) for runs in (service, bare)]
        waits = [median(run["p95_ms"] for run in runs) for runs in (service, bare)]
        figure(
            "webhooks a second, 50 connections",
            engine,
            rates[0] / rates[1],
            "≥ 0.7",
            f"{rates[0]:,.0f}/s against {rates[1]:,.0f}/s",
        )
        figure(
            "webhook p95, 50 connections",
            engine,
            waits[0] / waits[1],
            "≤ 1.5",
            f"{waits[0]:.1f} ms against {waits[1]:.1f} ms",
        )


if __name__ == "__main__":
    main()
