"""From SIGKILL of the service to everything accepted visible again, restarting at once.

The service is killed in the middle of a load of 200 events a second; the clock runs from the kill,
over the start of a new process, until each event that was answered 2xx is in `core.fct_feedback`.
"""

import json
import os
import subprocess
import sys
import time

from benchmarks.freshness import RATE
from benchmarks.load import COMPANIES, SECRET
from benchmarks.measure import empty_warehouse, figure, quick
from benchmarks.raw_rows import RawFiller
from ledger.inbox import waiting_count
from ledger.engine import open_ledger
from ledger.settings import Settings
from operations.dbt_runner import build
from operations.service.serve import serve
from operations.service.settings import ServiceSettings

GOAL_SECONDS = 30.0
EVENTS = 8 * RATE


def start(settings: Settings, port: int) -> "subprocess.Popen[str]":
    """The service in a process of its own."""
    environment = os.environ | {
        "WEBHOOKS__SUPPORT__SECRETS": SECRET,
        "WAREHOUSE_HOME": str(settings.home),
        "WAREHOUSE_TARGET": settings.target,
    }
    if settings.postgres_url is not None:
        url = settings.postgres_url.render_as_string(hide_password=False)
        environment["WAREHOUSE_POSTGRES_URL"] = url
    command = [sys.executable, "-m", "operations.cli", "serve", "--port", str(port), "--json"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
