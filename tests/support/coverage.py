"""What every model owes its reader, read from dbt's manifest: descriptions, keys, contracts."""

from collections.abc import Iterator
from typing import Any


def debts(manifest: dict[str, Any]) -> list[str]:
    """What is missing, one line each; none when all is as it should be."""
    tests = _tests(manifest)
    found: list[str] = []
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model":
            found += _model(node, tests.get(node["unique_id"], []))
        elif node["resource_type"] == "seed":
            found += _descriptions(node)
        elif node["resource_type"] == "test" and node["config"]["severity"].lower() != "error":
            found.append(f"{node['name']}: severity is {node['config']['severity']}")
    for source in manifest["sources"].values():
        found += _descriptions(source)
    return found


def _tests(manifest: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    by_model: dict[str, list[dict[str, Any]]] = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test" and node.get("attached_node"):
            by_model.setdefault(node["attached_node"], []).append(node)
    return by_model


def _model(node: dict[str, Any], tests: list[dict[str, Any]]) -> Iterator[str]:
    yield from _descriptions(node)
    layer = node["fqn"][1]
    if not _has_key(tests):
        # Staging shows the raw log, which may repeat a row: its key is not null, but not unique.
        if layer != "staging":
            yield f"{node['name']}: no key is tested unique and not null"
        elif all(column.startswith("_") for test in tests for column in _required(test)):
            yield f"{node['name']}: no key is tested not null"
    is_mart = layer == "marts"
    if is_mart and not node["contract"]["enforced"]:
        yield f"{node['name']}: the contract is not enforced"
    if is_mart:
        for name, column in node["columns"].items():
            if not column.get("data_type"):
                yield f"{node['name']}.{name}: no data type in the contract"


def _has_key(tests: list[dict[str, Any]]) -> bool:
    """A unique column that is never null, or a unique combination (staging nulls none of it)."""
    kinds = {_kind(test) for test in tests}
    unique = {test["column_name"] for test in tests if _kind(test) == "unique"}
    required = {column for test in tests for column in _required(test)}
    return "unique_combination" in kinds or bool(unique & required)


def _required(test: dict[str, Any]) -> list[str]:
    """Columns that the test lets be null in no row."""
    return list(test["test_metadata"]["kwargs"]["columns"]) if _kind(test) == "never_null" else []


def _kind(test: dict[str, Any]) -> str:
    return str((test.get("test_metadata") or {}).get("name"))


def _descriptions(node: dict[str, Any]) -> Iterator[str]:
    name = f"{node.get('source_name', '')}.{node['name']}".lstrip(".")
    if not (node.get("description") or "").strip():
        yield f"{name}: no description"
    if not node["columns"]:
        yield f"{name}: no column is described"
    for column, described in node["columns"].items():
        if not (described.get("description") or "").strip():
            yield f"{name}.{column}: no description"
