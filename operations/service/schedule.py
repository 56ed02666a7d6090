"""What is due: cron expressions ─▶ names, each once when its moment has come."""

from collections.abc import Mapping
from datetime import datetime

from croniter import croniter


class Schedule:
    """Remembers when each name is due next. A moment that was slept through counts once."""

    def __init__(self, expressions: Mapping[str, str], start: datetime) -> None:
        self._expressions = expressions
        self._next = {name: self._after(name, start) for name in expressions}

    def due(self, at: datetime) -> list[str]:
        """Names whose moment has come since they were asked for last."""
        names = [name for name, moment in self._next.items() if moment <= at]
        for name in names:
            self._next[name] = self._after(name, at)
        return names

    def _after(self, name: str, moment: datetime) -> datetime:
        return datetime.fromtimestamp(
            croniter(self._expressions[name], moment).get_next(float), moment.tzinfo
        )
