"""Data out over HTTP: one gate, exports and metrics, for the web application to mount."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import APIRouter
from sqlalchemy import Engine

from ledger.settings import Settings
from serving.export_api import ExportApi
from serving.gate import Gate
from serving.spool import Spool


@dataclass(frozen=True)
class DataApi:
    """What the web application needs of this package."""

    gate: Gate
    router: APIRouter


@contextmanager
def open_data_api(settings: Settings, ledger: Engine) -> Iterator[DataApi]:
    """The API, at work while the context is open."""
    with Gate(settings, ledger) as gate, Spool(settings, ledger) as spool:
        router = APIRouter()
        router.include_router(ExportApi(gate, spool, ledger).router())
        yield DataApi(gate, router)
