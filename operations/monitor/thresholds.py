"""Thresholds of the checks: seed `health_thresholds`, or what `[monitor.thresholds]` says."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import dlt

from ledger.errors import SettingsError
from operations.dbt_runner import PROJECT

SEED = PROJECT / "seeds" / "health_thresholds.csv"


@dataclass(frozen=True)
class Threshold:
    """The worst value that is well."""

    value: float
    unit: str
    is_configured: bool = False
    """Whether `[monitor.thresholds]` says so."""


@cache
def _defaults() -> Mapping[str, Threshold]:
    with SEED.open(newline="") as file:
        return {
            row["check_name"]: Threshold(float(row["threshold"]), row["unit"])
            for row in csv.DictReader(file)
        }


def configured_thresholds() -> dict[str, Threshold]:
    """Thresholds by check.

    Raises:
        SettingsError: one is no number, or below 0.
    """
    found = {}
    for name, default in _defaults().items():
        given = dlt.config.get(f"monitor.thresholds.{name}", str)
        try:
            value = default.value if given is None else float(given)
        except ValueError:
            value = -1.0
        if not value >= 0:
            raise SettingsError(
                f"monitor: the threshold of {name} is {given!r}; expected a number of "
                f"{default.unit}, 0 or more, in [monitor.thresholds] in .dlt/config.toml"
            )
        found[name] = Threshold(value, default.unit, is_configured=given is not None)
    return found
