"""Macros that are wrapped when asked for are those that dbt finds."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from dbt.clients.jinja import MacroStack, get_rendered
from dbt.context.configured import ConfiguredContext
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.context.manifest import ManifestContext

from operations import dbt_shortcuts
from operations.dbt_macros import MacroContext


@pytest.fixture(autouse=True)
def taken() -> None:
    dbt_shortcuts.take_shortcuts()


def _macros() -> dict[str, dict[str, Any]]:
    names = {
        "warehouse": ("ours", "shared"),
        "helpers": ("theirs", "shared"),
        "dbt": ("shared", "built_in", "of_adapter"),
        "dbt_duckdb": ("of_adapter",),
    }
    return {
        package: {name: SimpleNamespace(name=name, package_name=package) for name in own}
        for package, own in names.items()
    }


def _builder(search: str) -> MacroNamespaceBuilder:
    return MacroNamespaceBuilder("warehouse", search, MacroStack(), ["dbt_duckdb", "dbt"], None)


def _found(namespace: MacroNamespace) -> dict[str, Any]:
    """Macros by name, and those of packages by the package's name."""
    found: dict[str, Any] = {}
    for name, member in namespace.items():
        if isinstance(member, Mapping):
            found[name] = {key: one.macro for key, one in member.items()}
        else:
            found[name] = member.macro
    return found


@pytest.mark.parametrize("search", ["warehouse", "helpers", "dbt"])
def test_a_name_means_the_same_macro(search: str) -> None:
    macros, context = _macros(), {"a": 1}
    own = _builder(search)
    for package in macros.values():
        own.add_macros(package.values(), context)
    internal = own.internal_packages["dbt"] | own.internal_packages["dbt_duckdb"]
    expected = MacroNamespace(own.globals, own.locals, internal, own.packages)
    namespace = _builder(search).build_namespace(macros, context)
    assert _found(namespace) == _found(expected)
    assert namespace.get_from_package("dbt", "of_adapter").macro.package_name == "dbt_duckdb"
    assert namespace["ours"].context is context


def test_packages_are_mappings_of_what_is_asked_for() -> None:
    namespace = _builder("warehouse").build_namespace(_macros(), {})
    package = namespace["dbt"]
    assert package.wrapped == {}
    assert sorted(package) == sorted(package.keys()) == ["built_in", "of_adapter", "shared"]
    assert len(package) == len(package.values()) == 3
    assert package["built_in"] is package.get("built_in")
    assert package.get("ours", "none") == "none"
    assert "ours" not in package
    with pytest.raises(KeyError, match="ours"):
        package["ours"]
    package["shared"] = "a unit test's own"
    assert package["shared"] == "a unit test's own"


def test_a_context_holds_what_its_namespace_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConfiguredContext, "to_dict", lambda self: self._ctx)
    context = object.__new__(ManifestContext)
    context._ctx = MacroContext(var="v", shared="before")
    context.namespace = _builder("helpers").build_namespace(_macros(), context._ctx)
    found = context.to_dict()
    for native in (True, False):
        assert get_rendered("{{ ours.macro.name }} {{ var }}", found, native=native) == "ours v"
    for name, macro in context.namespace.items():
        assert name in found
        assert found[name] is found.get(name) is macro
    assert (found["var"], found.get("absent", 1)) == ("v", 1)
    assert "absent" not in found
    with pytest.raises(KeyError, match="absent"):
        found["absent"]
