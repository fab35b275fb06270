"""Wake-ups and hints through the broker. Every one of them may be lost, late or doubled: the database
is the queue of record, so nothing here raises when the broker is down or frozen; it is counted instead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import KombuError
from redis.backoff import NoBackoff
from redis.retry import Retry

WAKE_TASK = "netmill.wake"
PREFIX = "netmill:"
PREDICT_KEY = f"{PREFIX}predict"
ANALYSIS_KEY = f"{PREFIX}analyses"
HINTS_CHANNEL = f"{PREFIX}hints"
# A wake-up older than this tells nothing that polling has not found by then.
WAKE_EXPIRES_S = 300
# More wake-ups than slots that might be free: who takes one works until nothing is queued.
ENOUGH_WAKES = 16
# After a failed call the broker is left alone for so long, so that a frozen one delays one request and not each.
REST_S = 1.0
_BROKEN = (redis.RedisError, KombuError, OSError)


def make_celery(redis_url: str, queue: str, *, socket_timeout_s: float) -> Celery:
    """A Celery application for the wake-ups: JSON alone, early acknowledgement, no results, no remote control.

    A wake-up has no value once the claim stands in the database; late acknowledgement would deliver
    it again after the visibility timeout, to a second worker beside the first.
    """
    app = Celery("netmill", broker=redis_url, set_as_current=False)
    app.conf.update(
        task_acks_late=False,
        task_ignore_result=True,
        result_backend=None,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=queue,
        task_create_missing_queues=True,
        task_publish_retry=False,
        broker_connection_timeout=socket_timeout_s,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_acquire_timeout=2,
        broker_transport_options={
            "socket_timeout": socket_timeout_s,
            "socket_connect_timeout": min(2.0, socket_timeout_s),
            "socket_keepalive": not redis_url.startswith("redis+socket"),
            "health_check_interval": 10,
            "visibility_timeout": 3600,
            "global_keyprefix": PREFIX,
            # the consumer's connection is retried for ever by the worker; these are for publishing, which tries once
            "max_retries": 0,
            "interval_start": 0,
        },
    )
    return app


def make_client(redis_url: str, *, socket_timeout_s: float) -> redis.Redis:
    """A plain client of the same broker that tries each call once."""
    url = redis_url.replace("redis+socket://", "unix://", 1)
    return redis.Redis.from_url(
        url,
        socket_timeout=socket_timeout_s,
        socket_connect_timeout=socket_timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


class Queue:
    """Publishes wake-ups and hints; safe to share between threads. `failures` counts what could not be sent."""

    def __init__(self, redis_url: str, queue: str = "wake.cpu", *, socket_timeout_s: float = 1.0) -> None:
        self.failures = 0
        self._url = redis_url
        self._queue = queue
        self._celery = make_celery(redis_url, queue, socket_timeout_s=socket_timeout_s)
        self._client = make_client(redis_url, socket_timeout_s=socket_timeout_s)
        # its calls wait on purpose, for less than this
        self._waiting = make_client(redis_url, socket_timeout_s=10.0)
        self._lock = threading.Lock()
        self._rest_until = 0.0

    def publish_wake(self, job_id: str) -> bool:
        """Tells the workers to look for this job; call it after the commit. False when the broker did not take it."""
        return self._try(
            lambda: self._celery.send_task(
                WAKE_TASK, args=[job_id], queue=self._queue, retry=False, expires=WAKE_EXPIRES_S, ignore_result=True
            )
        )

    def publish_wakes(self, job_ids: Sequence[str]) -> int:
        """As `publish_wake` for jobs of one commit; how many were sent.

        Each worker that takes one works until nothing is queued. So no more are sent once `ENOUGH_WAKES` lie in the
        broker, which nobody is free to take: asking takes a tenth of the time of sending one, and each that is sent
        costs a worker as much again.
        """
        lying: list[int] = [0]
        if job_ids:
            self._try(lambda: lying.append(int(self._client.llen(f"{PREFIX}{self._queue}"))))
        return sum(self.publish_wake(job_id) for job_id in job_ids[: max(0, ENOUGH_WAKES - lying[-1])])

    def publish_predict(self, prediction_id: str) -> bool:
        """Tells a prediction process to look for this request; call it after the commit."""
        return self._push(PREDICT_KEY, prediction_id)

    def next_predict(self, timeout_s: float) -> str | None:
        """The id of a request just published, or None after `timeout_s` (at most 5) or when the broker is down."""
        return self._pop(PREDICT_KEY, timeout_s)

    def publish_analysis(self, analysis_id: str) -> bool:
        """Tells a worker to look for this analysis; call it after the commit."""
        return self._push(ANALYSIS_KEY, analysis_id)

    def next_analysis(self, timeout_s: float) -> str | None:
        """As `next_predict`, for analyses."""
        return self._pop(ANALYSIS_KEY, timeout_s)

    def _push(self, key: str, hint: str) -> bool:
        def push() -> None:
            with self._client.pipeline(transaction=False) as pipe:
                pipe.lpush(key, hint)
                # with no worker about, the hints must not pile up
                pipe.ltrim(key, 0, 999)
                pipe.execute()

        return self._try(push)

    def _pop(self, key: str, timeout_s: float) -> str | None:
        found: list[Any] = []
        if not self._try(lambda: found.append(self._waiting.brpop([key], timeout=timeout_s))):
            time.sleep(min(timeout_s, REST_S))
        return str(found[0][1]) if found and found[0] else None

    def notify(self, topic: str) -> bool:
        """Hints to whoever listens that something about `topic` (a job's or a prediction's id) is new."""
        return self._try(lambda: self._client.publish(HINTS_CHANNEL, topic))

    def notify_all(self, topics: Sequence[str]) -> bool:
        """As `notify` for each of them, in one exchange with the broker."""

        def publish() -> None:
            with self._client.pipeline(transaction=False) as pipe:
                for topic in topics:
                    pipe.publish(HINTS_CHANNEL, topic)
                pipe.execute()

        return self._try(publish)

    def subscribe(self) -> Subscription:
        """A listener of its own connection for all hints."""
        return Subscription(self._url)

    def ping(self) -> bool:
        """True when the broker answers now."""
        return self._try(self._client.ping, rest=False)

    def close(self) -> None:
        """Gives the connections back."""
        self._client.close()
        self._waiting.close()
        self._celery.close()

    def _try(self, action: Callable[[], object], *, rest: bool = True) -> bool:
        if rest and time.monotonic() < self._rest_until:
            self._failed(0.0)
            return False
        try:
            action()
        except _BROKEN:
            self._failed(REST_S)
            return False
        return True

    def _failed(self, rest_s: float) -> None:
        with self._lock:
            self.failures += 1
            if rest_s:
                self._rest_until = time.monotonic() + rest_s


class Subscription:
    """All hints, one at a time; connects again by itself. For one thread."""

    def __init__(self, redis_url: str) -> None:
        self._client = make_client(redis_url, socket_timeout_s=5.0)
        self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._subscribed = False

    def get(self, timeout_s: float) -> str | None:
        """The next topic, or None when none came within `timeout_s` (or the broker is away: it waits as long)."""
        end = time.monotonic() + timeout_s
        try:
            if not self._subscribed:
                self._pubsub.subscribe(HINTS_CHANNEL)
                self._subscribed = True
            while (left := end - time.monotonic()) > 0:
                message = self._pubsub.get_message(timeout=left)
                if message is not None:
                    return str(message["data"])
        except _BROKEN:
            self._subscribed = False
            self._pubsub.reset()
            time.sleep(max(0.0, min(end - time.monotonic(), REST_S)))
        return None

    def close(self) -> None:
        """Ends the subscription and its connection."""
        self._pubsub.close()
        self._client.close()
