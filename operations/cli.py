"""The commands of `warehouse`: arguments ─▶ plan ─▶ cycle ─▶ tables or JSON, and an exit code."""

import json
from typing import Annotated, Any

import typer

from ledger.settings import Settings, load_settings
from operations import (
    dead_letter_commands,
    demo_journey,
    docs_command,
    export_command,
    health_report,
    init_home,
    maintenance,
    quality_report,
    service_commands,
    status_report,
    summary,
    token_commands,
)
from operations.complaints import open_errors, print_error, print_warning
from operations.cycle import chosen_sources, run_cycle
from operations.dbt_runner import require_selection
from operations.home import require_ledger, require_real_home
from operations.monitor.supervisor import watch_once
from operations.options import JsonOption, WaitOption, moment
from operations.plan import CycleResult, Plan
from operations.progress import Reporter

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="The customer health warehouse: which customers are healthy, which are leaving, and why.",
)

app.add_typer(dead_letter_commands.app, name="dead-letters")
app.add_typer(token_commands.app, name="tokens")
app.command(epilog="Example: WEBHOOKS__CRM__SECRETS=whsec_... warehouse serve --port 8080")(
    service_commands.serve
)
app.command(epilog="Example: STREAM__BOOTSTRAP_SERVERS=kafka:9092 warehouse stream")(
    service_commands.stream
)
app.command(epilog="Example: warehouse dashboard --port 8501")(service_commands.dashboard)
FullOption = Annotated[
    bool,
    typer.Option("--full", help="Ask for everything and mark records no longer served as deleted."),
]
RefreshOption = Annotated[
    bool, typer.Option("--full-refresh", help="Rebuild incremental models from the raw log.")
]
AsOfOption = Annotated[
    str | None, typer.Option(metavar="ISO", help="Build as of this moment instead of now.")
]


