"""Thresholds of the rules: `seeds/quality_thresholds.csv` ─▶ numbers by name.

The seed is where they are changed and described; dbt loads the same file, so that a mart or a
person with SQL sees the values that a check used.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import SettingsError

SEED = Path(__file__).parents[1] / "seeds" / "quality_thresholds.csv"


@dataclass(frozen=True)
class Thresholds(Mapping[str, float]):
    """Numbers by name."""

    values_by_name: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def count(self, name: str) -> int:
        """A threshold that counts something."""
        return int(self[name])


def read_thresholds(path: Path = SEED) -> Thresholds:
    """The seed as it is now.

    Raises:
        SettingsError: the file is missing, or a value is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        return Thresholds({row["threshold"]: float(row["value"]) for row in rows})
    except (OSError, KeyError, ValueError) as error:
        raise SettingsError(f"cannot read the thresholds in {path}: {error}") from error
