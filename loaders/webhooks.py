"""Webhooks: headers and bytes ─▶ verified ─▶ an event for the inbox.

A source exists when it has a secret: `WEBHOOKS__CRM__SECRETS` or `[webhooks.crm]` in
`.dlt/secrets.toml`, one secret or several while they are rotated; `scheme` is `standard`
(https://www.standardwebhooks.com) or `github` (`X-Hub-Signature-256`).
"""

import base64
import hashlib
import hmac
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import dlt
import msgspec
from dlt.common.configuration.exceptions import ConfigurationException
from standardwebhooks import Webhook

from ledger.errors import SettingsError
from ledger.inbox import Event
from ledger.runs import now
from loaders.contracts import ENTITIES, Entity, entities_of
from loaders.decoding import DeadLetter, RecordDecoder, row_hash
from loaders.sources import SOURCES

SCHEMES = ("standard", "github")
MAX_ID_LENGTH = 256
TOLERANCE_SECONDS = 300
SECRET_VARIABLE = re.compile(r"\AWEBHOOKS__([A-Z0-9_]+?)__SECRETS\Z")
SOURCE_NAME = re.compile(r"\A[a-z0-9][a-z0-9_]{0,62}\Z")
VERBS = ("created", "updated", "deleted")


class BadSignature(Exception):
    """The request is not from who it says, or too old."""


class MalformedEvent(Exception):
    """The body is no event: the sender has to mend it."""


