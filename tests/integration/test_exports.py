"""Exports: the same rows in each format, exact, of one account, resumable, on both engines."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine
from support.child import start_export
from support.published import execute, publish

from ledger.engine import open_ledger
from ledger.errors import NotFoundError, NotPublishedError, RequestError
from ledger.export_jobs import recent_jobs
from ledger.settings import Settings
from serving import sources
from serving.export_files import export_to_file
from serving.exports import ExportRequest

EXACT = Decimal("1234567890123456789012.123456")
COMPANIES = [
    ("k1", "c1", "a1", 'Acme, "quoted"\nLtd', True, False),
    ("k2", "c2", "a2", "=cmd()", True, False),
    ("k3", "c3", "a1", "", None, False),
    ("k4", "c4", "a1", None, False, False),
    ("k0", None, None, None, False, True),
]


def sale(number: int, company: str, net: Any = "9.50") -> tuple[Any, ...]:
    at = datetime(2026, 1, 1, 10, 0, 0, 500_000)
    keys = (f"s{number}", f"o{number}", f"i{number}", "2026-01-01", "u1", "p1", "l1", company)
    money = (Decimal("9.5"), Decimal("9.5"), Decimal(0), Decimal(net))
    return (*keys, "EUR", "paid", 1, *money, False, False, at, "load")


ROWS: dict[str, Any] = {
    "core.dim_company": COMPANIES,
    "core.dim_customer": [("u1", "cu1", "k1", "Ada", "smb", 1, Decimal(1), False)],
    "core.dim_product": [("p1", "pr1", "sku", "Mug")],
    "core.dim_location": [("l1", "France", None, "Paris")],
    "core.fct_sales": [sale(1, "k1", EXACT), sale(2, "k2"), sale(3, "k3", "-0.000001")],
    "health.company_health_metrics": [
        ("c1", "a1", "Acme", 40, "at_risk", datetime(2026, 2, 1), datetime(2026, 3, 1)),
        ("c2", "a2", "=cmd()", 90, "healthy", None, datetime(2026, 3, 1)),
    ],
}


@pytest.fixture
def published(settings: Settings) -> Settings:
    publish(settings, 1, ROWS)
    return settings


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Engine]:
    opened = open_ledger(settings)
    yield opened
    opened.dispose()


class Exporter:
    """Exports into a folder and reads it back."""

    def __init__(self, settings: Settings, ledger: Engine, folder: Path) -> None:
        self.settings, self.ledger, self.folder = settings, ledger, folder
        self.said: list[str] = []

    def file(self, dataset: str, resume: bool = False, **options: Any) -> Path:
        request = ExportRequest(dataset, **options)
        out = self.folder / f"{dataset}.{request.suffix}"
        manifest = export_to_file(
            self.settings,
            self.ledger,
            request,
            out,
            resume=resume,
            progress=lambda *_: None,
            say=self.said.append,
        )
        assert manifest["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
        assert manifest["bytes"] == out.stat().st_size
        assert json.loads((self.folder / f"{out.name}.manifest.json").read_text()) == manifest
        self.manifest = manifest
        return out


@pytest.fixture
def exporter(published: Settings, ledger: Engine, tmp_path: Path) -> Exporter:
    return Exporter(published, ledger, tmp_path)


def test_only_the_accounts_rows_leave_and_every_value_is_exact(exporter: Exporter) -> None:
    text = exporter.file("fct_sales", account_id="a1").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["sales_key"] for row in rows] == ["s1", "s3"]
    assert [row["net_amount"] for row in rows] == [str(EXACT), "-0.000001"]
    assert rows[0]["ordered_at"] == "2026-01-01T10:00:00.5Z"
    assert rows[0]["is_cancelled"] == "false"
    assert "_dlt_load_id" not in rows[0]
    assert (exporter.manifest["rows"], exporter.manifest["version"]) == (2, 1)
    assert {"name": "net_amount", "type": "decimal(28,6)"} in exporter.manifest["columns"]

    lines = exporter.file("fct_sales", account_id="a1", format="jsonl").read_text().splitlines()
    assert [json.loads(line)["net_amount"] for line in lines] == [str(EXACT), "-0.000001"]
    assert json.loads(lines[0])["quantity"] == 1

    table = pq.read_table(exporter.file("fct_sales", account_id="a1", format="parquet"))
    assert table["net_amount"].to_pylist() == [EXACT, Decimal("-0.000001")]
    assert table["ordered_at"].to_pylist() == [datetime(2026, 1, 1, 10, 0, 0, 500_000, UTC)] * 2


def test_null_and_empty_text_differ_in_every_format(exporter: Exporter) -> None:
    lines = exporter.file("dim_company").read_text()
    assert lines == (
        "company_key,company_id,account_id,company_name,is_active,is_unknown\n"
        'k1,c1,a1,"Acme, ""quoted""\nLtd",true,false\nk2,c2,a2,=cmd(),true,false\n'
        'k3,c3,a1,"",,false\nk4,c4,a1,,false,false\nk0,,,,false,true\n'
    )
    names = [company[3] for company in COMPANIES]
    text = exporter.file("dim_company", format="jsonl").read_text()
    assert [json.loads(line)["company_name"] for line in text.splitlines()] == names
    table = pq.read_table(exporter.file("dim_company", format="parquet"))
    assert table["company_name"].to_pylist() == names


def test_formulas_are_guarded_on_request(exporter: Exporter) -> None:
    text = exporter.file("dim_company", guard_formulas=True).read_text()
    assert "k2,c2,a2,'=cmd(),true" in text
    assert "-0.000001" in exporter.file("fct_sales", guard_formulas=True).read_text()
    with pytest.raises(RequestError, match="guarded in csv, not in jsonl"):
        ExportRequest("health", format="jsonl", guard_formulas=True)


def test_compressed_files_hold_the_same_bytes(exporter: Exporter) -> None:
    plain = exporter.file("sales").read_bytes()
    assert gzip.decompress(exporter.file("sales", compression="gzip").read_bytes()) == plain
    packed = pa.input_stream(exporter.file("sales", compression="zstd"), compression="zstd")
    assert packed.read() == plain


def test_health_and_sales_join_what_is_asked_for_together(exporter: Exporter) -> None:
    rows = list(csv.DictReader(exporter.file("health", account_id="a1").open(newline="")))
    assert [(row["company_id"], row["health_score"]) for row in rows] == [
        ("c1", "40"),
        ("c3", ""),
        ("c4", ""),
    ]
    everybody = csv.DictReader(exporter.file("health").open(newline=""))
    assert [row["company_id"] for row in everybody] == ["c1", "c2", "c3", "c4"], "known companies"
    (first, *_) = csv.DictReader(exporter.file("sales", account_id="a1").open(newline=""))
    assert (first["customer_name"], first["product_name"], first["city"]) == ("Ada", "Mug", "Paris")


def test_what_cannot_be_exported_is_named(
    exporter: Exporter, tmp_path: Path, ledger: Engine
) -> None:
    with pytest.raises(NotFoundError, match=r"no dataset 'saels'; there are .*fct_sales"):
        exporter.file("saels")
    with pytest.raises(NotFoundError, match="no account 'a9'"):
        exporter.file("health", account_id="a9")
    with pytest.raises(NotFoundError, match="no account"):
        exporter.file("health", account_id="a1' or '1'='1")
    with pytest.raises(RequestError, match="'daily_sales' sums over accounts"):
        exporter.file("daily_sales", account_id="a1")
    assert exporter.file("daily_sales").read_text().count("\n") == 1
    empty = Exporter(Settings(tmp_path), ledger, tmp_path)
    with pytest.raises(NotPublishedError, match="nothing is published"):
        empty.file("health")


@pytest.mark.parametrize("options", [{}, {"format": "jsonl", "compression": "zstd"}])
def test_a_broken_export_goes_on_where_it_stopped(
    exporter: Exporter, ledger: Engine, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.setattr(sources, "PART_ROWS", 1)
    monkeypatch.setattr(sources, "PART_BLOCKS", 1)
    more = "insert into core.fct_sales select * from core.fct_sales"
    execute(exporter.settings, *[more] * 8)
    monkeypatch.setattr(sources, "PART_ROWS", 100)
    out = exporter.file("fct_sales", **options)
    whole = out.read_bytes()
    assert exporter.manifest["rows"] == 768
    out.unlink()

    def full(self: Any, *_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("serving.export_files.ExportJob.moved", full)
        with pytest.raises(RequestError, match="No space left on device"):
            exporter.file("fct_sales", **options)
    with Path(f"{out}.part").open("ab") as file:
        file.write(b"half a part")
    assert exporter.file("fct_sales", resume=True, **options).read_bytes() == whole
    assert "resuming after" in exporter.said[-1]
    assert [job["status"] for job in recent_jobs(ledger)] == ["done", "failed", "done"]
    exporter.file("fct_sales", resume=True, **options)
    assert "complete already" in exporter.said[-1]

    # A newer version has other bytes.
    out.unlink()
    Path(f"{out}.part").write_bytes(whole[:9])
    Path(f"{out}.part.json").write_text('{"key": "1-old", "parts": [[1, 9]]}')
    publish(exporter.settings, 2, ROWS)
    exporter.file("fct_sales", resume=True, **options)
    assert "starting anew" in exporter.said[-1]
    assert (exporter.manifest["version"], exporter.manifest["rows"]) == (2, 3)


def test_killed_and_resumed_gives_the_same_hash(exporter: Exporter, tmp_path: Path) -> None:
    execute(
        exporter.settings,
        "delete from core.fct_sales where sales_key <> 's1'",
        "insert into core.fct_sales select fct_sales.* from core.fct_sales,"
        " generate_series(1, 499999)",
    )
    request = ExportRequest("fct_sales")
    out = tmp_path / "fct_sales.csv"
    process = start_export(exporter.settings, request, out)
    while not Path(f"{out}.part.json").exists():
        assert process.is_alive()
    process.kill()
    process.join()
    assert not out.exists()
    exporter.file("fct_sales", resume=True)
    assert "resuming after" in exporter.said[-1]
    resumed = exporter.manifest
    assert resumed["rows"] == 500_000
    exporter.file("fct_sales")
    assert exporter.manifest == resumed
