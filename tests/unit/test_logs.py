"""Logs: the id of the run in every line, and no secret, whoever logs it and however."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.errors import SettingsError
from ledger.runs import current_run_id
from operations.logs import set_up_logs, set_up_logs_if_asked

PLANTED = {
    "SOURCES__CRM__API_TOKEN": "planted-api-token",
    "WEBHOOKS__CRM__SECRETS": '["whsec_planted1", "whsec_planted2"]',
    "WAREHOUSE_POSTGRES_URL": "postgresql://user:planted-password@host:5432/base",
    "ALERTS__URLS": "slack://planted/slack/path mailto://user:planted-mail@example.com",
    "REDIS_URL": "redis://:planted-redis@cache:6379",
}
SPOKEN = (
    *("planted-api-token", "whsec_planted1", "whsec_planted2", "planted-password"),
    *("planted/slack/path", "planted-mail", "planted-redis", "planted-in-toml"),
)


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """What a test sets up ends with it."""
    root, project = logging.getLogger(), logging.getLogger("warehouse")
    handlers, levels = root.handlers[:], (root.level, project.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    project.setLevel(levels[1])


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".dlt").mkdir()
    secrets = '[webhooks.hub]\nsecrets = ["planted-in-toml"]\n'
    (tmp_path / ".dlt" / "secrets.toml").write_text(secrets)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("secret", SPOKEN)
def test_no_secret_is_logged(
    secret: str, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logs(as_json=as_json)
    log = logging.getLogger("some.library")
    log.warning("asked with %s", secret)
    log.warning(f"asked with {secret} outright")
    try:
        raise ValueError(f"refused: {secret}")
    except ValueError:
        log.exception("it failed")
    text = capsys.readouterr().err
    assert text.count("***") >= 3
    assert secret not in text


def test_every_line_names_its_run(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(as_json=True)
    token = current_run_id.set("run-1")
    logging.getLogger("warehouse").info("in")
    current_run_id.reset(token)
    logging.getLogger("warehouse").info("out")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["run_id"], line["message"]) for line in lines] == [("run-1", "in"), (None, "out")]


def test_an_unknown_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_LOG", "xml")
    with pytest.raises(SettingsError, match="set it to `text` or `json`"):
        set_up_logs_if_asked()
