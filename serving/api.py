"""Data out over HTTP: one gate, exports and metrics, for the web application to mount."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import APIRouter
from sqlalchemy import Engine

from ledger.settings import Settings
from serving.cache import AnswerCache
from serving.export_api import ExportApi
from serving.gate import Gate
from serving.metrics_api import MetricsApi
from serving.pool import ReaderPool
from serving.semantic import SemanticFile
from serving.spool import Spool


@dataclass(frozen=True)
class DataApi:
    """What the web application needs of this package."""

    gate: Gate
    router: APIRouter
    metrics: MetricsApi
    """An ASGI application for the paths below `/metrics/`."""


@contextmanager
def open_data_api(settings: Settings, ledger: Engine) -> Iterator[DataApi]:
    """The API, at work while the context is open. `REDIS_URL` names a Redis to share answers."""
    manifest = settings.home / "target" / "semantic_manifest.json"
    with Gate(settings, ledger) as gate, Spool(settings, ledger) as spool:
        metrics = MetricsApi(
            gate,
            SemanticFile(manifest, settings.engine_name),
            ReaderPool(settings),
            AnswerCache(os.environ.get("REDIS_URL")),
        )
        router = APIRouter()
        router.include_router(ExportApi(gate, spool, ledger).router())
        try:
            yield DataApi(gate, router, metrics)
        finally:
            metrics.close()
