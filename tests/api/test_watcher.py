"""One task looks for all who wait: no look is missed, none is made for nobody, and a thousand cost what one does."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from sqlalchemy.exc import OperationalError

from api.telemetry import Telemetry
from api.watcher import Ear, Watcher


class Table:
    """What a database would answer, and how often it was asked."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.asked: list[set[str]] = []
        self.failures = 0

    def look(self, topics: Collection[str]) -> Mapping[str, Any]:
        self.asked.append(set(topics))
        if self.failures:
            self.failures -= 1
            raise OperationalError("select", {}, Exception("gone"))
        return {topic: self.values[topic] for topic in topics if topic in self.values}


def watching(
    scenario: Callable[[Watcher, Table], Awaitable[None]], *, interval_s: float = 0.05, table: Table | None = None
) -> Table:
    known = table or Table()

    async def run() -> None:
        watcher = Watcher(known.look, Telemetry(), interval_s=interval_s)
        task = asyncio.create_task(watcher.run())
        try:
            await asyncio.wait_for(scenario(watcher, known), 10)
        finally:
            watcher.close()
            await asyncio.wait_for(task, 2)

    asyncio.run(run())
    return known


def at_least(value: int) -> Callable[[Any], bool]:
    return lambda found: found is not None and found >= value


def test_a_change_without_a_hint_is_seen_at_the_next_look() -> None:
    async def scenario(watcher: Watcher, table: Table) -> None:
        waiting = asyncio.create_task(watcher.wait("a", at_least(2), 5))
        await asyncio.sleep(0.02)
        table.values["a"] = 2
        assert await waiting is True

    watching(scenario)


def test_a_hint_is_followed_at_once() -> None:
    async def scenario(watcher: Watcher, table: Table) -> None:
        waiting = asyncio.create_task(watcher.wait("a", at_least(1), 5))
        await asyncio.sleep(0.1)
        table.values["a"] = 1
        start = time.perf_counter()
        watcher.hint("a")
        assert await waiting is True
        assert time.perf_counter() - start < 1

    watching(scenario, interval_s=60)


def test_what_changed_before_the_wait_began_is_not_missed() -> None:
    async def scenario(watcher: Watcher, table: Table) -> None:
        table.values["a"] = 1
        assert await watcher.wait("a", at_least(1), 5) is True

    watching(scenario, interval_s=60)


def test_hints_about_one_do_not_starve_another() -> None:
    async def scenario(watcher: Watcher, table: Table) -> None:
        busy = asyncio.create_task(watcher.wait("busy", at_least(1), 5))
        quiet = asyncio.create_task(watcher.wait("quiet", at_least(1), 5))
        await asyncio.sleep(0.05)
        table.values["quiet"] = 1
        while not quiet.done():
            watcher.hint("busy")
            await asyncio.sleep(0.001)
        assert await quiet is True
        busy.cancel()

    watching(scenario, interval_s=0.1)


def test_time_runs_out_quietly_and_leaves_nothing() -> None:
    async def scenario(watcher: Watcher, table: Table) -> None:
        assert await watcher.wait("a", at_least(1), 0.1) is False
        assert await watcher.wait("a", at_least(1), 0) is False
        looks = len(table.asked)
        await asyncio.sleep(0.2)
        assert len(table.asked) <= looks + 1, "nobody waits, and still it looks"

    watching(scenario)


def test_a_thousand_waiters_cost_what_one_does() -> None:
    async def scenario(watcher: Watcher, table: Table) -> None:
        waiting = [asyncio.create_task(watcher.wait(f"job{n % 50}", at_least(1), 5)) for n in range(1000)]
        await asyncio.sleep(0.3)
        table.values = {f"job{n}": 1 for n in range(50)}
        assert all(await asyncio.gather(*waiting))

    threads = threading.active_count()
    table = watching(scenario, interval_s=0.1)
    assert len(table.asked) < 12
    assert max(len(topics) for topics in table.asked) == 50
    assert threading.active_count() < threads + 10


def test_a_database_that_is_away_is_asked_again() -> None:
    async def scenario(watcher: Watcher, table: Table) -> None:
        table.values["a"] = 1
        assert await watcher.wait("a", at_least(1), 5) is True

    table = Table()
    table.failures = 3
    assert len(watching(scenario, table=table).asked) >= 4


def test_a_gone_topic_is_told_as_none() -> None:
    async def scenario(watcher: Watcher, table: Table) -> None:
        assert await watcher.wait("deleted", lambda found: found is None, 5) is True

    watching(scenario)


def test_closing_lets_everybody_go_now_and_later() -> None:
    async def scenario(watcher: Watcher, table: Table) -> None:
        waiting = asyncio.create_task(watcher.wait("a", at_least(1), 60))
        await asyncio.sleep(0.05)
        watcher.close()
        assert await waiting is False
        assert await watcher.wait("a", at_least(1), 60) is False

    watching(scenario)


class Radio:
    """A subscription that says one thing."""

    def __init__(self) -> None:
        self.said = False
        self.closed = False

    def get(self, timeout_s: float) -> str | None:
        if not self.said:
            self.said = True
            return "a"
        time.sleep(min(timeout_s, 0.01))
        return None

    def close(self) -> None:
        self.closed = True


def test_the_ear_passes_hints_to_the_loop_and_ends() -> None:
    radio = Radio()

    async def run() -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        ear = Ear(lambda: radio, heard.put_nowait)
        assert await asyncio.wait_for(heard.get(), 5) == "a"
        ear.close()
        ear.thread.join(5)

    asyncio.run(run())
    assert radio.closed
