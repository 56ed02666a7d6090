"""What dbt does anew for every node and need not: a quarter of the time of a build of small tables.

Each shortcut gives what dbt gives, which `tests/unit/test_dbt_shortcuts.py` compares, and takes
dbt's own way where it does not know better. They are taken by `take_shortcuts`, not by an import,
and only with the versions of dbt that they were compared with.
"""

import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from threading import get_ident
from types import CodeType, NoneType, SimpleNamespace
from typing import Any

import jinja2
import parsedatetime
from dbt.adapters.base.impl import DEFAULT_BASE_BEHAVIOR_FLAGS
from dbt.adapters.postgres.connections import PostgresConnectionManager
from dbt.cli import requires
from dbt.compilation import Linker
from dbt.config.runtime import RuntimeConfig
from dbt.context.macros import MacroNamespaceBuilder
from dbt.context.manifest import ManifestContext
from dbt.context.providers import generate_runtime_macro_context
from dbt.plugins.manager import PluginManager
from dbt_common import behavior_flags
from dbt_common.clients.jinja import (
    MacroFuzzEnvironment,
    MacroFuzzTemplate,
    NativeSandboxEnvironment,
    NativeSandboxTemplate,
)
from dbt_common.events import base_types, event_manager
from dbt_common.events.event_manager import EventManager
from dbt_common.invocation import get_invocation_id
from dbt_common.utils import dict as dicts
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from operations.dbt_connections import close_connections, keep_connection, open_connection
from operations.dbt_macros import build_namespace, context_dict, namespace_of

installed = cache(version)
COMPARED_WITH = {
    "dbt-core": "1.11.",
    "dbt-common": "1.39.",
    "dbt-adapters": "1.24.",
    "dbt-postgres": "1.11.",
}
BEHAVIOR_FLAGS = tuple(DEFAULT_BASE_BEHAVIOR_FLAGS)
"""What dbt begins with."""
compiled: dict[tuple[Any, ...], CodeType] = {}
"""Code of templates by environment and text: hooks, models and tests are the same in each build."""
contexts: dict[tuple[Any, ...], dict[str, Any]] = {}
"""Contexts of macros, of one command: they hold its project, variables and moment."""
PLAIN = frozenset((str, int, float, bool, NoneType))
"""Types whose values nobody can change."""
packages: dict[tuple[str, str], dict[str, RuntimeConfig]] = {}
"""Those that come with dbt, by project and adapter."""
acyclic: set[frozenset[tuple[str, str]]] = set()
"""Edges of graphs that were searched for cycles."""


def compile_once(
    self: jinja2.Environment,
    source: str,
    name: str | None = None,
    filename: str | None = None,
    raw: bool = False,
    defer_init: bool = False,
) -> Any:
    """`Environment.compile`. An environment that notes what a template lacks reads it anew."""
    key = (type(self), source, name, filename, raw, defer_init)
    if key in compiled and self.undefined is jinja2.Undefined:
        return compiled[key]
    code = jinja2.Environment.compile(self, source, name, filename, raw, defer_init)  # type: ignore[call-overload]
    if self.undefined is jinja2.Undefined:
        compiled[key] = code
    return code


def message_of(values: dict[str, Any], message: Message) -> Message:
    """`ParseDict`, which converts from JSON's types, and that only where a value needs it."""
    try:
        return type(message)(**values)
    except (AttributeError, TypeError, ValueError):
        return ParseDict(values, message)


def event_message(event: base_types.BaseEvent, level: base_types.EventLevel | None = None) -> Any:
    """`msg_from_base_event`, without writing down and reading again when it happened."""
    name = type(event).__name__
    info = {
        "level": (level or event.level_tag()).value,
        "msg": event.message(),
        "invocation_id": get_invocation_id(),
        "extra": base_types.get_global_metadata_vars(),
        "ts": datetime.now(UTC),
        "pid": base_types.get_pid(),
        "thread": base_types.get_thread_name(),
        "code": event.code(),
        "name": name,
    }
    return getattr(event.PROTO_TYPES_MODULE, f"{name}Msg")(info=info, data=event.pb_msg)


def fire_event(
    self: EventManager,
    event: base_types.BaseEvent,
    level: base_types.EventLevel | None = None,
    node: Any = None,
    force_warn_or_error_handling: bool = False,
    fire: Callable[..., None] = EventManager.fire_event,
) -> None:
    """The same for what anybody hears; callbacks, as every log, do without `debug` if nobody asks.

    These are nine of ten events, and each is put into words for whoever may be listening.
    """
    debug = base_types.EventLevel.DEBUG
    if (level or event.level_tag()) != debug or any(log.level == debug for log in self.loggers):
        fire(self, event, level, node, force_warn_or_error_handling)


