"""Tests that a build of news may leave out: notes of former builds ─▶ tests that would read no row.

A build of news tests the rows that readers do not see yet (see macros/incremental/changes.sql). dbt
selects with a dimension also the facts' references to it. Of facts that are not built, and of
which no former build has left a note, such a test reads nothing, whatever the dimension has lost;
the build of everything reads all.
"""

from collections.abc import Iterable
from typing import Any

from ledger.settings import Settings
from loaders.target import Target
from operations.dbt_runner import parse
from serving.notes import NOTES, changes


def idle_tests(settings: Settings, tables: Iterable[str]) -> list[str]:
    """Names of these tests in a build of what is downstream of raw tables."""
    manifest = parse(settings)
    built = _downstream(manifest, set(tables))
    noted = {name for _, name in changes(Target(settings).fetch(NOTES))}
    return sorted(
        node.name
        for id in built
        if (node := manifest.nodes.get(id)) is not None
        and _is_reference(node)
        and node.attached_node not in built
        and _notes_keys(attached := manifest.nodes[node.attached_node])
        and attached.alias not in noted
    )


def _downstream(manifest: Any, tables: set[str]) -> set[str]:
    if not hasattr(manifest, "child_map"):
        # dbt makes it only when it writes the manifest down.
        manifest.build_parent_and_child_maps()
    found: set[str] = set()
    waiting = [id for id, source in manifest.sources.items() if source.identifier in tables]
    while waiting:
        if (id := waiting.pop()) not in found:
            found.add(id)
            waiting += manifest.child_map[id]
    return found


def _is_reference(node: Any) -> bool:
    """Whether it is a test that fails for rows of the model it is attached to, and no others."""
    metadata = getattr(node, "test_metadata", None)
    return metadata is not None and metadata.name == "relationships"


def _notes_keys(node: Any) -> bool:
    """Whether tests read the rows of noted keys only: `noted_key_column` in the macros."""
    key = node.config.unique_key
    is_by_key = node.config.materialized == "incremental" and isinstance(key, str)
    return is_by_key and node.fqn[1] == "marts" and node.columns[key].data_type == "text"
