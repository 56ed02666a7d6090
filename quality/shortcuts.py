"""What Great Expectations does over and over and need not: a third of the time of a check.

An expectation writes itself down as a configuration for every value that is read from it, and a
context that saves nothing writes itself down as YAML for every table that is looked at.
"""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from typing import Any

from great_expectations.expectations.expectation import Expectation, parse_result_format

installed = cache(version)
COMPARED_WITH = "1.24."
NAMES = ("_get_domain_kwargs", "_get_success_kwargs", "_get_runtime_kwargs")
OWN = {name: getattr(Expectation, name) for name in NAMES}
"""How Great Expectations reads values itself."""


def take_shortcuts() -> None:
    """Let expectations in this process write themselves down once for all values read together.

    Only with the version of Great Expectations that they were compared with.
    """
    if not installed("great_expectations").startswith(COMPARED_WITH):
        return
    shortcuts = (_domain_kwargs, _success_kwargs, _runtime_kwargs)
    for name, shortcut in zip(NAMES, shortcuts, strict=True):
        setattr(Expectation, name, shortcut)


def save_nothing(context: Any) -> None:
    """Let an ephemeral context keep its tables without writing itself down for each."""
    context._save_project_config = lambda: None


def _values(expectation: Any, keys: Iterable[str]) -> dict[str, Any]:
    kwargs = expectation.configuration.kwargs
    return {key: kwargs.get(key, expectation._get_default_value(key)) for key in keys}


def _domain_kwargs(self: Any) -> dict[str, Any]:
    return _values(self, self.domain_keys)


def _success_kwargs(self: Any) -> dict[str, Any]:
    return _values(self, (*self.success_keys, *self.domain_keys))


def _runtime_kwargs(self: Any, runtime_configuration: dict[str, Any] | None = None) -> Any:
    given = runtime_configuration or {}
    own = (*self.success_keys, *self.domain_keys)
    values = _values(self, (*self.runtime_keys, *own))
    # What is said for a run counts for its own keys alone.
    values |= {key: given[key] for key in self.runtime_keys if key in given and key not in own}
    return values | {"result_format": parse_result_format(values["result_format"])}
