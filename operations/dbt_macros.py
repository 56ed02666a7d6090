"""Contexts of dbt whose macros are wrapped when they are asked for.

A build makes three or four contexts a node, each with six hundred macros wrapped for it, and asks
for thirty of them: to wrap all takes a tenth of the time, and gives the garbage collector as much
to go through.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dbt.clients.jinja import MacroGenerator
from dbt.context.configured import ConfiguredContext
from dbt.context.macro_resolver import TestMacroNamespace
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.context.manifest import ManifestContext


class Macros(Mapping[str, Any]):
    """Macros by name as dbt's namespaces hold them: `known` ones, wrapped by `wrap` and kept."""

    def __init__(self, known: Mapping[str, Any], wrap: Callable[[Any], Any]) -> None:
        self.known, self.wrap = known, wrap
        self.wrapped: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.wrapped:
            self.wrapped[name] = self.wrap(self.known[name])
        return self.wrapped[name]

    def __setitem__(self, name: str, macro: Any) -> None:
        """Put another in the place of a known one, as dbt's unit tests do."""
        self.wrapped[name] = macro

    def __contains__(self, name: object) -> bool:
        return name in self.known

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)


class MacroContext(dict[str, Any]):
    """A context: what it holds itself, and behind that the macros of `places`, in their order."""

    places: tuple[Mapping[str, Any], ...] = ()

    def look_in(self, namespace: MacroNamespace) -> None:
        """Let macros be found, in the place of what is called as one of them is."""
        self.places = tuple(namespace._search_order())
        for name in [name for name in self if self._place_of(name) is not None]:
            del self[name]

    def _place_of(self, name: object) -> Mapping[str, Any] | None:
        return next((place for place in self.places if name in place), None)

    def __missing__(self, name: str) -> Any:
        place = self._place_of(name)
        if place is None:
            raise KeyError(name)
        found = self[name] = place[name]
        return found

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or self._place_of(name) is not None

    def get(self, name: str, default: Any = None) -> Any:
        """What is called so, or `default`."""
        try:
            return self[name]
        except KeyError:
            return default


def build_namespace(
    self: MacroNamespaceBuilder, macros_by_package: dict[str, Any], ctx: dict[str, Any]
) -> MacroNamespace:
    """`MacroNamespaceBuilder.build_namespace`: within a package, a name is there once."""

    def wrap(macro: Any) -> MacroGenerator:
        return MacroGenerator(macro, ctx, self.node, self.thread_ctx)

    for package, macros in macros_by_package.items():
        own: Any = Macros(macros, wrap)
        if package in self.internal_package_names:
            self.internal_packages[package] = own
            continue
        self.packages[package] = own
        if package == self.search_package:
            self.locals = own
        elif package == self.root_package:
            self.globals = own
    known: dict[str, Any] = {}
    for package in reversed(self.internal_package_names_order):
        known.update(macros_by_package.get(package, {}))
    internal: Any = Macros(known, wrap)
    return MacroNamespace(self.globals, self.locals, internal, self.packages)


def namespace_of(
    self: ManifestContext,
    build: Callable[[ManifestContext], MacroNamespace] = ManifestContext._build_namespace,
) -> MacroNamespace:
    """`ManifestContext._build_namespace`, for a context that finds macros where they are."""
    self._ctx = MacroContext()
    return build(self)


def context_dict(self: ManifestContext) -> dict[str, Any]:
    """`ManifestContext.to_dict`, which would copy every macro into the context."""
    context: dict[str, Any] = ConfiguredContext.to_dict(self)
    namespace: Any = self.namespace
    if isinstance(namespace, TestMacroNamespace):
        context.update(namespace.local_namespace)
        context.update(namespace.project_namespace)
    elif isinstance(context, MacroContext):
        context.look_in(namespace)
    return context
