"""The file that loaders and models write is made in one format, whoever opens it first."""

from pathlib import Path

import duckdb
import pytest
from support.warehouse import FILE_FORMAT

from ledger.errors import TargetError
from ledger.settings import Settings
from loaders.duckdb_file import STORAGE_VERSION, make_working_file
from loaders.target import Target


def version_of(settings: Settings) -> str:
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        ((version,),) = connection.execute(FILE_FORMAT).fetchall()
    return str(version)


def test_the_first_to_write_makes_the_file_in_the_format(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    Target(settings).execute("create table anything (id integer)")
    assert version_of(settings).startswith(STORAGE_VERSION)


def test_before_models_write_it_is_made_alike(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    make_working_file(settings)
    assert version_of(settings).startswith(STORAGE_VERSION)


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    duckdb.connect(str(settings.warehouse_path)).close()
    make_working_file(settings)
    Target(settings).execute("create table anything (id integer)")
    assert not version_of(settings).startswith(STORAGE_VERSION)


def test_a_place_that_holds_no_file_is_named(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "absent")
    with pytest.raises(TargetError, match=r"cannot make the warehouse .*absent"):
        make_working_file(settings)
