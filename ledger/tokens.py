"""Tokens of the API: a secret shown once ─▶ its hash, scopes, account and limit in the ledger.

A token reads `whk_<id>_<secret>`. The secret has 256 bits, so a plain SHA-256 of it cannot be
searched; the id finds the row, and the hashes are compared in constant time.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from ledger.errors import SettingsError
from ledger.tables import api_tokens

SCOPES = ("export", "metrics", "sync", "admin")
ADMIN = "admin"
PREFIX = "whk"
REQUESTS_PER_MINUTE = 600


@dataclass(frozen=True)
class Token:
    """A token as the ledger knows it. Without an account it is for every account."""

    token_id: str
    name: str
    account_id: str | None
    scopes: tuple[str, ...]
    requests_per_minute: int
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    secret_hash: str

    def __repr__(self) -> str:
        return f"Token({self.token_id}, {self.name!r})"

    def allows(self, scope: str) -> bool:
        """Whether it has a scope; `admin` has all."""
        return scope in self.scopes or ADMIN in self.scopes

    def reads(self, account_id: str) -> bool:
        """Whether it may see an account's rows."""
        return self.account_id is None or self.account_id == account_id


def create_token(
    ledger: Engine,
    name: str,
    scopes: Sequence[str],
    account_id: str | None = None,
    requests_per_minute: int = REQUESTS_PER_MINUTE,
) -> tuple[Token, str]:
    """A new token and its text, which is kept nowhere.

    Raises:
        SettingsError: no scope, an unknown one, or one that reaches beyond the token's account.
    """
    _check(scopes, account_id)
    token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    token = Token(
        token_id=token_id,
        name=name,
        account_id=account_id,
        scopes=tuple(dict.fromkeys(scopes)),
        requests_per_minute=requests_per_minute,
        created_at=datetime.now(UTC),
        revoked_at=None,
        last_used_at=None,
        secret_hash=_hash(secret),
    )
    values = vars(token) | {"scopes": " ".join(token.scopes)}
    with ledger.begin() as connection:
        connection.execute(insert(api_tokens).values(**values))
    return token, f"{PREFIX}_{token_id}_{secret}"


def _check(scopes: Sequence[str], account_id: str | None) -> None:
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        found = f"no scope {unknown[0]!r}" if unknown else "a token needs a scope"
        raise SettingsError(f"{found}; there are {', '.join(SCOPES)}")
    beyond = [scope for scope in scopes if scope in ("sync", ADMIN)]
    if account_id is not None and beyond:
        raise SettingsError(
            f"scope {beyond[0]!r} reaches beyond one account; leave --account or the scope out"
        )


def list_tokens(ledger: Engine) -> list[Token]:
    """All tokens, oldest first, revoked ones too."""
    with ledger.connect() as connection:
        rows = connection.execute(select(api_tokens).order_by(api_tokens.c.created_at)).all()
    return [_token(row) for row in rows]


def revoke_token(ledger: Engine, token_id: str) -> Token:
    """Make a token worthless from now on; again is no error.

    Raises:
        SettingsError: there is no such token.
    """
    column = api_tokens.c
    change = (
        update(api_tokens)
        .where(column.token_id == token_id)
        .values(revoked_at=func.coalesce(column.revoked_at, datetime.now(UTC)))
    )
    with ledger.begin() as connection:
        if connection.execute(change).rowcount == 0:
            raise SettingsError(f"no token has the id {token_id!r}; see warehouse tokens list")
        return tokens_by_id(connection, [token_id])[token_id]


def tokens_by_id(connection: Connection, ids: Iterable[str]) -> dict[str, Token]:
    """Tokens of some ids, as they are now."""
    query = select(api_tokens).where(api_tokens.c.token_id.in_(list(ids)))
    return {row.token_id: _token(row) for row in connection.execute(query)}


def parse_token(text: str) -> tuple[str, str] | None:
    """Id and secret of a token's text; None when it is none."""
    prefix, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    if prefix != PREFIX or not token_id or not secret or len(text) > 200:
        return None
    return token_id, secret


def is_valid(token: Token | None, secret: str) -> bool:
    """Whether a secret is the token's and the token is not revoked, in constant time."""
    known = token.secret_hash if token is not None else _NOBODY
    fits = hmac.compare_digest(_hash(secret), known)
    return fits and token is not None and token.revoked_at is None


def find_valid(ledger: Engine, text: str) -> Token | None:
    """The token of a text, if it is valid now."""
    parsed = parse_token(text)
    if parsed is None:
        return None
    with ledger.connect() as connection:
        token = tokens_by_id(connection, [parsed[0]]).get(parsed[0])
    return token if is_valid(token, parsed[1]) else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


# Compared with when there is no such token, so that the answer takes as long.
_NOBODY = _hash(secrets.token_urlsafe(32))


def _token(row: Row[tuple[object, ...]]) -> Token:
    values = dict(row._mapping)
    return Token(**values | {"scopes": tuple(str(values["scopes"]).split())})
