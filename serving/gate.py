"""Who may pass: a bearer token ─▶ the token and the version of this moment, or a refusal.

401 without a valid token, 429 beyond its limit, 403 without the scope. Another account's data is
404, as is an account that does not exist: see `serving.datasets`. A database that is down is 503,
whether a token or a figure is asked of it. Every answer is logged.
"""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import duckdb
import psycopg2
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ledger.access import Access, AccessLog
from ledger.errors import TargetError
from ledger.publications import Publication
from ledger.settings import Settings
from ledger.tokens import Token, is_valid, parse_token
from serving.freshness import Freshness

BEARER = "bearer "
NOT_PUBLISHED = "nothing is published yet; try again later"
OUT_OF_REACH = "the database cannot be reached; try again later"
RETRY_SECONDS = 5
_FAULTS = (
    *(TargetError, SQLAlchemyError, duckdb.OperationalError),
    *(psycopg2.OperationalError, psycopg2.InterfaceError),
)

log = logging.getLogger("warehouse")


class Refused(Exception):
    """A request that gets an answer other than what it asked for."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def asking_the_database() -> Iterator[None]:
    """What is at fault is for the log: a client is told to try again, and no address.

    Raises:
        Refused: 503.
    """
    try:
        yield
    except _FAULTS as error:
        reason = str(error).strip().partition("\n")[0]
        log.error("the database cannot be reached: %s: %s", type(error).__name__, reason)
        raise Refused(503, OUT_OF_REACH, retry_after=str(RETRY_SECONDS)) from error


class Gate:
    """Admits requests while the context is open. Limits are this process's."""

    def __init__(self, settings: Settings, ledger: Engine) -> None:
        self._freshness = Freshness(settings, ledger)
        self._log = AccessLog(ledger)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def __enter__(self) -> Self:
        self._log.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._freshness.close()
        self._log.__exit__(kind, error, trace)

    async def admit(self, authorization: str, scope: str) -> tuple[Token, Publication]:
        """The token and the version that is published now.

        Raises:
            Refused: 401, 429, 403, or 503 while nothing is published or the database is down.
        """
        token, publication = await self._identify(authorization)
        self._limit(token)
        if not token.allows(scope):
            raise Refused(403, f"the token has no scope {scope!r}")
        if publication is None:
            raise Refused(503, NOT_PUBLISHED, retry_after=str(RETRY_SECONDS))
        return token, publication

    async def may(self, authorization: str, scope: str) -> bool:
        """Whether a token is valid and has a scope.

        Raises:
            Refused: 401, 429, or 503 while the database is down.
        """
        token, _ = await self._identify(authorization)
        self._limit(token)
        return token.allows(scope)

    def note(
        self,
        path: str,
        status: int,
        authorization: str,
        account_id: str | None = None,
        rows: int | None = None,
        size: int | None = None,
    ) -> None:
        """Log an answer. A refused token's id is kept if it has the form of one."""
        parsed = parse_token(_bearer(authorization))
        token_id = parsed[0][:64] if parsed else None
        at = datetime.now(UTC)
        self._log.add(Access(token_id, path[:500], account_id, status, at, rows, size))

    def flush(self) -> None:
        """Write what waits to be logged."""
        self._log.flush()

    async def _identify(self, authorization: str) -> tuple[Token, Publication | None]:
        parsed = parse_token(_bearer(authorization))
        if parsed is not None:
            with asking_the_database():
                look = await self._freshness.look(parsed[0])
            token = look.tokens.get(parsed[0])
            if is_valid(token, parsed[1]):
                assert token is not None
                self._log.use(token.token_id)
                return token, look.publication
        reason = "send a valid token: Authorization: Bearer <token>"
        raise Refused(401, reason, www_authenticate="Bearer")

    def _limit(self, token: Token) -> None:
        item = RateLimitItemPerMinute(token.requests_per_minute)
        if self._limiter.hit(item, token.token_id):
            return
        reset = self._limiter.get_window_stats(item, token.token_id).reset_time
        wait = max(1, math.ceil(reset - time.time()))
        reason = f"more than {token.requests_per_minute} requests a minute; wait {wait} s"
        raise Refused(429, reason, retry_after=str(wait))


def _bearer(authorization: str) -> str:
    return authorization[len(BEARER) :] if authorization.lower().startswith(BEARER) else ""