def deep_copy(value: Any) -> Any:
    """`deepcopy` of what a relation is made of; plain values need no copy."""
    if type(value) is dict:
        return {key: deep_copy(inner) for key, inner in value.items()}
    return value if type(value) in PLAIN else deepcopy(value)


def macro_context(macro: Any, config: Any, resolver: Any, package: str | None) -> dict[str, Any]:
    """`generate_runtime_macro_context`: once for each macro that an adapter runs, and thread.

    It holds a thread's stack of calls, and nothing of the node that the macro is run for.
    """
    key = (get_ident(), macro.unique_id, id(config), id(resolver), package)
    if key not in contexts:
        contexts[key] = generate_runtime_macro_context(macro, config, resolver, package)
    return contexts[key]


def graph_summary(self: Linker, manifest: Any) -> dict[int, dict[str, Any]]:
    """`Linker.get_graph_summary`, without writing down all of a node to learn its type."""
    index = {name: number for number, name in enumerate(self.graph)}
    summary: dict[int, dict[str, Any]] = {}
    for name, number in index.items():
        summary[number] = {"name": name, "type": str(manifest.expect(name).resource_type)}
        if following := [index[after] for after in self.graph.successors(name)]:
            summary[number]["succ"] = following
    return summary


def find_cycles(self: Linker, search: Callable[[Linker], str | None] = Linker.find_cycles) -> Any:
    """The same; a graph without a cycle is searched once."""
    edges = frozenset(self.graph.edges)
    if edges not in acyclic:
        if cycle := search(self):
            return cycle
        acyclic.add(edges)
    return None


def load_dependencies(
    self: RuntimeConfig,
    base_only: bool = False,
    load: Callable[..., Mapping[str, RuntimeConfig]] = RuntimeConfig.load_dependencies,
) -> Mapping[str, RuntimeConfig]:
    """The same; dbt's own packages, which hold nothing of a command, are read once."""
    if self.dependencies is None and not self.packages.packages:
        key = (self.project_root, self.credentials.type)
        if key not in packages:
            packages[key] = {
                name: package
                for name, package in load(self, base_only).items()
                if package is not self
            }
        self.dependencies = {self.project_name: self} | packages[key]
    return load(self, base_only)


def flag_source() -> str:
    """`BehaviorFlagRendered._default_source`, without the source lines of everything that runs."""
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        name = frame.f_globals.get("__name__")
        if name != behavior_flags.__name__:
            return str(name)
    return "Unknown"


SHORTCUTS: tuple[tuple[Any, str, Any], ...] = (
    (MacroFuzzEnvironment, "compile", compile_once),
    (NativeSandboxEnvironment, "compile", compile_once),
    (base_types, "ParseDict", message_of),
    (event_manager, "msg_from_base_event", event_message),
    (EventManager, "fire_event", fire_event),
    (dicts, "copy", SimpleNamespace(deepcopy=deep_copy)),
    (MacroNamespaceBuilder, "build_namespace", build_namespace),
    (ManifestContext, "_build_namespace", namespace_of),
    # This one would copy all of a context; the other has it looked up.
    (NativeSandboxTemplate, "new_context", MacroFuzzTemplate.new_context),
    (ManifestContext, "to_dict", context_dict),
    (Linker, "get_graph_summary", graph_summary),
    (Linker, "find_cycles", find_cycles),
    (RuntimeConfig, "load_dependencies", load_dependencies),
    # Packages do not appear while a process runs.
    (
        PluginManager,
        "get_prefixed_modules",
        staticmethod(cache(PluginManager.get_prefixed_modules)),
    ),
    (requires, "generate_runtime_macro_context", macro_context),
    (behavior_flags.BehaviorFlagRendered, "_default_source", staticmethod(flag_source)),
    (PostgresConnectionManager, "open", staticmethod(open_connection)),
    (PostgresConnectionManager, "_close_handle", staticmethod(keep_connection)),
    # dbt gives even an empty result a parser of dates, each with patterns of its own.
    (parsedatetime, "Constants", cache(parsedatetime.Constants)),
)


def take_shortcuts() -> None:
    """Let dbt's next command take them, if it is the dbt that they were made for."""
    # PostgreSQL's adapter adds its own to this list with every command, and dbt goes through them.
    DEFAULT_BASE_BEHAVIOR_FLAGS[:] = BEHAVIOR_FLAGS
    if not all(installed(name).startswith(known) for name, known in COMPARED_WITH.items()):
        return
    for owner, name, shortcut in SHORTCUTS:
        setattr(owner, name, shortcut)


def end_command() -> None:
    """Leave nothing of a command behind."""
    contexts.clear()
    close_connections()
