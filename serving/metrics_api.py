"""`GET /metrics/{name}?group_by=&filters=`: a token ─▶ a figure of the version of this moment.

Plain ASGI: an answer that is kept costs little more than looking up version and token, which many
requests share (`serving.freshness`). A token of one account sees that account's figures; metrics
that sum over accounts are 403 for it.
"""

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from starlette.types import Receive, Scope, Send

from ledger.errors import NotFoundError, NotPublishedError, RequestError
from ledger.publications import Publication
from ledger.tokens import Token
from serving.cache import AnswerCache, Kept
from serving.gate import RETRY_SECONDS, Gate, Refused, asking_the_database
from serving.metrics import compute, key_of
from serving.pool import SIZE, ReaderPool
from serving.semantic import MEMBER, Filter, MetricQuery, SemanticFile, SemanticLayer

METRICS = "/metrics/"
PARAMETERS = ("group_by", "filters")
QUESTIONS_KNOWN = 1024
"""So many need not be read again: dashboards ask the same all day."""
_FILTER = re.compile(r"([A-Za-z_0-9]+)(:|>=|<)(.*)", re.DOTALL)
_BETWEEN = re.compile(r",(?=[A-Za-z_0-9]+(?::|>=|<))")
_ENCODER = msgspec.json.Encoder()

log = logging.getLogger("warehouse")


class MetricsApi:
    """Answers metrics; as an ASGI application it has the paths below `/metrics/`."""

    def __init__(
        self, gate: Gate, semantics: SemanticFile, pool: ReaderPool, cache: AnswerCache
    ) -> None:
        self._gate = gate
        self._semantics = semantics
        self._pool = pool
        self._cache = cache
        self._threads = ThreadPoolExecutor(SIZE, "metrics")

    def close(self) -> None:
        """End the threads and connections."""
        self._threads.shutdown()
        self._pool.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}
        authorization = headers.get(b"authorization", "")
        token: Token | None = None
        sent: dict[str, str] = {}
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise Refused(405, "figures are read by GET", allow="GET, HEAD")
            token, publication = await self._gate.admit(authorization, "metrics")
            status, body, sent = await self._find(scope, headers, token, publication)
        except Refused as error:
            status, sent = error.status, error.headers
            body = _ENCODER.encode({"error": str(error)})
        except Exception:
            log.exception("a metric could not be answered")
            status, body = 500, _ENCODER.encode({"error": "the figure could not be computed"})
        account_id = token.account_id if token is not None else None
        self._gate.note(scope["path"], status, authorization, account_id, size=len(body))
        await _send(send, status, sent, body, bodiless=scope["method"] == "HEAD" or status == 304)

    async def _find(
        self, scope: Scope, headers: dict[bytes, str], token: Token, publication: Publication
    ) -> tuple[int, bytes, dict[str, str]]:
        name = unquote(scope["path"].removeprefix(METRICS))
        try:
            layer = self._semantics.layer()
            if not name:
                return 200, _ENCODER.encode(_catalogue(layer)), {}
            query = _limited(layer, _query(name, scope["query_string"].decode("latin-1")), token)
            with asking_the_database():
                kept = await self._kept(layer, query, publication)
        except NotFoundError as error:
            raise Refused(404, str(error)) from error
        except RequestError as error:
            raise Refused(400, str(error)) from error
        except NotPublishedError as error:
            raise Refused(503, str(error), retry_after=str(RETRY_SECONDS)) from error
        sent = {
            "etag": kept.tag,
            "age": str(kept.age),
            "cache-control": "private, no-cache",
            "x-publication-version": kept.tag[1:].partition("-")[0],
            "x-as-of": kept.as_of,
        }
        if kept.tag in headers.get(b"if-none-match", ""):
            return 304, b"", sent
        return 200, kept.body, sent

    async def _kept(
        self, layer: SemanticLayer, query: MetricQuery, publication: Publication
    ) -> Kept:
        key = key_of(query, publication)
        kept = self._cache.find(key)
        if kept is not None:
            return kept

        def work() -> Kept:
            return self._cache.find_or_compute(
                key, lambda: compute(layer, self._pool, query, publication)
            )

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


@lru_cache(QUESTIONS_KNOWN)
def _query(name: str, query_string: str) -> MetricQuery:
    group_by: list[str] = []
    filters: list[Filter] = []
    for parameter, text in parse_qsl(query_string, keep_blank_values=True):
        if parameter not in PARAMETERS:
            raise RequestError(f"no parameter {parameter!r}; there are {', '.join(PARAMETERS)}")
        if parameter == "group_by":
            group_by += [part.strip() for part in text.split(",") if part.strip()]
        elif text:
            filters += [_filter(part) for part in _BETWEEN.split(text)]
    unique = sorted(filters, key=lambda one: (one.name, one.operator, one.values))
    return MetricQuery(name, tuple(dict.fromkeys(group_by)), tuple(unique))


def _filter(text: str) -> Filter:
    found = _FILTER.fullmatch(text)
    if found is None:
        raise RequestError(
            f"filters is {text!r}; give name:value, name:one|other, name>=value or name<value"
        )
    name, operator, rest = found.groups()
    return Filter(name, operator, tuple(rest.split("|")) if operator == MEMBER else (rest,))


def _limited(layer: SemanticLayer, query: MetricQuery, token: Token) -> MetricQuery:
    """The query over the rows that the token may see."""
    dimension = layer.account_dimension(query.metric)
    if token.account_id is None:
        return query
    if dimension is None:
        raise Refused(
            403, f"metric {query.metric!r} sums over accounts; it needs a token for all accounts"
        )
    own = Filter(dimension, MEMBER, (token.account_id,))
    return replace(query, filters=(*query.filters, own))


def _catalogue(layer: SemanticLayer) -> dict[str, Any]:
    return {
        "metrics": [
            {
                "name": one.name,
                "label": one.label,
                "description": one.description,
                "kind": one.kind,
                "dimensions": list(layer.dimensions(one.name)),
            }
            for one in layer.metrics.values()
        ]
    }


async def _send(
    send: Send, status: int, sent: dict[str, str], body: bytes, *, bodiless: bool
) -> None:
    headers = [(name.encode(), value.encode()) for name, value in sent.items()]
    headers.append((b"content-type", b"application/json"))
    if status != 304:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bodiless else body})
