"""After every cycle: checks ─▶ ledger ─▶ alerts ─▶ channels. What fails here breaks no cycle.

Messages are written to the ledger first and sent by a thread of their own, so that a slow channel
holds nothing up and a message survives the process. When the ledger itself is out of reach, the
message goes straight to the channels.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ledger.alerts import raise_alerts, record_delivery, to_deliver
from ledger.engine import open_ledger
from ledger.errors import LockedError, TargetError
from ledger.health import known_checks, record_checks
from ledger.lock import run_lock
from ledger.runs import now
from ledger.settings import Settings
from loaders.stream_settings import configured_stream
from operations.monitor.channels import configured_channels, deliver
from operations.monitor.checks import evaluate
from operations.monitor.context import Check, Context
from operations.monitor.thresholds import Threshold, configured_thresholds
from operations.service.settings import configured_schedules
from serving.publish import refresh_operations

log = logging.getLogger("warehouse")
LEDGER_CAUSE = "ledger"
SHOWN_CHECKS = 5


@dataclass(frozen=True)
class Observation:
    """What the checks said, and whether a verdict is new."""

    checks: list[Check]
    changed: bool


class Supervisor:
    """Watches one warehouse.

    Raises:
        SettingsError: a threshold, a schedule or a channel makes no sense.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Engine,
        *,
        queue_limit: int = 100_000,
        reads_stream: bool = False,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._queue_limit = queue_limit
        self._reads_stream = reads_stream
        self._thresholds: dict[str, Threshold] = configured_thresholds()
        self._schedules = configured_schedules()
        self._channels: Mapping[str, str] = configured_channels()
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="alerts")
        self._sending: Future[None] | None = None
        self._ledger_is_lost = False

    def close(self) -> None:
        """End after the messages that are being sent."""
        self._sender.shutdown(wait=True)

    def observe(self, at: datetime | None = None) -> Observation:
        """Check everything, keep it, and send what has to be said; gives what was seen."""
        at = at or now()
        try:
            observation = self._observe(at)
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            self._report_lost_ledger(reason)
            advice = f"the ledger cannot be read: {reason}"
            lost = Check(LEDGER_CAUSE, False, 1.0, 0.0, "failures", LEDGER_CAUSE, advice)
            return Observation([lost], changed=False)
        if self._ledger_is_lost:
            self._ledger_is_lost = False
            self._send_directly("recovery", f"{LEDGER_CAUSE}: well again")
        return observation

    def wait(self) -> None:
        """Until what has to be sent was tried once; it is sent in turn."""
        self._sender.submit(lambda: None).result()
        if self._sending is not None:
            self._sending.result()

    def _observe(self, at: datetime) -> Observation:
        with self._ledger.connect() as connection:
            checks = evaluate(
                Context(
                    self._settings,
                    self._ledger,
                    connection,
                    self._thresholds,
                    at,
                    self._queue_limit,
                    self._reads_stream,
                    self._schedules,
                )
            )
        faults = _faults(checks)
        with self._ledger.begin() as connection:
            changed = record_checks(connection, [vars(check) for check in checks], at)
            well_since: dict[str, datetime] = {}
            for row in known_checks(connection):
                cause = row["root_cause"]
                well_since[cause] = max(row["since"], well_since.get(cause, row["since"]))
            said = raise_alerts(connection, faults, well_since, list(self._channels), at)
            due = to_deliver(connection, at)
        for message in said:
            log.warning("alert: %s", message)
        if due and (self._sending is None or self._sending.done()):
            self._sending = self._sender.submit(self._deliver, at)
        return Observation(checks, changed)

    def _deliver(self, at: datetime) -> None:
        try:
            with self._ledger.connect() as connection:
                due = to_deliver(connection, at)
            for row in due:
                error = deliver(self._channels, row["channel"], row["kind"], row["message"])
                if error is not None:
                    log.error("an alert is not delivered by %s: %s", row["channel"], error)
                with self._ledger.begin() as connection:
                    record_delivery(connection, row["alert_id"], error, at)
        except SQLAlchemyError as error:
            log.error("alerts are sent later: %s", " ".join(str(error).split()))

    def _report_lost_ledger(self, reason: str) -> None:
        log.error("the ledger cannot be read: %s", reason)
        if not self._ledger_is_lost:
            self._ledger_is_lost = True
            self._send_directly("problem", f"{LEDGER_CAUSE}: it cannot be read: {reason}")

    def _send_directly(self, kind: str, message: str) -> None:
        for name in self._channels:
            self._sender.submit(deliver, self._channels, name, kind, message)


def watch_once(settings: Settings) -> list[Check]:
    """Check everything now, for a command: keep it, show it to readers, and send alerts.

    Raises:
        SettingsError: a threshold, a schedule or a channel makes no sense.
        TargetError: the ledger cannot be opened.
    """
    ledger = open_ledger(settings)
    reads_stream = configured_stream() is not None
    supervisor = Supervisor(settings, ledger, reads_stream=reads_stream)
    try:
        observation = supervisor.observe()
        if observation.changed:
            show_health(settings, ledger)
        supervisor.wait()
        return observation.checks
    finally:
        supervisor.close()
        ledger.dispose()


def show_health(settings: Settings, ledger: Engine) -> None:
    """Let readers see the newest checks; whoever runs now will do it otherwise."""
    try:
        with run_lock(settings, "health", 0):
            refresh_operations(settings, ledger)
    except LockedError:
        return
    except TargetError as error:
        log.error("readers see older checks: %s", error)


def _faults(checks: list[Check]) -> dict[str, str]:
    """Root causes at fault, each with its checks and what to do."""
    found: dict[str, list[Check]] = {}
    for check in checks:
        if not check.is_healthy:
            found.setdefault(check.root_cause, []).append(check)
    return {cause: f"{own[0].advice} ({_names(own)})" for cause, own in found.items()}


def _names(checks: list[Check]) -> str:
    more = len(checks) - SHOWN_CHECKS
    shown = ", ".join(check.name for check in checks[:SHOWN_CHECKS])
    return shown + (f" and {more} more" if more > 0 else "")