@app.command(epilog="Example: warehouse sync crm support")
def sync(
    sources: Annotated[list[str] | None, typer.Argument(help="Sources; all by default.")] = None,
    full: FullOption = False,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Land what changed in the sources."""
    names = chosen_sources(sources or [])
    _run(Plan("sync", sources=names, full=full, wait_seconds=wait), as_json=as_json)


@app.command(epilog="Example: warehouse build +company_health_metrics+ --as-of 2026-01-31")
def build(
    selectors: Annotated[
        list[str] | None, typer.Argument(help="dbt selectors; everything by default.")
    ] = None,
    full_refresh: RefreshOption = False,
    as_of: AsOfOption = None,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Build and test the models on what has landed."""
    if selectors:
        require_selection(load_settings(), selectors)
    plan = Plan(
        "build",
        selectors=selectors or [],
        full_refresh=full_refresh,
        as_of=moment("--as-of", as_of),
        wait_seconds=wait,
    )
    _run(plan, as_json=as_json)


@app.command(epilog="Example: warehouse run --full --wait 600")
def run(
    full: FullOption = False,
    full_refresh: RefreshOption = False,
    as_of: AsOfOption = None,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Sync all sources, then build."""
    plan = Plan(
        "run",
        sources=chosen_sources([]),
        selectors=[],
        full=full,
        full_refresh=full_refresh,
        as_of=moment("--as-of", as_of),
        wait_seconds=wait,
    )
    _run(plan, as_json=as_json)


@app.command(epilog="Example: warehouse publish --wait 600")
def publish(wait: WaitOption = 0, as_json: JsonOption = False) -> None:
    """Audit the marts as they are, and show them to readers; after a `dbt build` by hand."""
    _run(Plan("publish", publishes=True, wait_seconds=wait), as_json=as_json)


@app.command(epilog="Example: warehouse demo --scale 2")
def demo(
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Serve DIR/<entities>.jsonl[.gz] instead."),
    ] = None,
    scale: Annotated[float, typer.Option(help="1 is about 6,000 orders.", min=0.01)] = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Run the whole journey on a local API: two days of data, two syncs, two builds."""
    result = demo_journey.run_demo(load_settings(), data, scale, Reporter(silent=as_json), as_json)
    if as_json:
        _print_json(result)
    if not result["succeeded"]:
        raise typer.Exit(1)


@app.command(epilog="Example: WAREHOUSE_HOME=~/health warehouse init")
def init(as_json: JsonOption = False) -> None:
    """Create the home, the ledger, the raw tables and the reference data; safe to repeat."""
    settings = load_settings()
    require_real_home(settings)
    report = init_home.initialise(settings, Reporter(silent=as_json))
    if as_json:
        _print_json(report)
        return
    for line in report["done"]:
        typer.echo(line)
    typer.echo(
        "Next: set the sources in .dlt/config.toml and .dlt/secrets.toml, then warehouse run"
    )


@app.command(epilog="Example: warehouse status --json")
def status(as_json: JsonOption = False) -> None:
    """Show the last runs, how far each entity is complete, breakers and rejected records."""
    settings = load_settings()
    report = status_report.collect(settings)
    if as_json:
        _print_json(report)
    else:
        status_report.show(summary.open_console(), report)


@app.command(epilog="Example: warehouse health --json")
def health(as_json: JsonOption = False) -> None:
    """Say whether the pipeline is well, and what to do; exits 1 when something is wrong."""
    settings = load_settings()
    require_ledger(settings)
    checks = watch_once(settings)
    wrong = [check for check in checks if not check.is_healthy]
    if as_json:
        _print_json({"succeeded": not wrong, "checks": [vars(check) for check in checks]})
    else:
        health_report.show(summary.open_console(), checks)
    if wrong:
        raise typer.Exit(1)


@app.command(epilog="Example: warehouse check --suite marts")
def check(
    suite: Annotated[
        str | None, typer.Option(metavar="raw|marts", help="One suite; both by default.")
    ] = None,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Run the expectations on raw and marts, and write their pages; publishes nothing."""
    report = quality_report.run_checks(load_settings(), suite, wait)
    if as_json:
        _print_json(report)
    else:
        quality_report.show(summary.open_console(), report)
    if not report["succeeded"]:
        raise typer.Exit(1)


@app.command(epilog="Example: warehouse maintain --dry-run")
def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Forget what is old by policy, and never what was not consumed; `serve` does it daily."""
    report = maintenance.maintain(load_settings(), dry_run=dry_run, wait_seconds=wait)
    if as_json:
        _print_json(report)
    else:
        maintenance.show(summary.open_console(), report)


app.command(epilog="Example: warehouse export health --account a42 --out health.csv")(
    export_command.export
)


@app.command(epilog="Example: warehouse docs --wait 600")
def docs(wait: WaitOption = 0, as_json: JsonOption = False) -> None:
    """Write dbt docs and Data Docs, and one page that links them and the dashboard."""
    page = docs_command.write_docs(load_settings(), wait)
    if as_json:
        _print_json({"succeeded": True, "page": str(page)})
    else:
        typer.echo(f"Open {page}")


def _run(plan: Plan, *, as_json: bool) -> None:
    settings = load_settings()
    if plan.sources is not None:
        require_real_home(settings)
    result = run_cycle(settings, plan, Reporter(silent=as_json))
    watch_once(settings)
    if as_json:
        _print_json(result.as_json())
    else:
        _show(result, settings)
    if not result.succeeded:
        raise typer.Exit(1)


def _show(result: CycleResult, settings: Settings) -> None:
    console = summary.open_console()
    if result.syncs:
        summary.print_syncs(console, result)
        if any(sync.counts.dead for sync in result.syncs):
            summary.print_dead_letters(console, settings)
    if result.build is not None:
        summary.print_build(console, result.build)
    if result.publication is not None:
        summary.print_publication(console, result.publication)
    errors = open_errors()
    for warning in result.warnings:
        print_warning(errors, warning)
    for error in result.errors:
        print_error(errors, error)


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, default=str))
