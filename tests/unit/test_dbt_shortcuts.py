"""Shortcuts of dbt give what dbt gives."""

import json
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from pkgutil import iter_modules
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
from agate import Table
from dbt import compilation
from dbt.cli import requires
from dbt.clients.jinja import get_rendered
from dbt.compilation import Linker
from dbt.contracts.graph.nodes import InjectedCTE, ModelNode, SeedNode
from dbt.events.types import LogModelResult, LogTestResult
from dbt.node_types import NodeType
from dbt.plugins.manager import PluginManager
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.clients.jinja import get_environment
from dbt_common.events import base_types, event_manager
from dbt_common.events.types import Note, RetryExternalCall
from dbt_common.exceptions import CompilationError
from dbt_common.utils import dict as dicts
from google.protobuf.json_format import ParseDict

from operations import dbt_shortcuts
from operations.dbt_runner import _forget_compiled

NODE = {
    "node_path": "marts/core/fct_sales.sql",
    "node_name": "fct_sales",
    "unique_id": "model.warehouse.fct_sales",
    "resource_type": "model",
    "materialized": "incremental",
    "node_status": "success",
    "node_started_at": "2026-03-02T12:00:00",
    "node_finished_at": "",
    "meta": {"owner": "sales", "tags": ["a", "b"], "depth": 2, "none": None},
    "node_relation": {"database": "warehouse", "schema": "core", "alias": None},
    "node_checksum": "c",
}
RESULT = {
    "description": "incremental model core.fct_sales",
    "status": "INSERT 0 1",
    "index": 3,
    "total": 72,
    "execution_time": 0.25,
    "node_info": NODE,
}


@pytest.fixture(autouse=True)
def taken() -> None:
    dbt_shortcuts.take_shortcuts()


@pytest.mark.parametrize(
    ("event", "values"),
    [
        (LogModelResult, RESULT),
        (LogModelResult, RESULT | {"index": 3.0, "node_info": {"nodePath": "by its name in JSON"}}),
        (LogTestResult, {"name": "unique", "status": "fail", "num_failures": 2}),
        (Note, {"msg": "said"}),
        (Note, {"msg": None}),
    ],
)
def test_an_event_is_the_same_message(event: Any, values: dict[str, Any]) -> None:
    kind = getattr(event.PROTO_TYPES_MODULE, event.__name__)
    assert dbt_shortcuts.message_of(values, kind()) == ParseDict(values, kind())
    fired = event(**values)
    own = base_types.msg_from_base_event(fired, base_types.EventLevel.WARN)
    short = event_manager.msg_from_base_event(fired, base_types.EventLevel.WARN)
    assert abs(own.info.ts.ToNanoseconds() - short.info.ts.ToNanoseconds()) < 60e9
    short.info.ts.CopyFrom(own.info.ts)
    assert short == own


def test_values_that_are_no_message_are_refused_as_before() -> None:
    with pytest.raises(Exception, match="Unable to parse"):
        LogModelResult(index="third")


def test_debug_is_said_only_where_somebody_listens() -> None:
    def heard(level: str, event: Any) -> list[str]:
        lines: list[str] = []
        manager = event_manager.EventManager()
        log = SimpleNamespace(
            level=base_types.EventLevel(level),
            filter=lambda _: True,
            write_line=lambda message: lines.append(message.info.name),
        )
        manager.loggers.append(log)
        manager.callbacks.append(lambda message: lines.append(f"called {message.info.name}"))
        manager.fire_event(event)
        return lines

    quiet = RetryExternalCall(attempt=1, max=2)
    assert quiet.level_tag() == base_types.EventLevel.DEBUG
    assert heard("info", quiet) == []
    assert heard("debug", quiet) == ["RetryExternalCall", "called RetryExternalCall"]
    assert heard("info", Note(msg="said")) == ["Note", "called Note"]


def test_what_is_merged_is_copied() -> None:
    inner = {"list": [1, {"a": 2}], "set": {3}, "none": None}
    first, second = {"kept": inner, "database": True}, {"kept": {"more": 1}, "database": False}
    merged = dicts.deep_merge(first, second)
    assert merged == {"kept": inner | {"more": 1}, "database": False}
    assert merged["kept"]["list"] is not inner["list"]
    assert merged["kept"]["set"] is not inner["set"]
    assert "more" not in inner


def test_a_template_is_compiled_once_and_means_the_same() -> None:
    text = "{% if wanted %}{{ number + 1 }}{% else %}none{% endif %}"
    assert get_rendered(text, {"wanted": True, "number": 1}) == "2"
    before = len(dbt_shortcuts.compiled)
    assert get_rendered(text, {"wanted": True, "number": 2}) == "3"
    assert get_rendered(text, {"wanted": False}) == "none"
    assert len(dbt_shortcuts.compiled) == before
    assert get_rendered(text, {"wanted": True, "number": 2}, native=True) == 3
    with pytest.raises(CompilationError):
        get_rendered("{% if %}", {})


def test_an_environment_of_its_own_kind_reads_a_template_anew() -> None:
    text = "{{ missing }}"
    for capturing in (False, True, False):
        environment = get_environment(SimpleNamespace(name="m"), capture_macros=capturing)
        assert bool(environment.undefined is jinja2.Undefined) is not capturing
        environment.from_string(text).render({"missing": 1})
    captured = get_rendered("{{ config_of.x }}", {}, capture_macros=True)
    assert captured is not None


