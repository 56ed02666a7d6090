"""The demo API over HTTP: paging, `modified_since`, refusals, folders, and the command."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from demo import SOURCE_OF, SOURCES, DemoDataError, DemoServer, Store
from demo.folder import stray_files

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "real" / "online_retail"
START = datetime(2025, 1, 1, tzinfo=UTC)
HEADERS = {"Authorization": "Bearer demo-token"}


def record(number: int) -> dict[str, Any]:
    return {
        "id": f"r{number}",
        "n": number,
        "updated_at": (START + timedelta(minutes=number)).isoformat(),
    }


def filled(count: int) -> Store:
    store = Store()
    for entity, source in SOURCE_OF.items():
        for number in range(count):
            store.upsert(source, entity, record(number))
    return store


def pull(client: httpx.Client, address: str, **parameters: str | int) -> list[dict[str, Any]]:
    """Follow `next` to the end."""
    rows: list[dict[str, Any]] = []
    url = str(httpx.URL(address, params=parameters))
    for _ in range(500):
        page = client.get(url).raise_for_status().json()
        rows += page["data"]
        if page["next"] is None:
            return rows
        url = urljoin(url, page["next"])
    raise AssertionError("no end of pages")


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    with DemoServer(filled(53), max_limit=20) as running:
        yield running


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers=HEADERS, verify=False) as opened:
        yield opened


@pytest.mark.parametrize("entity", SOURCE_OF)
@pytest.mark.parametrize("limit", [1, 7, 20, 500])
def test_pages_are_complete(
    server: DemoServer, client: httpx.Client, entity: str, limit: int
) -> None:
    rows = pull(client, f"{server.base_url(SOURCE_OF[entity])}/{entity}", limit=limit)
    assert sorted(row["n"] for row in rows) == list(range(53))


@pytest.mark.parametrize("entity", SOURCE_OF)
def test_modified_since_is_inclusive(server: DemoServer, client: httpx.Client, entity: str) -> None:
    address = f"{server.base_url(SOURCE_OF[entity])}/{entity}"
    for since in ("2025-01-01T00:30:00Z", "2025-01-01T02:30:00+02:00"):
        rows = pull(client, address, modified_since=since, limit=4)
        assert sorted(row["n"] for row in rows) == list(range(30, 53))
    assert pull(client, address, modified_since="2025-02-01T00:00:00Z") == []


def test_links_are_absolute_and_paths(server: DemoServer, client: httpx.Client) -> None:
    links = [
        client.get(f"{server.base_url(source)}/{entity}?limit=2").json()["next"]
        for entity, source in SOURCE_OF.items()
    ]
    assert {link.startswith("http://127.0.0.1") for link in links} == {True, False}
    assert {"cursor=" in link for link in links} == {True, False}


def test_limit_is_clamped(server: DemoServer, client: httpx.Client) -> None:
    page = client.get(f"{server.base_url('crm')}/users?limit=9999").json()
    assert len(page["data"]) == 20 and page["next"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/crm/accounts", {"Authorization": ""}, 401),
        ("/crm/accounts", {"Authorization": "Bearer wrong"}, 401),
        ("/crm/orders", HEADERS, 404),
        ("/crm/nothing", HEADERS, 404),
        ("/crm/accounts?limit=0", HEADERS, 400),
        ("/crm/accounts?limit=many", HEADERS, 400),
        ("/crm/accounts?modified_since=yesterday", HEADERS, 400),
        ("/crm/accounts?modified_since=2025-01-01T00:00:00", HEADERS, 400),
        ("/crm/accounts?modified_since=0001-01-01T00:00:00%2B01:00", HEADERS, 200),
        ("/crm/companies?cursor=zzz", HEADERS, 400),
        ("/crm/accounts?offset=-1", HEADERS, 400),
    ],
)
def test_refusals(
    server: DemoServer, client: httpx.Client, path: str, headers: dict[str, str], status: int
) -> None:
    address = server.base_url("crm").removesuffix("/crm") + path
    assert client.get(address, headers=headers).status_code == status


def test_empty_entity(client: httpx.Client) -> None:
    with DemoServer(Store()) as server:
        answer = client.get(f"{server.base_url('support')}/tickets")
    assert answer.json() == {"data": [], "next": None}


def test_store_replaces_deletes_and_serves_raw_bytes(client: httpx.Client) -> None:
    store = filled(3)
    store.upsert("crm", "users", {**record(1), "n": 99})
    assert store.delete("crm", "users", "r0") and not store.delete("crm", "users", "r0")
    store.add_raw("crm", "users", b'["no", "object"]', START)
    store.add_raw("crm", "users", b'{"id":"b"}', START, key="b")
    assert (store.count("crm", "users"), store.malformed("crm", "users")) == (4, 2)
    with DemoServer(store) as server:
        data = client.get(f"{server.base_url('crm')}/users").json()["data"]
        assert server.served["crm", "users"] == 4
        assert server.requests[0].rows == 4
        server.clear_requests()
        assert not server.requests and not server.served
    assert sorted(map(str, data)) == sorted(
        map(str, [["no", "object"], {"id": "b"}, {**record(1), "n": 99}, record(2)])
    )
    store.upsert("crm", "users", {**record(5), "id": "b"})
    assert store.malformed("crm", "users") == 1


def test_upsert_refuses_what_cannot_be_indexed() -> None:
    for bad in ({"id": "a"}, {"updated_at": "2025-01-01T00:00:00Z"}, b"[]", b"{"):
        with pytest.raises(DemoDataError):
            Store().upsert("crm", "users", bad)
    with pytest.raises(DemoDataError, match="no offset"):
        Store().upsert("crm", "users", {"id": "a", "updated_at": "2025-01-01T00:00:00"})
    with pytest.raises(DemoDataError, match="unknown entity"):
        Store().rows("crm", "orders")


def test_order_is_stable_and_not_by_time() -> None:
    store = filled(200)
    rows = store.rows("commerce", "orders")
    assert rows == filled(200).rows("commerce", "orders")
    numbers = [json.loads(row)["n"] for row in rows]
    assert numbers != sorted(numbers)
    store.upsert("commerce", "orders", {**record(7), "updated_at": "2026-01-01T00:00:00Z"})
    assert [json.loads(row)["n"] for row in store.rows("commerce", "orders")] == numbers


def test_folder_keeps_bytes(tmp_path: Path) -> None:
    lines = [b'{ "id":"1",  "updated_at":"2025-01-01T00:00:00Z", "x": 1.50 }', b"", b""]
    (tmp_path / "orders.jsonl").write_bytes(b"\r\n".join(lines))
    with gzip.open(tmp_path / "users.jsonl.gz", "wb") as stream:
        stream.write(lines[0] + b"\n")
    store = Store.from_folder(tmp_path)
    assert store.rows("commerce", "orders") == store.rows("crm", "users") == [lines[0]]
    assert store.rows("crm", "accounts") == []


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    line = b'{"id":"1","updated_at":"2025-01-01T00:00:00Z"}'
    (tmp_path / "orders.jsonl").write_bytes(b"\xef\xbb\xbf" + line + b"\r\n")
    assert Store.from_folder(tmp_path).rows("commerce", "orders") == [line]


def test_a_folder_whose_files_leave_a_doubt(tmp_path: Path) -> None:
    for name in ("orders.jsonl", "order.jsonl", "users.jsonl.gz", "README.md"):
        (tmp_path / name).touch()
    assert stray_files(tmp_path, SOURCE_OF) == ["order.jsonl"]
    (tmp_path / "users.jsonl").touch()
    with pytest.raises(DemoDataError, match=r"has users\.jsonl and users\.jsonl\.gz; keep the one"):
        Store.from_folder(tmp_path)


@pytest.mark.parametrize("line", [b"nonsense", b'{"id": '])
def test_folder_names_the_bad_line(tmp_path: Path, line: bytes) -> None:
    good = b'{"id":"1","updated_at":"2025-01-01T00:00:00Z"}'
    (tmp_path / "orders.jsonl").write_bytes(good + b"\n" + line + b"\n")
    with pytest.raises(DemoDataError, match=r"orders\.jsonl, line 2: not JSON: ") as caught:
        Store.from_folder(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", [b"[1]", b'{"id": 1}', b'{"id":"1","updated_at":"x"}'])
def test_folder_serves_bad_records_and_every_version(tmp_path: Path, line: bytes) -> None:
    newer = b'{"id":"1","updated_at":"2025-01-02T00:00:00Z"}'
    older = b'{"id":"1","updated_at":"2025-01-01T00:00:00Z"}'
    (tmp_path / "orders.jsonl").write_bytes(b"\n".join([newer, older, line]))
    store = Store.from_folder(tmp_path)
    assert sorted(store.rows("commerce", "orders")) == sorted([newer, older, line])
    assert store.malformed("commerce", "orders") == 1


def test_withheld_rows_are_the_newest_and_come_back(tmp_path: Path) -> None:
    lines = [b'{"id":"%d","updated_at":"2025-01-%02dT00:00:00Z"}' % (n, n) for n in range(1, 11)]
    (tmp_path / "orders.jsonl").write_bytes(b"\n".join(lines))
    store = Store.from_folder(tmp_path)
    release = store.withhold_newest(0.2)
    assert sorted(store.rows("commerce", "orders")) == sorted(lines[:8])
    assert release() == 2
    assert sorted(store.rows("commerce", "orders")) == sorted(lines)


def test_withheld_changes_leave_what_existed_before_them(tmp_path: Path) -> None:
    line = b'{"id":"%s","created_at":"2025-01-0%dT00:00:00Z","updated_at":"2025-01-0%dT00:00:00Z"}'
    orders = [line % (b"%d" % n, n, n) for n in range(1, 7)]
    product, later = line % (b"known", 1, 9), line % (b"new", 8, 9)
    (tmp_path / "orders.jsonl").write_bytes(b"\n".join(orders))
    (tmp_path / "products.jsonl").write_bytes(product + b"\n" + later)
    store = Store.from_folder(tmp_path)
    release = store.withhold_newest(0.25)
    assert sorted(store.rows("commerce", "orders")) == orders
    (served,) = store.rows("commerce", "products")
    assert json.loads(served) == {
        "id": "known",
        "created_at": "2025-01-01T00:00:00Z",
        "updated_at": "2025-01-06T00:00:00+00:00",
    }
    assert release() == 2
    assert sorted(store.rows("commerce", "products")) == [product, later]


def test_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DemoDataError, match="no such folder"):
        Store.from_folder(tmp_path / "absent")
    with pytest.raises(DemoDataError, match="no <entities>"):
        Store.from_folder(tmp_path)
    (tmp_path / "orders.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(DemoDataError, match="cannot be read"):
        Store.from_folder(tmp_path)


def test_real_folder(client: httpx.Client) -> None:
    if not REAL.is_dir():
        pytest.skip(f"the real data set is not beside the project: {REAL}")
    with DemoServer(Store.from_folder(REAL)) as server:
        address = server.base_url("commerce")
        found = {
            entity: len(pull(client, f"{address}/{entity}", limit=1000))
            for entity in SOURCES["commerce"]
        }
    assert found == {"customers": 2_974, "products": 3_645, "orders": 12_468}
    with gzip.open(REAL / "customers.jsonl.gz") as stream:
        lines = sorted(line.rstrip(b"\n") for line in stream)
    assert sorted(server.store.rows("commerce", "customers")) == lines


def test_command() -> None:
    command = [sys.executable, "-m", "demo", "--scale", "0.02", "--as-of", "2026-01-01", "--token"]
    with subprocess.Popen(
        [*command, "secret", "--fault", "clamp:limit=5"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        root = ready["base_urls"]["crm"].removesuffix("/crm")
        with httpx.Client(base_url=root, headers={"Authorization": "Bearer secret"}) as client:
            rows = pull(client, f"{root}/commerce/orders")
            served = client.get("/_demo/served/commerce/orders").text.splitlines()
            assert sorted(row["id"] for row in rows) == sorted(
                json.loads(line)["id"] for line in served
            )
            assert httpx.post(f"{root}/_demo/advance").status_code == 401
            step = client.post("/_demo/advance").json()
            assert step["as_of"] == "2026-01-02T00:00:00+00:00"
            assert step["changes"]["orders"]["created"] >= 1
            requests = client.get("/_demo/requests").json()
            assert sum(one["rows"] for one in requests) == len(rows)
            assert requests[0]["faults"] == ["clamp"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_command_refuses_in_one_line(tmp_path: Path) -> None:
    for options in (["--data", str(tmp_path / "absent")], ["--fault", "gremlins"]):
        done = subprocess.run(
            [sys.executable, "-m", "demo", "--scale", "0.01", *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("demo: ") and done.stderr.count("\n") == 1
