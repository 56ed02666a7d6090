"""`warehouse init`: home, ledger, raw tables, roles and reference data, each only if missing."""

from pathlib import Path
from typing import Any

from ledger.engine import open_ledger
from ledger.errors import BuildError
from ledger.lock import run_lock
from ledger.runs import recorded_run
from ledger.settings import Settings
from loaders.reference import sync_reference
from loaders.sources import SOURCES
from operations.dbt_runner import build
from operations.progress import Reporter


def _each_source(setting: str) -> str:
    """A section of TOML for every source, with `{name}` in its setting filled in."""
    return "\n".join(f"[sources.{name}]\n{setting.format(name=name)}\n" for name in SOURCES)


CONFIG = f"""# Settings of the sources. By environment: SOURCES__CRM__BASE_URL and so on.
{_each_source('# base_url = "https://{name}.example.com/api"')}
# What `warehouse serve` does by itself; cron expressions in UTC, "" for never.
[serve.schedules]
# crm = "*/15 * * * *"
# reconcile = "30 2 * * *"
# build = "10 * * * *"

[stream]
# bootstrap_servers = "kafka:9092"
# topic = "user-events"
"""
SECRETS = f"""# Never commit this file. Environment: SOURCES__CRM__API_TOKEN and so on.
{_each_source('# api_token = ""')}
# A source may push once it has a secret.
[webhooks.crm]
# secrets = ["whsec_..."]

[serve]
# sync_token = ""
"""


def initialise(settings: Settings, reporter: Reporter) -> dict[str, Any]:
    """Create what is missing; gives a line for each thing done.

    Raises:
        WarehouseError: the database cannot be opened or written.
    """
    done = []
    with run_lock(settings, "init", 0):
        ledger = open_ledger(settings)
        done.append(f"ledger ready: {settings.ledger_url.render_as_string(hide_password=True)}")
        with (
            recorded_run(ledger, "init", settings.target) as run_id,
            reporter.building() as node_done,
        ):
            # The project creates its raw tables at the start of any run: one view is enough.
            result = build(settings, ["stg_raw__loads"], command="run", node_done=node_done)
            if not result.succeeded:
                raise BuildError(f"raw tables could not be created: {result.failures[0][1]}")
            done.append("raw tables ready")
            counts = sync_reference(settings, ledger, run_id)
            places = "already there" if counts is None else f"{counts.landed:,} rows landed"
            done.append(f"reference data: {places}")
        ledger.dispose()
    done += _templates(Path.cwd() / ".dlt")
    return {"succeeded": True, "home": str(settings.home), "done": done}


def _templates(folder: Path) -> list[str]:
    written = []
    folder.mkdir(exist_ok=True)
    for name, text in (("config.toml", CONFIG), ("secrets.toml", SECRETS)):
        path = folder / name
        if not path.exists():
            path.write_text(text)
            path.chmod(0o600)
            written.append(f"wrote a template: {path}")
    return written
