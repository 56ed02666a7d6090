"""Every fault of the demo API, seen from the client's side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import DemoServer, Fault, Faults, FaultSpecError, Store

START = datetime(2025, 1, 1, tzinfo=UTC)
ROWS = 40


def records() -> Store:
    store = Store()
    for number in range(ROWS):
        moment = START + timedelta(minutes=number)
        row = {"id": f"r{number:02d}", "updated_at": moment.isoformat()}
        store.upsert("commerce", "orders", row)
        store.upsert("crm", "companies", row)
    return store


@pytest.fixture(scope="module")
def running() -> Iterator[DemoServer]:
    with DemoServer(Store()) as server:
        yield server


class Api:
    """A client of one server that has faults."""

    def __init__(self, server: DemoServer) -> None:
        self.server = server
        self.http = httpx.Client(headers={"Authorization": "Bearer demo-token"}, verify=False)

    def get(self, path: str = "commerce/orders?limit=10") -> httpx.Response:
        source, _, rest = path.partition("/")
        return self.http.get(f"{self.server.base_url(source)}/{rest}")

    def statuses(self, count: int, path: str = "commerce/orders?limit=10") -> list[int]:
        return [self.get(path).status_code for _ in range(count)]

    def pull(self, path: str = "commerce/orders?limit=10") -> list[str]:
        source, _, rest = path.partition("/")
        url, ids = f"{self.server.base_url(source)}/{rest}", []
        for _ in range(60):
            page: dict[str, Any] = self.http.get(url).raise_for_status().json()
            ids += [row["id"] for row in page["data"]]
            if page["next"] is None:
                return ids
            url = urljoin(url, page["next"])
        raise AssertionError("no end of pages")


@pytest.fixture
def api(running: DemoServer) -> Iterator[Api]:
    running.store, running.faults = records(), None
    running.clear_requests()
    client = Api(running)
    with client.http:
        yield client


ALL = [f"r{number:02d}" for number in range(ROWS)]


@pytest.mark.parametrize(
    ("spec", "statuses"),
    [
        ("rate_limit:every=3", [200, 200, 429, 200, 200, 429]),
        ("server_error:first=2", [500, 500, 200, 200, 200, 200]),
        ("server_error:every=2,times=2", [200, 500, 200, 500, 200, 200]),
        ("unauthorized:times=1", [401, 200, 200, 200, 200, 200]),
        ("not_found", [404] * 6),
        ("outage:first=4", [503, 503, 503, 503, 200, 200]),
        ("server_error:entity=tickets", [200] * 6),
    ],
)
def test_statuses_follow_the_schedule(api: Api, spec: str, statuses: list[int]) -> None:
    for _ in range(2):
        api.server.faults = Faults.parse(spec)
        assert api.statuses(6) == statuses
    assert [one.status for one in api.server.requests] == statuses * 2


def test_outage_comes_before_the_token(api: Api) -> None:
    api.server.faults = Faults.parse("outage")
    address = f"{api.server.base_url('crm')}/nothing"
    assert api.http.get(address, headers={"Authorization": "wrong"}).status_code == 503


def test_retry_after(api: Api) -> None:
    for spec, header in (
        ("retry_after=7", "7"),
        ("retry_after=0", "0"),
        ("retry_after=none", None),
    ):
        api.server.faults = Faults.parse(f"rate_limit:{spec}")
        assert api.get().headers.get("retry-after") == header
    api.server.faults = Faults.parse("rate_limit:retry_after=date")
    wait = parsedate_to_datetime(api.get().headers["retry-after"]) - datetime.now(UTC)
    assert timedelta(0) < wait <= timedelta(seconds=3)


@pytest.mark.parametrize("mode", ["before", "mid"])
def test_reset(api: Api, mode: str) -> None:
    api.server.faults = Faults.parse(f"reset:every=2,mode={mode}")
    assert api.get().status_code == 200
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        api.get()
    assert api.get().status_code == 200
    assert [one.status for one in api.server.requests] == [200, 0, 200]


def test_reset_alternates(api: Api) -> None:
    api.server.faults = Faults.parse("reset")
    messages = []
    for _ in range(2):
        with pytest.raises(httpx.TransportError) as caught:
            api.get()
        messages.append(str(caught.value))
    assert ["message body" in message for message in messages] == [False, True]


def test_html_and_truncated(api: Api) -> None:
    api.server.faults = Faults.parse(["html:times=1", "truncated"])
    first, second = api.get(), api.get()
    assert first.status_code == second.status_code == 200
    assert first.headers["content-type"].startswith("text/html")
    assert int(second.headers["content-length"]) == len(second.content)
    with pytest.raises(ValueError):
        second.json()


@pytest.mark.parametrize("path", ["commerce/orders?limit=10", "crm/companies?limit=10"])
def test_same_page_twice(api: Api, path: str) -> None:
    api.server.faults = Faults.parse("same_page_twice")
    ids = api.pull(path)
    assert len(ids) == ROWS + 10 and sorted(set(ids)) == ALL
    api.server.faults = Faults.parse("same_page_twice:mode=replace")
    ids = api.pull(path)
    assert len(ids) == ROWS and len(set(ids)) == ROWS - 10 and ids[:10] == ids[10:20]
    assert sorted(api.pull(path)) == ALL


def test_moving_rows_make_an_offset_pager_miss_some(api: Api) -> None:
    api.server.faults = Faults.parse("moving_rows:moves=3,step=2")
    ids = api.pull()
    assert sorted(set(ALL) - set(ids)) == ["r10", "r11", "r22"]
    assert sorted(api.pull()) == ALL
    newest = api.get("commerce/orders?modified_since=2025-01-01T00:39:01Z").json()["data"]
    assert [row["id"] for row in newest] == ["r00", "r01", "r02"]


def test_moving_rows_do_not_hide_from_a_cursor(api: Api) -> None:
    api.server.faults = Faults.parse("moving_rows:moves=3")
    ids = api.pull("crm/companies?limit=10")
    assert sorted(set(ids)) == ALL and len(ids) == ROWS + 3


def test_unstable_order(api: Api) -> None:
    api.server.faults = Faults.parse("unstable_order:requests=3")
    pages = [api.get("commerce/orders").json()["data"] for _ in range(5)]
    orders = ["".join(row["id"] for row in page) for page in pages]
    assert len(set(orders[:3])) == 3 and orders[3] == orders[4]
    assert {len(page) for page in pages} == {ROWS}
    api.server.faults = Faults.parse("unstable_order:requests=4")
    assert sorted(set(api.pull())) != ALL


def test_clamp_and_slow(api: Api) -> None:
    api.server.faults = Faults.parse(["clamp:limit=3", "slow:seconds=0.05,times=1"])
    began = time.monotonic()
    page = api.get().json()
    assert time.monotonic() - began >= 0.05
    assert len(page["data"]) == 3 and page["next"]
    assert sorted(api.pull()) == ALL


def test_loop(api: Api) -> None:
    api.server.faults = Faults.parse("loop:entity=orders")
    url = f"{api.server.base_url('commerce')}/orders?limit=10"
    pages = [api.get().json(), api.http.get(urljoin(url, api.get().json()["next"])).json()]
    assert pages[0] == pages[1]
    assert sorted(api.pull("crm/companies")) == ALL


@pytest.mark.parametrize(
    "spec",
    ["gremlins", "slow:seconds=soon", "slow:limit=3", "html:every=0", "html:every",
     "reset:mode=upside_down", "rate_limit:retry_after=later", "clamp:limit=-1"],
)  # fmt: skip
def test_bad_specs(spec: str) -> None:
    with pytest.raises(FaultSpecError) as caught:
        Faults.parse(spec)
    assert "\n" not in str(caught.value)


@given(
    every=st.none() | st.integers(1, 6),
    first=st.none() | st.integers(1, 6),
    times=st.none() | st.integers(1, 6),
    requests=st.integers(0, 30),
)
def test_schedule_is_a_rule_of_the_count(
    every: int | None, first: int | None, times: int | None, requests: int
) -> None:
    fault = Fault("html", every=every, first=first, times=times)
    always = every is None and first is None
    due = [
        seen
        for seen in range(1, requests + 1)
        if always or (first and seen <= first) or (every and seen % every == 0)
    ]
    struck: list[int] = []
    for seen in range(1, requests + 1):
        if fault.strikes(seen, len(struck)):
            struck.append(seen)
    assert struck == due[:times]


def test_stops_fast_and_starts_again() -> None:
    server = DemoServer(records()).start()
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 1
    with DemoServer(records(), port=server.port) as again:
        assert again.port == server.port
