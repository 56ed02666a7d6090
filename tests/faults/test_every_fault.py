"""Every fault is noticed by the next cycle, told once, hidden from readers, and heals by itself.

One table, one test: a warehouse that is well meets the fault in a cycle. The first look after that
cycle names the root cause, one message says what it is, readers see what they saw; the next cycle
does not repeat it; and the first cycle after the cause is gone makes all well, with one message and
without a command. (A dead letter waits for somebody's decision: closing it is part of the mending.)
Late data, a ledger that is gone and an alert channel that is down are in `test_operations.py`, a
lost broker is in `test_broker_loss.py`. How fast a message comes is measured by
`benchmarks/alerts.py`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import assert_complete, faults
from support.modelled import BY_NAME, ModelledWarehouse
from support.on_call import SYNC, OnCall, Sink
from support.serving import served
from support.template import MakeTemplate, Template
from support.warehouse import Warehouse

from demo import SOURCES, DemoServer, Store
from ledger.engine import open_ledger
from ledger.errors import TargetError
from ledger.runs import now
from ledger.settings import Settings
from operations.cycle import run_cycle
from operations.plan import Plan
from operations.progress import Reporter
from serving.reader import open_published

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = Plan("build", news=frozenset({"commerce__orders", "commerce__order_items"}), as_of=AS_OF)
FACTS = Plan("build", selectors=("fct_sales",), as_of=AS_OF)


@dataclass(frozen=True)
class Case:
    """A fault, and what is to be seen of it."""

    name: str
    inject: faults.Injection
    causes: str | None
    """Root causes at fault, one message each; none: the next cycle heals it unnoticed."""
    words: str = ""
    """What the first message says."""
    cycle: Plan | None = SYNC
    """What meets it; none: nothing but a look."""
    fails: str | None = None
    """What the cycle's failure says; none: it does all it should."""


LETTERS = "warehouse dead-letters"
CASES = (
    Case("API down", faults.served("outage"), "source:crm", "status 503", fails="status 503"),
    Case(
        "token revoked",
        faults.served("unauthorized"),
        "source:crm",
        "check api_token",
        fails="api_token",
    ),
    Case(
        "HTML with status 200",
        faults.served("html"),
        "source:crm",
        "no page of records",
        fails="no page",
    ),
    Case("breaker open", faults.open_breaker, "source:crm", cycle=None),
    Case("field new", faults.new_field, None),
    Case("field missing", faults.drifted(name=faults.MISSING), "dead_letters", LETTERS),
    Case("type changed", faults.drifted(name=3), "dead_letters", LETTERS),
    Case("events not landed", faults.event_that_nobody_lands, "inbox ledger", cycle=None),
    Case("Kafka down", faults.silent_broker, "stream", "broker", cycle=None),
    Case("disk full", faults.full_disk, "source:crm", "File too large", fails="landing failed"),
    Case(
        "disk nearly full",
        faults.configured(disk_free=1_000_000),
        "disk",
        "warehouse maintain",
        cycle=None,
    ),
    Case("database restarted", faults.restarted_database, None),
    Case("ledger locked", faults.locked_ledger, "ledger", "lock", cycle=None),
    Case(
        "model broken",
        faults.spoiled(
            "alter table core.fct_sales add column in_the_way integer",
            "alter table core.fct_sales drop column in_the_way",
        ),
        "build",
        "fct_sales",
        FACTS,
        "fct_sales",
    ),
    Case(
        "mart data wrong",
        faults.spoiled(
            "update core.fct_sales set net_amount = net_amount + 1",
            "update core.fct_sales set net_amount = net_amount - 1",
        ),
        "quality",
        "fct_sales__amounts_add_up",
        FACTS,
        "not published: dbt: ",
    ),
)


def three_accounts() -> Store:
    """What the source serves before a fault."""
    store = Store()
    for number in range(3):
        store.upsert("crm", "accounts", faults.account(f"a{number}"))
    return store


@pytest.fixture(scope="module")
def well(make_template: MakeTemplate) -> Template:
    """A warehouse that has pulled and published."""

    def pull(settings: Settings) -> None:
        ledger = open_ledger(settings)
        with served(three_accounts()):
            assert run_cycle(settings, SYNC, Reporter(silent=True), ledger).succeeded
        ledger.dispose()

    return make_template(pull)


@pytest.fixture
def scene(
    well: Template,
    sink: Sink,
    serve: Callable[..., DemoServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[faults.Scene]:
    """The warehouse, and who is on call for it."""
    monkeypatch.setattr("ledger.engine.LOCK_SECONDS", 0.5)
    store = three_accounts()
    server = serve(store)
    with well.copied(tmp_path / "home") as settings:
        opened = Warehouse(settings)
        on_call = OnCall(settings, opened.ledger, sink, reads_stream=True)
        modelled = ModelledWarehouse(settings, seeded=True)
        modelled.release()
        assert on_call.look() == (set(), [])
        yield faults.Scene(on_call, opened, modelled, store, server)
        on_call.supervisor.close()
        opened.ledger.dispose()


def sell(scene: faults.Scene) -> None:
    """Show readers three orders."""
    at = AS_OF - timedelta(days=1)
    rows = [(BY_NAME["orders"], faults.order(number, at), False) for number in range(3)]
    scene.modelled.land("1", rows, received_at=now())
    assert scene.on_call.cycle(ORDERS).publication
    assert scene.on_call.look() == (set(), [])


def cycle(scene: faults.Scene, case: Case) -> str:
    """What the service does every few seconds; gives what it says of failures."""
    if case.cycle is None:
        return ""
    try:
        return "; ".join(scene.on_call.cycle(case.cycle).errors)
    except TargetError as error:
        return str(error)


def shown(scene: faults.Scene) -> tuple[int, list[tuple[Any, ...]]]:
    """What readers see: the version, and the facts."""
    with open_published(scene.on_call.settings) as reader:
        rows = reader.fetch("select order_id, net_amount from core.fct_sales order by order_id")
        return reader.publication.version, rows


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_noticed_by_the_next_cycle_told_once_hidden_from_readers_and_healed(
    scene: faults.Scene, case: Case
) -> None:
    causes = set((case.causes or "").split())
    if case.cycle is FACTS:
        sell(scene)
    before = shown(scene)
    with case.inject(scene):
        said = cycle(scene, case)
        assert case.fails in said if case.fails else said == ""
        found, messages = scene.on_call.look()
        assert found == causes
        assert {message.partition(": ")[0] for message in messages} == causes
        assert len(messages) == len(causes)
        assert case.words in " ".join(messages)
        if case.cycle is FACTS:
            age = f"readers see version {before[0]} of {now():%Y}"
            assert messages[0].startswith(f"{case.causes}: {age}"), "and how old it is"
        assert shown(scene) == before
        cycle(scene, case)
        assert scene.on_call.look() == (causes, []), "no repeat while it lasts"
    assert cycle(scene, case) == ""
    found, messages = scene.on_call.look()
    assert (found, set(messages)) == (set(), {f"{cause}: well again" for cause in causes})
    assert shown(scene)[1] == before[1]
    if case.cycle is SYNC:
        assert_complete(scene.warehouse, scene.store, *SOURCES["crm"])
