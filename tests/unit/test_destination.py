"""dlt's destination says what it can, as often as it is asked, as if asked for the first time."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from ledger.settings import Settings
from loaders.target import Target


@pytest.fixture(params=["duckdb", "postgres"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "duckdb":
        return Target(Settings(tmp_path)).destination()
    url = make_url("postgresql://user:secret@127.0.0.1:5432/warehouse")
    return Target(Settings(tmp_path, "prod", url)).destination()


def told(capabilities: Any) -> dict[str, Any]:
    """What can be compared: each answer has functions of its own, bound to the same values."""
    values = dict(capabilities).items()
    return {name: str(value) if callable(value) else value for name, value in values}


def test_it_can_the_same_each_time_whatever_became_of_the_answer(destination: Any) -> None:
    plain = type(destination)(**destination.config_params, **destination.caps_params)
    first = destination.capabilities()
    assert told(first) == told(plain.capabilities())
    first.supported_loader_file_formats = ["changed by a load"]
    assert told(destination.capabilities()) == told(plain.capabilities())


def test_it_connects_by_what_is_configured_when_it_connects(
    destination: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    destination.capabilities()
    name = destination.destination_name.upper()
    for said in ("parquet", "csv"):
        monkeypatch.setenv(f"DESTINATION__{name}__STAGING_DATASET_NAME_LAYOUT", said)
        asked = destination.spec()._bind_dataset_name("raw")
        asked.local_dir = str(tmp_path)
        assert destination.configuration(asked).staging_dataset_name_layout == said