@dataclass(frozen=True)
class WebhookSource:
    """Who may push, and how the push is proved."""

    name: str
    secrets: tuple[str, ...] = field(repr=False)
    scheme: str = "standard"

    @cached_property
    def keys(self) -> tuple[bytes, ...]:
        """What signs, by secret of the scheme `standard`; a secret that is none raises."""
        return tuple(Webhook(secret)._whsecret for secret in self.secrets)

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Check the signature over the raw bytes, against every secret.

        Raises:
            BadSignature: no secret fits, a header is missing, or it is more than 5 minutes off.
        """
        verified = self._github if self.scheme == "github" else self._standard
        if not verified(headers, body):
            raise BadSignature(f"source {self.name}: the signature does not fit any secret")

    def _standard(self, headers: Mapping[str, str], body: bytes) -> bool:
        """The library would decode the body first: one that is no text could not be proved."""
        moment = self._moment(headers.get("webhook-timestamp", ""))
        signed = f"{headers.get('webhook-id', '')}.{moment}.".encode() + body
        sent = list(_signatures(headers.get("webhook-signature", "")))
        fits = False
        for key in self.keys:
            digest = hmac.digest(key, signed, "sha256")
            for signature in sent:
                fits |= hmac.compare_digest(signature, digest)
        return fits and bool(headers.get("webhook-id"))

    def _moment(self, sent: str) -> int:
        """The second that was signed; said apart from a signature, for the clock is to be mended.

        Raises:
            BadSignature: there is none, or it is too far off.
        """
        if not sent:
            raise BadSignature(f"source {self.name}: webhook-timestamp is missing")
        try:
            seconds = float(sent)
        except ValueError:
            seconds = math.nan
        if not math.isfinite(seconds):
            raise BadSignature(f"source {self.name}: webhook-timestamp is not a number")
        if abs(now().timestamp() - seconds) > TOLERANCE_SECONDS:
            minutes = TOLERANCE_SECONDS // 60
            raise BadSignature(
                f"source {self.name}: the timestamp is not within {minutes} minutes of now"
            )
        return math.floor(seconds)

    def _github(self, headers: Mapping[str, str], body: bytes) -> bool:
        sent = headers.get("x-hub-signature-256", "").encode("utf-8", "replace")
        fits = False
        for secret in self.secrets:
            digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            fits |= hmac.compare_digest(sent, f"sha256={digest}".encode())
        return fits


def _signatures(sent: str) -> Iterator[bytes]:
    """The signatures of version 1 in a header; what cannot be one fits nothing."""
    for each in sent.split():
        version, _, signature = each.partition(",")
        if version == "v1":
            with suppress(ValueError):
                yield base64.b64decode(signature)


class _Envelope(msgspec.Struct):
    """What an event may say of itself; everything else stays bytes."""

    id: str | None = None
    type: str | None = None
    data: msgspec.Raw = msgspec.Raw()


_ENVELOPE = msgspec.json.Decoder(_Envelope)


class EventReader:
    """Turns verified bodies of one source into events."""

    def __init__(self, source: WebhookSource) -> None:
        self._source = source
        self._decoders = {entity.name: RecordDecoder(entity) for entity in entities_of(source.name)}

    def read(self, headers: Mapping[str, str], body: bytes, received_at: datetime) -> Event:
        """The event in a body; one that breaks its entity's contract says so in `error`.

        Its id is the body's `id`, else the header's, else a hash of the body.

        Raises:
            MalformedEvent: the body is no JSON object, or its id or type is no short text.
        """
        envelope = self._envelope(body)
        body_hash = row_hash(body)
        delivery = headers.get("webhook-id") or headers.get("x-github-delivery")
        event_id = _short("id", envelope.id or delivery) or f"hash:{body_hash}"
        event_type = _short("type", envelope.type or headers.get("x-github-event")) or ""
        entity, verb = self._entity(event_type)
        error = record_id = None
        if entity is not None:
            error, record_id = self._breach(entity, bytes(envelope.data))
        return Event(
            way_in="webhook",
            source=self._source.name,
            event_id=event_id,
            event_type=event_type,
            body=body,
            body_hash=body_hash,
            received_at=received_at,
            entity=entity.name if entity else None,
            is_deletion=verb == "deleted",
            error=error,
            record_id=record_id,
        )

    def _envelope(self, body: bytes) -> _Envelope:
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise MalformedEvent(f"the body is not UTF-8 at byte {error.start}") from error
        try:
            return _ENVELOPE.decode(body)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise MalformedEvent(f"the body is no event: {error}") from error

    def _entity(self, event_type: str) -> tuple[Entity | None, str]:
        """The entity that a type such as `company.updated` or `companies.updated` is about."""
        name, _, verb = event_type.rpartition(".")
        entity = _ENTITIES.get((self._source.name, name))
        return (entity, verb) if entity and verb in VERBS else (None, "")

    def _breach(self, entity: Entity, data: bytes) -> tuple[str | None, str | None]:
        if not data:
            return f"{entity.name} ?: the event has no `data`", None
        record = self._decoders[entity.name].decode_one(data)
        if isinstance(record, DeadLetter):
            return record.error, record.record_id
        return None, record.id


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return f"{name[:-3]}y"
    return name.removesuffix("s")


_ENTITIES = {
    (entity.source, name): entity
    for entity in ENTITIES
    for name in (entity.name, _singular(entity.name))
}


def _short(name: str, value: str | None) -> str | None:
    if value is not None and (len(value) > MAX_ID_LENGTH or "\0" in value):
        raise MalformedEvent(f"the event's {name} is longer than {MAX_ID_LENGTH} or holds a NUL")
    return value


def configured_webhooks() -> dict[str, WebhookSource]:
    """The sources that have a secret, by name.

    Raises:
        SettingsError: a scheme is unknown, or a secret cannot be used.
    """
    return {source.name: source for name in sorted(_names()) for source in _configured(name)}


def _names() -> set[str]:
    variables = map(SECRET_VARIABLE.match, os.environ)
    names = {found.group(1).lower() for found in variables if found} | set(SOURCES)
    sections = _get("webhooks")
    if isinstance(sections, Mapping):
        names |= {str(name) for name in sections}
    return {name for name in names if SOURCE_NAME.match(name)}


def _configured(name: str) -> Iterator[WebhookSource]:
    place = f"WEBHOOKS__{name.upper()}__SECRETS or [webhooks.{name}] in .dlt/secrets.toml"
    secrets = _as_tuple(_get(f"webhooks.{name}.secrets"))
    if not secrets:
        return
    key = f"webhooks.{name}.scheme"
    scheme = str(dlt.config.get(key, str) or _get(key) or "standard")
    if scheme not in SCHEMES:
        raise SettingsError(
            f"webhooks {name}: scheme is {scheme!r}; expected one of {', '.join(SCHEMES)} in "
            f"WEBHOOKS__{name.upper()}__SCHEME or [webhooks.{name}] in .dlt/config.toml"
        )
    source = WebhookSource(name, secrets, scheme)
    try:
        if scheme == "standard":
            _ = source.keys
    except Exception as error:
        raise SettingsError(
            f"webhooks {name}: a secret is no base64 text (`whsec_...`); correct {place}"
        ) from error
    yield source


def _get(key: str) -> Any:
    try:
        return dlt.secrets.get(key)
    except (ConfigurationException, ValueError, TypeError) as error:
        raise SettingsError(
            f"{key} cannot be read; correct it in .dlt or the environment"
        ) from error


def _as_tuple(value: Any) -> tuple[str, ...]:
    """One secret, a list of them (JSON in a variable), or several separated by spaces."""
    if value is None:
        return ()
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = msgspec.json.decode(value)
    return tuple(value.split() if isinstance(value, str) else map(str, value))