def test_a_date_is_still_a_date() -> None:
    table = Table([["2026-03-02", "2026-03-02 10:00"]], ["day", "moment"])
    assert [type(kind).__name__ for kind in table.column_types] == ["Date", "DateTime"]


def test_the_installed_dbt_is_the_one_they_were_made_for(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    shortcuts = ((SimpleNamespace(), "name", "shortcut"),)
    monkeypatch.setattr(dbt_shortcuts, "SHORTCUTS", shortcuts)
    owner = shortcuts[0][0]
    for known in ("0.0.", "1.11."):
        monkeypatch.setitem(dbt_shortcuts.COMPARED_WITH, "dbt-core", known)
        dbt_shortcuts.take_shortcuts()
        taken.append(getattr(owner, "name", "dbt's own"))
    assert taken == ["dbt's own", "shortcut"]


def test_the_source_of_a_flag_is_the_module_that_makes_it() -> None:
    flag = {"name": "new_way", "default": False, "docs_url": "https://example.com"}
    made = BehaviorFlagRendered(flag, {})  # type: ignore[arg-type]
    assert made._behavior_change_event.flag_source == __name__


def test_the_summary_of_a_graph_is_the_same() -> None:
    of_dbt = module_from_spec(spec := spec_from_file_location("of_dbt", compilation.__file__))
    spec.loader.exec_module(of_dbt)
    kinds = {"a": NodeType.Seed, "b": NodeType.Model, "c": NodeType.Test}
    nodes = {
        name: SimpleNamespace(
            resource_type=kind, to_dict=lambda omit_none, kind=kind: {"resource_type": kind.value}
        )
        for name, kind in kinds.items()
    }
    manifest = SimpleNamespace(expect=nodes.__getitem__)
    linkers = of_dbt.Linker(), Linker()
    for linker in linkers:
        linker.graph.add_edges_from([("a", "b"), ("a", "c"), ("b", "c")])
    own, short = (json.dumps(linker.get_graph_summary(manifest)) for linker in linkers)
    assert short == own
    assert '"succ": [1, 2]' in short


def test_an_adapter_runs_a_macro_in_one_context_of_a_command_and_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dbt_shortcuts, "generate_runtime_macro_context", lambda *_: {})
    columns, drop = SimpleNamespace(unique_id="columns"), SimpleNamespace(unique_id="drop")
    config, manifest = object(), object()

    def context(macro: Any = columns, package: str | None = None) -> dict[str, Any]:
        return requires.generate_runtime_macro_context(macro, config, manifest, package)

    with ThreadPoolExecutor(1) as other:
        found = [context(), context(drop), context(package="dbt"), other.submit(context).result()]
    assert len({id(each) for each in found}) == 4
    assert context() is found[0]
    dbt_shortcuts.end_command()
    assert context() is not found[0]


def test_plugins_are_looked_for_once() -> None:
    found = PluginManager.get_prefixed_modules()
    assert found is PluginManager.get_prefixed_modules()
    own = {name for _, name, _ in iter_modules() if name.startswith("dbt_")}
    assert set(found) == own


def test_a_cycle_is_found_in_a_graph_that_had_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbt_shortcuts, "acyclic", set())
    for _ in range(2):
        linker = Linker()
        linker.graph.add_edges_from([("a", "b"), ("b", "c")])
        assert linker.find_cycles() is None
    assert len(dbt_shortcuts.acyclic) == 1
    linker.graph.add_edge("c", "a")
    assert linker.find_cycles() == "a --> b --> c"


def test_packages_of_dbt_are_read_once_a_project_and_adapter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dbt_shortcuts, "packages", {})
    read: list[str] = []

    class Config(SimpleNamespace):
        """A project's configuration, as of one command."""

        project_name = "warehouse"
        dependencies: Any = None

    def load(config: Any, base_only: bool) -> Any:
        if config.dependencies is None:
            read.append(config.project_root)
            config.dependencies = {"warehouse": config, "dbt": f"read {len(read)}"}
        return config.dependencies

    def found(root: str, adapter: str = "duckdb", installed: tuple[str, ...] = ()) -> str:
        config = Config(
            project_root=root,
            credentials=SimpleNamespace(type=adapter),
            packages=SimpleNamespace(packages=installed),
        )
        dependencies = dbt_shortcuts.load_dependencies(config, load=load)
        assert dependencies is config.dependencies
        assert dependencies["warehouse"] is config
        return str(dependencies["dbt"])

    assert found("here") == found("here") == "read 1"
    assert found("there") == "read 2"
    assert found("here", "postgres") == "read 3"
    assert found("here", installed=("helpers",)) == "read 4"
    assert found("here") == "read 1"


def test_what_a_command_compiled_is_not_in_the_next() -> None:
    """Of a manifest that is used again: dbt puts ephemeral models into a node only once."""
    compiled = ModelNode.__new__(ModelNode)
    compiled.extra_ctes = [InjectedCTE("model.warehouse.of_yesterday", "select 1")]
    compiled.extra_ctes_injected, compiled._pre_injected_sql = True, "select 1"
    seed = SeedNode.__new__(SeedNode)
    _forget_compiled(SimpleNamespace(nodes={"a": compiled, "b": seed}))
    assert (compiled.extra_ctes, compiled.extra_ctes_injected) == ([], False)
    assert compiled._pre_injected_sql is None
