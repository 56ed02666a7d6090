"""Answers kept: a key that contains the version ─▶ bytes, computed by one at a time, for an hour.

The key makes a stale answer impossible, so what is kept needs no invalidation. Memory comes first;
with `REDIS_URL` set, Redis is asked next, so that several services share what each computed. A
Redis that is down costs its answers and nothing else.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE
from redis.exceptions import RedisError

EXPIRES_SECONDS = 3600
MAX_ANSWERS = 10_000
REDIS_TIMEOUT_SECONDS = 1.0
REDIS_PAUSE_SECONDS = 10.0
PREFIX = "warehouse:metrics:"

log = logging.getLogger("warehouse")


@dataclass(frozen=True)
class Kept:
    """An answer and when it was computed."""

    body: bytes
    tag: str
    as_of: str
    computed_at: float

    @property
    def age(self) -> int:
        """Seconds since."""
        return max(0, int(time.time() - self.computed_at))


class AnswerCache:
    """Memory, and Redis where there is one."""

    def __init__(self, redis_url: str | None = None) -> None:
        memory = {"cache_dict": _Bounded()}
        self._memory = make_region().configure(
            "dogpile.cache.memory", expiration_time=EXPIRES_SECONDS, arguments=memory
        )
        self._redis: Any = None
        self._redis_again_at = 0.0
        if redis_url:
            arguments = {
                "url": redis_url,
                "redis_expiration_time": EXPIRES_SECONDS,
                "distributed_lock": True,
                "thread_local_lock": False,
                "lock_timeout": 60,
                "socket_timeout": REDIS_TIMEOUT_SECONDS,
                "connection_kwargs": {"socket_connect_timeout": REDIS_TIMEOUT_SECONDS},
            }
            self._redis = make_region().configure(
                "dogpile.cache.redis", expiration_time=EXPIRES_SECONDS, arguments=arguments
            )

    def find(self, key: str) -> Kept | None:
        """What memory has; quick enough for the event loop."""
        found = self._memory.get(key)
        if found is NO_VALUE:
            return None
        kept: Kept = found
        if time.time() - kept.computed_at < EXPIRES_SECONDS:
            return kept
        # Redis had it for a while before memory did.
        self._memory.delete(key)
        return None

    def find_or_compute(self, key: str, compute: Callable[[], Kept]) -> Kept:
        """What is kept; else computed, once, while others who ask for it wait."""
        kept: Kept = self._memory.get_or_create(key, lambda: self._shared(key, compute))
        return kept

    def _shared(self, key: str, compute: Callable[[], Kept]) -> Kept:
        if self._redis is None or time.monotonic() < self._redis_again_at:
            return compute()
        computed: list[Kept] = []

        def create() -> list[Any]:
            computed.append(compute())
            one = computed[0]
            return [one.body.decode(), one.tag, one.as_of, one.computed_at]

        try:
            body, tag, as_of, computed_at = self._redis.get_or_create(PREFIX + key, create)
        except (RedisError, OSError) as error:
            self._redis_again_at = time.monotonic() + REDIS_PAUSE_SECONDS
            log.warning("the cache in Redis does not answer (%s); going on without", error)
            return computed[0] if computed else compute()
        return Kept(body.encode(), tag, as_of, computed_at)


class _Bounded(OrderedDict[str, Any]):
    """Forgets what came first when it is full."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        while len(self) > MAX_ANSWERS:
            self.popitem(last=False)
