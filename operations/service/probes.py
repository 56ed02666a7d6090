"""Probes of the service: is it alive, can it work, and what do its figures say (Prometheus)."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from ledger.balance import FIGURES, balances
from ledger.health import known_checks
from ledger.publications import current_publication
from ledger.runs import now

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def is_ready(ledger: Engine) -> bool:
    """Whether the ledger answers: without it no event can be taken."""
    try:
        with ledger.connect() as connection:
            connection.execute(text("select 1"))
    except SQLAlchemyError:
        return False
    return True


class _Figures:
    """Reads the ledger whenever it is asked."""

    def __init__(self, ledger: Engine, at: datetime) -> None:
        self._ledger = ledger
        self._at = at

    def collect(self) -> Iterator[Metric]:
        """Every figure of the ledger."""
        with self._ledger.connect() as connection:
            checks = known_checks(connection)
            publication = current_publication(connection)
        healthy = GaugeMetricFamily(
            "warehouse_check_healthy", "1 if the check is well.", labels=["check"]
        )
        value = GaugeMetricFamily(
            "warehouse_check_value", "What the check measured.", labels=["check", "unit"]
        )
        for check in checks:
            healthy.add_metric([check["name"]], float(check["is_healthy"]))
            value.add_metric([check["name"], check["unit"]], check["value"])
        yield from (healthy, value)
        records = GaugeMetricFamily(
            "warehouse_records",
            "Records by what became of them; received is the sum of the others.",
            labels=["way_in", "source", "state"],
        )
        for balance in balances(self._ledger):
            for figure in FIGURES:
                own = [balance.way_in, balance.source, figure]
                records.add_metric(own, float(getattr(balance, figure)))
        yield records
        if publication is not None:
            age = (self._at - publication.created_at).total_seconds()
            yield GaugeMetricFamily(
                "warehouse_publication_version", "Version readers see.", value=publication.version
            )
            yield GaugeMetricFamily(
                "warehouse_publication_age_seconds", "Age of what readers see.", value=age
            )


def metrics(ledger: Engine) -> bytes:
    """The figures in the text format of Prometheus. Raises what the ledger raises."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(ledger, now()))
    return generate_latest(registry)
