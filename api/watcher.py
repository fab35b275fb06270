"""One look for all who wait.

Long polls, streams and predictions hold neither a thread nor a database connection: each registers what
it waits for, and one task in each process asks the database for all of them at once, twice a second and
whenever the broker hints that something is new. Hints may be lost; the query is the truth.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from api.telemetry import Telemetry

log = structlog.get_logger(__name__)
# hints come faster than a query is worth: those that arrive within this time are answered together
GATHER_S = 0.005
# those who are woken answer at once; between so many of them other requests have their turn
AT_ONCE = 32


class Hints(Protocol):
    """A subscription to the broker: `get` blocks in a thread of its own."""

    def get(self, timeout_s: float) -> str | None: ...

    def close(self) -> None: ...


@dataclass(eq=False, slots=True)
class Waiter:
    """One who waits for a topic to satisfy a condition."""

    topic: str
    enough: Callable[[Any], bool]
    done: asyncio.Future[Any]


class Watcher:
    """Wakes waiters of one kind of topic; `look` maps topics to what is known of them, in one query.

    `enough` gets what `look` found for the topic, None when it is gone.
    """

    def __init__(
        self, look: Callable[[Collection[str]], Mapping[str, Any]], telemetry: Telemetry, *, interval_s: float = 0.5
    ) -> None:
        self._look = look
        self._telemetry = telemetry
        self._interval_s = interval_s
        self._waiters: dict[str, set[Waiter]] = {}
        self._hinted: set[str] = set()
        self._wake = asyncio.Event()
        self._closed = False

    @property
    def closed(self) -> bool:
        """True when the server is about to end."""
        return self._closed

    async def wait(self, topic: str, enough: Callable[[Any], bool], timeout_s: float) -> bool:
        """True once `enough` is; False when the time is up, or at once when the server is about to end."""
        if self._closed or timeout_s <= 0:
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        with self._registered(Waiter(topic, enough, done)):
            try:
                async with asyncio.timeout(timeout_s):
                    return await done
            except TimeoutError:
                return False

    @contextmanager
    def _registered(self, waiter: Waiter) -> Iterator[None]:
        self._waiters.setdefault(waiter.topic, set()).add(waiter)
        # what came between the waiter's own look and now would otherwise be seen half a second late
        self.hint(waiter.topic)
        with self._telemetry.waiters.track_inprogress():
            try:
                yield
            finally:
                same_topic = self._waiters[waiter.topic]
                same_topic.discard(waiter)
                if not same_topic:
                    del self._waiters[waiter.topic]

    def hint(self, topic: str) -> None:
        """Something about the topic may be new; on the event loop's thread."""
        if topic in self._waiters:
            self._hinted.add(topic)
            self._wake.set()

    def close(self) -> None:
        """Lets all waiters go, now and from now on."""
        self._closed = True
        self._wake.set()
        for waiter in [waiter for waiters in self._waiters.values() for waiter in waiters]:
            self._settle(waiter, satisfied=False)

    async def run(self) -> None:
        """Looks until `close`; a database that is away is asked again."""
        clock = asyncio.get_running_loop().time
        all_seen = clock()
        while not self._closed:
            await self._next_look(all_seen + self._interval_s - clock())
            topics = self._hinted & self._waiters.keys()
            self._hinted.clear()
            if clock() - all_seen >= self._interval_s:
                all_seen, topics = clock(), set(self._waiters)
            if topics and not self._closed:
                await self._tell(topics)

    async def _next_look(self, due_s: float) -> None:
        """Returns soon after a hint, or when somebody waits and `due_s` are over."""
        try:
            async with asyncio.timeout(max(0.0, due_s) if self._waiters else None):
                await self._wake.wait()
            await asyncio.sleep(GATHER_S)
        except TimeoutError:
            pass
        self._wake.clear()

    async def _tell(self, topics: set[str]) -> None:
        try:
            self._telemetry.looks.inc()
            found = await run_in_threadpool(self._look, topics)
        except SQLAlchemyError as error:
            log.warning("look_failed", error=type(error).__name__)
            await asyncio.sleep(self._interval_s)
            return
        waiters = [waiter for topic in topics for waiter in self._waiters.get(topic, ())]
        for number, waiter in enumerate(waiters, start=1):
            if not waiter.done.done() and waiter.enough(found.get(waiter.topic)):
                self._settle(waiter, satisfied=True)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    @staticmethod
    def _settle(waiter: Waiter, *, satisfied: bool) -> None:
        if not waiter.done.done():
            waiter.done.set_result(satisfied)


class Ear:
    """A thread that listens to the broker and passes each hint to the event loop."""

    def __init__(self, subscribe: Callable[[], Hints], heard: Callable[[str], None]) -> None:
        self._subscribe = subscribe
        self._heard = heard
        self._ended = threading.Event()
        self._loop = asyncio.get_running_loop()
        self.thread = threading.Thread(target=self._listen, name="hints", daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        hints = self._subscribe()
        while not self._ended.is_set():
            topic = hints.get(1.0)
            if topic is not None and not self._ended.is_set():
                # the loop may close in this very moment: then there is nobody left to tell
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._heard, topic)
        hints.close()

    def close(self) -> None:
        """Lets the thread end, within a second; a shutdown does not wait for it."""
        self._ended.set()
