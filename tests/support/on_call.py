"""Who is on call: cycles as they run, and what a person would see of them."""

import json
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sqlalchemy import Engine

from ledger.settings import Settings
from operations.cycle import run_cycle
from operations.monitor.supervisor import Observation, Supervisor
from operations.plan import CycleResult, Plan
from operations.progress import Reporter

WAITING_EVENT = {
    "way_in": "webhook",
    "source": "crm",
    "event_id": "e",
    "event_type": "x",
    "is_deletion": False,
    "body": b"{}",
    "body_hash": "h",
    "status": "waiting",
    "attempts": 0,
}
"""A row of the inbox, but for when it was received."""
SYNC = Plan("sync", sources=("crm",))


class Sink:
    """Takes alerts as a webhook; refuses them while it is told to."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.refuses = False
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if not sink.refuses:
                    sink.messages.append(json.loads(body)["message"])
                self.send_response(500 if sink.refuses else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def taken(self) -> list[str]:
        """The messages since it was asked last."""
        messages, self.messages = self.messages, []
        return messages


class OnCall:
    """Runs cycles and looks at what a person would see."""

    def __init__(self, settings: Settings, ledger: Engine, sink: Sink, **options: Any) -> None:
        self.settings, self.ledger, self.sink, self.options = settings, ledger, sink, options
        self.supervisor = Supervisor(settings, ledger, **options)

    def cycle(self, plan: Plan) -> CycleResult:
        return run_cycle(self.settings, plan, Reporter(silent=True), self.ledger)

    def look(self, at: datetime | None = None) -> tuple[set[str], list[str]]:
        """Root causes at fault, and the messages that came."""
        seen: Observation = self.supervisor.observe(at)
        self.supervisor.wait()
        return {check.root_cause for check in seen.checks if not check.is_healthy}, (
            self.sink.taken()
        )

    def restart(self) -> None:
        """Begin anew, as after a change of configuration."""
        self.supervisor.close()
        self.supervisor = Supervisor(self.settings, self.ledger, **self.options)
