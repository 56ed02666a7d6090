"""`warehouse export` and `warehouse tokens` as a user meets them."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.published import publish

from ledger.settings import Settings
from operations.__main__ import main

ROWS: dict[str, Any] = {"core.dim_company": [("k1", "c1", "a1", "Acme", True, False)]}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return Settings(tmp_path / "home")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["warehouse", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_export(
    home: Settings, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(monkeypatch, "export", "health", "--out", "x.csv") == 1
    assert b"nothing is published yet" in capfdbinary.readouterr().err
    publish(home, 1, ROWS)
    assert run(monkeypatch, "export", "dim_company", "--account", "a1") == 0
    out = capfdbinary.readouterr().out
    assert out == (
        b"company_key,company_id,account_id,company_name,is_active,is_unknown\nk1,c1,a1,Acme,true,false\n"
    )
    arguments = ("export", "dim_company", "--format", "csv", "--out", "x.csv")
    assert run(monkeypatch, *arguments) == 0
    assert b"x.csv: 1 rows, 93 bytes of version 1" in capfdbinary.readouterr().err
    assert Path("x.csv").read_bytes() == out
    assert run(monkeypatch, *arguments, "--resume", "--json") == 0
    assert json.loads(capfdbinary.readouterr().out)["rows"] == 1
    assert run(monkeypatch, "export", "--list", "--json") == 0
    jobs = json.loads(capfdbinary.readouterr().out)["jobs"]
    assert [job["destination"] for job in jobs] == ["x.csv", "standard output"]
    for wrong, message in (
        (("export",), b"name a dataset"),
        (("export", "saels"), b"no dataset 'saels'"),
        (("export", "sales", "--format", "xls"), b"no format 'xls'"),
        (("export", "sales", "--resume"), b"give --out FILE"),
        (("export", "sales", "--out", "nowhere/x.csv"), b"cannot write nowhere/x.csv"),
    ):
        assert run(monkeypatch, *wrong) == 1
        error = capfdbinary.readouterr().err
        assert message in error and b"Traceback" not in error


def test_tokens(
    home: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("tokens", "create", "bi", "--scope", "export", "--scope", "metrics")
    assert run(monkeypatch, *arguments, "--account", "a1") == 0
    shown = capsys.readouterr()
    text = shown.out.strip()
    token_id = text.split("_")[1]
    assert text.startswith("whk_") and "shown once" in shown.err
    assert run(monkeypatch, "tokens", "revoke", token_id) == 0
    capsys.readouterr()
    assert run(monkeypatch, "tokens", "list", "--json") == 0
    listed = capsys.readouterr().out
    (token,) = json.loads(listed)["tokens"]
    assert (token["account_id"], token["scopes"]) == ("a1", ["export", "metrics"])
    assert token["revoked_at"] is not None
    assert text.split("_", 2)[2] not in listed and "hash" not in listed
    assert run(monkeypatch, "tokens", "create", "x", "--scope", "all") == 1
    assert "no scope 'all'; there are" in capsys.readouterr().err
