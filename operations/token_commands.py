"""`warehouse tokens`: who may read exports and metrics, or ask for a sync."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from sqlalchemy import Engine

from ledger.engine import open_ledger
from ledger.settings import load_settings
from ledger.tokens import (
    REQUESTS_PER_MINUTE,
    SCOPES,
    Token,
    create_token,
    list_tokens,
    revoke_token,
)
from operations import summary
from operations.options import JsonOption

app = typer.Typer(no_args_is_help=True, help="Tokens of the exports and metrics API.")


@app.command(epilog="Example: warehouse tokens create acme-bi --scope export --account a42")
def create(
    name: Annotated[str, typer.Argument(help="Who or what uses it.")],
    scope: Annotated[list[str], typer.Option(help=f"One or more of {', '.join(SCOPES)}.")],
    account: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this account's rows; all by default.")
    ] = None,
    requests_per_minute: Annotated[
        int, typer.Option(help="More are answered 429.", min=1)
    ] = REQUESTS_PER_MINUTE,
    as_json: JsonOption = False,
) -> None:
    """Create a token; its secret is shown once."""
    ledger = _ledger()
    token, text = create_token(ledger, name, scope, account, requests_per_minute)
    ledger.dispose()
    if as_json:
        typer.echo(json.dumps(_as_json(token) | {"token": text}))
        return
    typer.echo(text)
    typer.echo("This is shown once. Send it as: Authorization: Bearer <token>", err=True)


@app.command("list", epilog="Example: warehouse tokens list --json")
def list_all(as_json: JsonOption = False) -> None:
    """List tokens, revoked ones too; no secret is kept, so none is shown."""
    ledger = _ledger()
    tokens = list_tokens(ledger)
    ledger.dispose()
    if as_json:
        typer.echo(json.dumps({"tokens": [_as_json(token) for token in tokens]}))
        return
    table = Table()
    for column in ("id", "name", "account", "scopes", "a minute", "created", "last used", "status"):
        table.add_column(column)
    for token in tokens:
        table.add_row(
            token.token_id,
            token.name,
            token.account_id or "all",
            " ".join(token.scopes),
            str(token.requests_per_minute),
            _short(token.created_at),
            _short(token.last_used_at),
            "revoked" if token.revoked_at else "valid",
        )
    summary.open_console().print(table if tokens else "no tokens")


@app.command(epilog="Example: warehouse tokens revoke 3f9a1c20b7de")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the token.")],
    as_json: JsonOption = False,
) -> None:
    """Make a token worthless, at once."""
    ledger = _ledger()
    token = revoke_token(ledger, token_id)
    ledger.dispose()
    typer.echo(json.dumps(_as_json(token)) if as_json else f"{token.token_id} is revoked")


def _ledger() -> Engine:
    return open_ledger(load_settings())


def _short(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M") if moment else "-"


def _as_json(token: Token) -> dict[str, Any]:
    shown = {name: value for name, value in vars(token).items() if name != "secret_hash"}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in shown.items()
    }
