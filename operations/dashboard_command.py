"""`warehouse dashboard`: the process becomes Streamlit, on the published marts."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import serving.dashboard
from ledger.settings import Settings

APP = Path(serving.dashboard.__file__).parent / "app.py"
DEFAULT_PORT = 8501


def command_line(port: int, *, opens_browser: bool) -> list[str]:
    """What starts it: local, quiet, and without a word to anybody."""
    options = {
        "server.address": "127.0.0.1",
        "server.port": port,
        "server.headless": not opens_browser,
        # Where Streamlit never ran it asks for an address first, and serves nothing until then.
        "server.showEmailPrompt": False,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
    }
    given = [f"--{name}={str(value).lower()}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *given]


def address(port: int = DEFAULT_PORT) -> str:
    """Where the browser finds it."""
    return f"http://127.0.0.1:{port}"


def serve_dashboard(settings: Settings, port: int, *, opens_browser: bool) -> NoReturn:
    """Serve it until the process is ended; nobody is left behind who holds the port."""
    environment = os.environ | {"WAREHOUSE_HOME": str(settings.home)}
    sys.stdout.flush()
    command = command_line(port, opens_browser=opens_browser)
    os.execve(sys.executable, command, environment)  # noqa: S606 (no shell is wanted)
