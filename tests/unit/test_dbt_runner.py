"""What a person is told when dbt does not start."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from ledger.errors import BuildError, TargetError
from ledger.settings import Settings
from operations import dbt_runner


@pytest.mark.parametrize(
    ("said", "error", "told"),
    [
        (
            'IO Error: Could not set lock on file "w": Conflicting lock is held in\nit (PID 42).',
            TargetError,
            r"open in another program \(pid 42\); wait for it to end",
        ),
        ("no\nsuch\ncolumn", BuildError, "dbt build did not start: no such column"),
    ],
)
def test_the_cause_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    error: type[Exception],
    told: str,
) -> None:
    outcome = SimpleNamespace(result=None, exception=RuntimeError(said))
    monkeypatch.setattr(dbt_runner, "parse", lambda _: None)
    monkeypatch.setattr(dbt_runner, "invoke", lambda *_: outcome)
    with pytest.raises(error, match=told):
        dbt_runner.build(Settings(tmp_path))
