"""Progress of long work: bars on a terminal, nothing when a machine reads (`--json`)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from ledger.runs import SyncCounts
from loaders.sync import Progress as SyncProgress


class Reporter:
    """Shows progress on standard error, so that standard output stays clean."""

    def __init__(self, *, silent: bool = False) -> None:
        self._console = Console(stderr=True, quiet=silent)

    @contextmanager
    def syncing(self, source: str) -> Iterator[SyncProgress]:
        """A line for each entity, with the records received so far."""
        columns = (
            SpinnerColumn(),
            TextColumn("[bold]sync[/] {task.description:<24}"),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as bars:
            waiting = bars.add_task(source, total=None, figures="connecting")
            tasks: dict[str, TaskID] = {}

            def report(source: str, entity: str, counts: SyncCounts) -> None:
                bars.update(waiting, visible=False)
                if entity not in tasks:
                    tasks[entity] = bars.add_task(f"{source} {entity}", total=None, figures="")
                figures = f"{counts.received:>9,} received {counts.landed:>9,} landed"
                bars.update(tasks[entity], figures=figures)

            yield report
            for task in tasks.values():
                bars.update(task, total=1, completed=1)
            bars.remove_task(waiting)

    @contextmanager
    def building(self) -> Iterator[Callable[[str, int, int], None]]:
        """One bar over all nodes of the build."""
        columns = (
            SpinnerColumn(),
            TextColumn("[bold]build[/]"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self._console) as bars:
            task = bars.add_task("parsing the project", total=None)

            def report(node: str, index: int, total: int) -> None:
                bars.update(task, description=node, completed=index, total=total)

            yield report
            # Hooks and what is skipped are announced, and not reported.
            bars.update(task, description="done", total=bars.tasks[task].completed)
