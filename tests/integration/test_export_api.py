"""The API of exports: who may read what, ranges, limits, what is logged; on both engines."""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select
from starlette.testclient import TestClient
from support.outage import outage
from support.published import execute, publish

from ledger.engine import open_ledger
from ledger.errors import SettingsError
from ledger.settings import Settings
from ledger.tables import access_log, api_tokens
from ledger.tokens import create_token, list_tokens, revoke_token
from operations.service.app import Application, create_app
from operations.service.settings import ServiceSettings
from serving import sources
from serving.api import DataApi, open_data_api

ROWS: dict[str, Any] = {
    "core.dim_company": [
        ("k1", "c1", "a1", "Acme", True, False),
        ("k2", "c2", "a2", "Brand", True, False),
        ("k3", "c3", "a1", "Crown", True, False),
    ]
}
PATH = "/accounts/a1/exports/dim_company.csv"


class Api:
    """A client with tokens."""

    def __init__(self, client: TestClient, ledger: Engine, data: DataApi) -> None:
        self.client, self.ledger, self.data = client, ledger, data
        self.requested: list[str] = []

    def token(self, *scopes: str, account: str | None = None, limit: int = 600) -> dict[str, str]:
        _, text = create_token(self.ledger, "test", scopes or ["export"], account, limit)
        return {"authorization": f"Bearer {text}"}

    def get(self, path: str, token: dict[str, str], **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(path, headers=token | named)

    def logged(self) -> list[tuple[Any, ...]]:
        self.data.gate.flush()
        columns = access_log.c
        query = select(columns.path, columns.account_id, columns.status, columns.byte_count)
        with self.ledger.connect() as connection:
            rows = connection.execute(query.order_by(columns.access_id)).all()
        return [tuple(row) for row in rows]


@pytest.fixture
def api(settings: Settings) -> Iterator[Api]:
    publish(settings, 1, ROWS)
    ledger = open_ledger(settings)
    with open_data_api(settings, ledger) as data:
        requested: list[str] = []
        options = ServiceSettings(sync_token="the-old-one")
        application = Application(options, ledger, {}, requested.append, data=data)
        with TestClient(create_app(application)) as client:
            opened = Api(client, ledger, data)
            opened.requested = requested
            yield opened
    ledger.dispose()


def test_only_a_valid_token_of_the_account_gets_rows(api: Api) -> None:
    own, anyones = api.token(account="a1"), api.token()
    body = api.get(PATH, own)
    assert body.status_code == 200
    assert [line[:2] for line in body.text.splitlines()] == ["co", "k1", "k3"]
    assert api.get(PATH, anyones).text == body.text
    assert (api.get(PATH, {}).status_code, api.get(PATH, {}).headers["www-authenticate"]) == (
        401,
        "Bearer",
    )
    wrong = {"authorization": own["authorization"][:-2] + "xx"}
    assert api.get(PATH, wrong).status_code == 401
    assert api.get(PATH, {"authorization": "Bearer whk_nobody_secret"}).status_code == 401
    assert api.get(PATH, api.token("metrics", account="a1")).status_code == 403
    assert api.get(PATH, api.token("admin")).status_code == 200

    # Another's data, and nobody's, look the same.
    other = api.get("/accounts/a2/exports/dim_company.csv", own)
    nobody = api.get("/accounts/a9/exports/dim_company.csv", own)
    assert (other.status_code, nobody.status_code) == (404, 404)
    assert other.text == nobody.text.replace("a9", "a2")
    assert nobody.text == api.get("/accounts/a9/exports/dim_company.csv", anyones).text

    (token, *_) = list_tokens(api.ledger)
    revoke_token(api.ledger, token.token_id)
    assert api.get(PATH, own).status_code == 401
    logged = api.logged()
    assert logged[0] == (PATH, "a1", 200, len(body.content))
    assert [status for _, _, status, _ in logged].count(401) == 5
    with api.ledger.connect() as connection:
        assert connection.scalar(select(api_tokens.c.last_used_at)) is not None


def test_only_a_valid_token_counts_as_used(api: Api) -> None:
    def last_used() -> Any:
        api.data.gate.flush()
        with api.ledger.connect() as connection:
            return connection.scalar(select(api_tokens.c.last_used_at))

    token = api.token("metrics")
    wrong = {"authorization": token["authorization"][:-2] + "xx"}
    assert api.get(PATH, wrong).status_code == 401
    assert last_used() is None
    assert api.get(PATH, token).status_code == 403
    used_at = last_used()
    assert used_at is not None, "the wrong scope, but the right secret"
    revoke_token(api.ledger, list_tokens(api.ledger)[0].token_id)
    assert api.get(PATH, token).status_code == 401
    assert last_used() == used_at


def test_the_ledger_keeps_no_secret_and_compares_in_constant_time(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = api.token()
    text = token["authorization"].split()[1]
    secret = text.split("_", 2)[2]
    (kept,) = list_tokens(api.ledger)
    assert kept.secret_hash == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in repr(kept) and kept.secret_hash not in repr(kept)
    compared: list[tuple[Any, ...]] = []
    real: Callable[..., bool] = hmac.compare_digest

    def compare(*values: Any) -> bool:
        compared.append(values)
        return real(*values)

    monkeypatch.setattr("ledger.tokens.hmac.compare_digest", compare)
    assert api.get(PATH, token).status_code == 200
    assert api.get(PATH, {"authorization": "Bearer whk_nobody_secret"}).status_code == 401
    assert len(compared) == 2
    with pytest.raises(SettingsError, match="no scope 'all'; there are export, metrics"):
        create_token(api.ledger, "x", ["all"])
    with pytest.raises(SettingsError, match="reaches beyond one account"):
        create_token(api.ledger, "x", ["admin"], "a1")
    with pytest.raises(SettingsError, match="no token has the id 'nobody'"):
        revoke_token(api.ledger, "nobody")


def test_a_token_has_a_limit(api: Api) -> None:
    token = api.token(limit=2)
    assert [api.get(PATH, token).status_code for _ in range(3)] == [200, 200, 429]
    assert 1 <= int(api.get(PATH, token).headers["retry-after"]) <= 60
    assert api.get(PATH, api.token()).status_code == 200


def test_sync_takes_the_old_token_and_the_new_ones(api: Api, monkeypatch: Any) -> None:
    monkeypatch.setenv("SOURCES__CRM__BASE_URL", "http://localhost")
    monkeypatch.setenv("SOURCES__CRM__API_TOKEN", "x")
    statuses = [
        api.client.post("/sync/crm", headers=headers).status_code
        for headers in (
            {"authorization": "Bearer the-old-one"},
            api.token("sync"),
            api.token("export"),
            {},
        )
    ]
    assert statuses == [202, 202, 403, 401]
    assert api.requested == ["crm", "crm"]


def test_a_broken_download_goes_on_by_range(api: Api, settings: Settings) -> None:
    token = api.token()
    whole = api.get(PATH, token)
    tag, size = whole.headers["etag"], len(whole.content)
    cut = api.get(PATH, token, range="bytes=0-9", if_range=tag)
    rest = api.get(PATH, token, range="bytes=10-", if_range=tag)
    assert (cut.status_code, rest.status_code) == (206, 206)
    assert rest.headers["content-range"] == f"bytes 10-{size - 1}/{size}"
    assert cut.content + rest.content == whole.content
    assert api.get(PATH, token, range="bytes=-5").content == whole.content[-5:]
    beyond = api.get(PATH, token, range=f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert api.get(PATH, token, if_none_match=tag).status_code == 304
    head = api.client.head(PATH, headers=token)
    assert (head.headers["content-length"], head.content) == (str(size), b"")

    manifest = api.get(f"{PATH}/manifest", token).json()
    assert manifest["sha256"] == hashlib.sha256(whole.content).hexdigest()
    job = api.get(f"/exports/jobs/{whole.headers['x-export-job']}", token).json()
    assert (job["status"], job["rows_done"], job["rows_total"]) == ("done", 2, 2)
    assert api.get(f"/exports/jobs/{job['job_id']}", api.token(account="a2")).status_code == 404

    # A newer version is answered whole.
    publish(settings, 2, ROWS)
    newer = api.get(PATH, token, range="bytes=10-", if_range=tag)
    assert (newer.status_code, newer.content) == (200, whole.content)
    assert newer.headers["x-publication-version"] == "2"


def test_mistakes_are_named(api: Api) -> None:
    token = api.token()
    for path, status, message in (
        ("/accounts/a1/exports/saels.csv", 404, "no dataset 'saels'"),
        ("/accounts/a1/exports/daily_sales.csv", 400, "sums over accounts"),
        ("/accounts/a1/exports/sales.xlsx", 400, "no format 'xlsx'"),
        ("/accounts/a1/exports/sales.csv.rar", 400, "no compression 'rar'"),
        ("/accounts/a1/exports/sales.jsonl?guard_formulas=true", 400, "guarded in csv"),
        ("/exports/jobs/none", 404, "no export job 'none'"),
    ):
        answer = api.get(path, token)
        assert (answer.status_code, message in answer.json()["error"]) == (status, True), path


@pytest.mark.parametrize("suffix", ["csv", "jsonl.gz", "csv.zst", "parquet"])
def test_a_large_export_is_whole_and_the_same_by_ranges(
    api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(sources, "PART_ROWS", 10_000)
    monkeypatch.setattr(sources, "PART_BLOCKS", 100)
    execute(
        settings,
        "insert into core.dim_company select 'k', 'c' || nn, 'a1', 'name', true, false"
        " from generate_series(1, 50000) as series(nn)",
    )
    token = api.token()
    path = f"/accounts/a1/exports/dim_company.{suffix}"
    whole = api.get(path, token)
    manifest = api.get(f"{path}/manifest", token).json()
    assert manifest["rows"] == 50_002
    assert manifest["sha256"] == hashlib.sha256(whole.content).hexdigest()
    half = len(whole.content) // 2
    parts = [f"bytes=0-{half}", f"bytes={half + 1}-"]
    assert b"".join(api.get(path, token, range=part).content for part in parts) == whole.content


def test_nothing_published_yet_is_said(settings: Settings) -> None:
    ledger = open_ledger(settings)
    with open_data_api(settings, ledger) as data:
        application = Application(ServiceSettings(), ledger, {}, lambda _: None, data=data)
        with TestClient(create_app(application)) as client:
            _, text = create_token(ledger, "test", ["export"])
            answer = client.get(PATH, headers={"authorization": f"Bearer {text}"})
    ledger.dispose()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_a_database_that_is_down_is_said_logged_and_passes(
    api: Api, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    token = api.token("admin")
    assert api.get(PATH, token).status_code == 200
    before = len(api.logged())
    paths = [PATH, f"{PATH}/manifest", "/exports/jobs/any"]
    with outage(settings):
        answers = [api.get(path, token) for path in paths]
        answers.append(api.client.post("/sync/crm", headers=token))
        said = caplog.text
        if settings.postgres_url is not None:
            figures = api.client.get("/metrics")
            assert (figures.status_code, figures.headers["retry-after"]) == (503, "5")
            assert "the ledger cannot be reached: " in caplog.text
    for answer in answers:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json() == {"error": "the database cannot be reached; try again later"}
    assert said.count("the database cannot be reached: OperationalError") == len(answers)
    assert api.get(PATH, token).status_code == 200
    logged = [(path, status) for path, _, status, _ in api.logged()[before:]]
    assert logged == [*((path, 503) for path in (*paths, "/sync/crm")), (PATH, 200)]


def test_a_long_outage_costs_old_accesses_and_not_the_memory(
    api: Api,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("ledger.access.MOST_WAITING", 3)
    before = len(api.logged())
    with outage(settings):
        for number in range(5):
            api.get(f"/accounts/{number}/exports/dim_company.csv", {})
            api.data.gate.flush()
    kept = [path.split("/")[2] for path, *_ in api.logged()[before:]]
    assert kept == ["2", "3", "4"]
    assert caplog.text.count("could not be logged yet") == 1


@pytest.mark.parametrize("settings", ["duckdb"], indirect=True)
def test_marts_that_cannot_be_opened_are_no_bare_error(
    api: Api, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    token = api.token()
    assert api.get("/accounts/a9/exports/dim_company.csv", token).status_code == 404
    settings.published_path.resolve().write_bytes(b"no database")
    answer = api.get(PATH, token)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert str(settings.home) not in answer.text
    assert "cannot open the published marts" in caplog.text
