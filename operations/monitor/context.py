"""What a check sees, and how it gives its verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine

from ledger.settings import Settings
from operations.monitor.thresholds import Threshold

SHOWN = 200


@dataclass(frozen=True)
class Check:
    """What one check said."""

    name: str
    is_healthy: bool
    value: float
    threshold: float
    unit: str
    root_cause: str
    advice: str
    """What is wrong and what to do; empty while all is well."""


@dataclass(frozen=True)
class Context:
    """What a check may look at."""

    settings: Settings
    ledger: Engine
    connection: Connection
    thresholds: dict[str, Threshold]
    at: datetime
    queue_limit: int
    reads_stream: bool
    schedules: Mapping[str, str] = field(default_factory=dict)
    """What `serve` does when, as cron expressions."""

    def check(
        self,
        name: str,
        value: float,
        root_cause: str,
        advice: str,
        *,
        at_least: bool = False,
        threshold: Threshold | None = None,
    ) -> Check:
        """A verdict; the name may go on after a colon. `at_least`: more is better."""
        threshold = threshold or self.thresholds[name.partition(":")[0]]
        well = value >= threshold.value if at_least else value <= threshold.value
        return Check(
            name,
            well,
            round(value, 4),
            threshold.value,
            threshold.unit,
            root_cause,
            "" if well else " ".join(advice.split())[: SHOWN * 3],
        )

    def minutes_since(self, moment: datetime | None) -> float:
        """Minutes, 0 when there was no such moment."""
        return 0.0 if moment is None else max((self.at - moment).total_seconds() / 60, 0.0)
