"""Webhooks: who may push, which bytes are an event, and of what."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.push import OTHER_SECRET, SECRET, company, event, signed, signed_by_github

from ledger.errors import SettingsError
from loaders.webhooks import (
    BadSignature,
    EventReader,
    MalformedEvent,
    WebhookSource,
    configured_webhooks,
)

NOW = datetime.now(UTC)
CRM = WebhookSource("crm", (SECRET,))
HUB = WebhookSource("hub", ("It's a Secret to Everybody",), "github")


def test_the_vector_of_standard_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    sent_at = datetime.fromtimestamp(1614265330, UTC)
    monkeypatch.setattr("loaders.webhooks.now", lambda: sent_at)
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    CRM.verify(headers, b'{"test": 2432232314}')
    with pytest.raises(BadSignature):
        CRM.verify(headers, b'{"test": 2432232315}')


def test_the_vector_of_github() -> None:
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    HUB.verify({"x-hub-signature-256": f"sha256={digest}"}, b"Hello, World!")
    for sent in ("", digest, f"sha1={digest}", f"sha256={digest[:-1]}0", "sha256=é"):
        with pytest.raises(BadSignature):
            HUB.verify({"x-hub-signature-256": sent}, b"Hello, World!")


def test_any_of_several_secrets_fits_while_they_are_rotated() -> None:
    source = WebhookSource("crm", (SECRET, OTHER_SECRET))
    for secret in (SECRET, OTHER_SECRET):
        source.verify(signed(b"{}", "m1", secret), b"{}")
    with pytest.raises(BadSignature):
        CRM.verify(signed(b"{}", "m1", OTHER_SECRET), b"{}")


def test_one_of_several_signatures_is_enough() -> None:
    headers = signed(b"{}", "m1")
    wrong = "v1,AAAA v1a,abc"
    CRM.verify(headers | {"webhook-signature": f"{wrong} {headers['webhook-signature']}"}, b"{}")


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "m2"},
        {"webhook-id": ""},
        {"webhook-timestamp": "1"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e999"},
        {"webhook-timestamp": "tomorrow"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": "v1,a,b,c"},
        {"webhook-signature": "v2,AAAA"},
    ],
)
def test_a_forged_header_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        CRM.verify(signed(b"{}", "m1") | change, b"{}")


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ("", "webhook-timestamp is missing"),
        ("tomorrow", "webhook-timestamp is not a number"),
        ("nan", "webhook-timestamp is not a number"),
        ("1e999", "webhook-timestamp is not a number"),
        ("1614265330", "the timestamp is not within 5 minutes of now"),
    ],
)
def test_a_wrong_clock_is_told_from_a_wrong_secret(sent: str, says: str) -> None:
    with pytest.raises(BadSignature, match=says):
        CRM.verify(signed(b"{}", "m1") | {"webhook-timestamp": sent}, b"{}")


def test_a_body_that_is_no_text_is_proved_by_its_bytes() -> None:
    body = b'{"id": "\xff"}'
    CRM.verify(signed(body, "m1"), body)
    with pytest.raises(BadSignature):
        CRM.verify(signed(body, "m1"), body.replace(b"\xff", b"\xfe"))
    with pytest.raises(MalformedEvent, match="the body is not UTF-8 at byte 8"):
        EventReader(CRM).read({}, body, NOW)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_or_future_request_is_refused(minutes: int) -> None:
    now = datetime.now(UTC)
    with pytest.raises(BadSignature):
        CRM.verify(signed(b"{}", "m1", at=now + timedelta(minutes=minutes)), b"{}")
    CRM.verify(signed(b"{}", "m1", at=now + timedelta(minutes=minutes * 0.6)), b"{}")


@pytest.mark.parametrize(
    ("kind", "entity", "is_deletion"),
    [
        ("company.created", "companies", False),
        ("companies.updated", "companies", False),
        ("company.deleted", "companies", True),
        ("user.updated", "users", False),
        ("company.renamed", None, False),
        ("order.created", None, False),
        ("company", None, False),
        ("", None, False),
    ],
)
def test_a_type_names_an_entity_of_its_source(
    kind: str, entity: str | None, is_deletion: bool
) -> None:
    data = company() | {"company_id": "c1"}
    found = EventReader(CRM).read({}, event(kind, data, "e1"), NOW)
    assert (found.entity, found.is_deletion) == (entity, is_deletion)


def test_feedback_is_its_own_singular() -> None:
    reader = EventReader(WebhookSource("support", (SECRET,)))
    assert reader.read({}, event("feedback.created", {}, "e1"), NOW).entity == "feedback"


def test_the_id_is_the_body_s_then_the_header_s_then_a_hash() -> None:
    reader = EventReader(CRM)
    headers = {"webhook-id": "m1"}
    assert reader.read(headers, b'{"id": "e1"}', NOW).event_id == "e1"
    assert reader.read(headers, b'{"type": "x"}', NOW).event_id == "m1"
    by_hash = reader.read({}, b'{"type": "x"}', NOW).event_id
    assert by_hash == reader.read({}, b'{"type": "x"}', NOW).event_id
    assert by_hash != reader.read({}, b'{"type": "y"}', NOW).event_id


def test_github_s_headers_name_what_the_body_does_not() -> None:
    headers = signed_by_github(b"{}", "d1", "issues")
    found = EventReader(HUB).read(headers, b'{"zen": 1}', NOW)
    assert (found.event_id, found.event_type, found.entity) == ("d1", "issues", None)


def test_a_breach_of_the_contract_is_named() -> None:
    reader = EventReader(CRM)
    found = reader.read({}, event("company.created", company(name=7), "e1"), NOW)
    assert found.record_id == "c1"
    assert found.error == "companies 'c1': name: Expected `str`, got `int`; value 7"
    without = reader.read({}, b'{"id": "e1", "type": "company.created"}', NOW)
    assert without.error == "companies ?: the event has no `data`"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b'"text"',
        b'{"id": NaN}',
        b'{"id": 1}',
        b'{"id": "a"} {"id": "b"}',
        b'{"id": "\xff"}',
        b'{"other": "\xff"}',
        b'{"id": "\\ud800"}',
        b'{"id": "\\u0000"}',
        b'{"id": "a", "type": "' + b"x" * 257 + b'"}',
        b"[" * 100_000,
        b'{"a": ' * 100_000,
    ],
    ids=range(14),
)
def test_what_is_no_event_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEvent):
        EventReader(CRM).read({}, body, NOW)


def test_a_source_exists_when_it_has_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOKS__CRM__SECRETS", f"{SECRET} {OTHER_SECRET}")
    monkeypatch.setenv("WEBHOOKS__MY_HUB__SECRETS", '["one", "two"]')
    monkeypatch.setenv("WEBHOOKS__MY_HUB__SCHEME", "github")
    found = configured_webhooks()
    assert set(found) == {"crm", "my_hub"}
    assert found["crm"].secrets == (SECRET, OTHER_SECRET)
    assert (found["my_hub"].secrets, found["my_hub"].scheme) == (("one", "two"), "github")
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SCHEME", "none", "expected one of standard, github"),
        ("SECRETS", "whsec_%%%", "no base64"),
        ("SECRETS", "whsec_", "no base64"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOKS__CRM__SECRETS", SECRET)
    monkeypatch.setenv(f"WEBHOOKS__CRM__{name}", value)
    with pytest.raises(SettingsError, match=message) as caught:
        configured_webhooks()
    assert "%%%" not in str(caught.value)
