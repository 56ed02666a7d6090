"""`warehouse serve`, `stream` and `dashboard`: what works until it is ended."""

from typing import Annotated

import typer

from ledger.settings import load_settings
from operations import dashboard_command
from operations.home import require_real_home
from operations.logs import set_up_logs
from operations.service.serve import consume
from operations.service.serve import serve as serve_forever
from operations.service.settings import configured_service

LogJsonOption = Annotated[bool, typer.Option("--json", help="Log JSON lines.")]


def serve(
    host: Annotated[str | None, typer.Option(help="Address; 127.0.0.1 by default.")] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port; 8080 by default, 0 takes a free one.", min=0, max=65535),
    ] = None,
    as_json: LogJsonOption = False,
) -> None:
    """Take webhooks in, read the stream, sync on schedule, and keep the marts up to date."""
    settings = load_settings()
    require_real_home(settings)
    set_up_logs(as_json=as_json)
    serve_forever(settings, configured_service(host, port))


def stream(
    as_json: LogJsonOption = False,
) -> None:
    """Land the Kafka topic and keep the marts up to date; `serve` does this too."""
    settings = load_settings()
    require_real_home(settings)
    set_up_logs(as_json=as_json)
    consume(settings, configured_service())


def dashboard(
    port: Annotated[
        int, typer.Option(help="Port on this machine.", min=1, max=65535)
    ] = dashboard_command.DEFAULT_PORT,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only serve; open no browser.")
    ] = False,
) -> None:
    """Look at company health, sales and the pipeline in the browser."""
    dashboard_command.serve_dashboard(load_settings(), port, opens_browser=not no_browser)
