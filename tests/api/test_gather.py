"""Who asks together is answered together, and never by a look that began before the question."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.gather import ALONG, Gather


class Table:
    """What a database would answer; `hold` keeps a look from ending."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {"a": 1, "b": 1}
        self.looks: list[set[str]] = []
        self.begun = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self.failures = 0

    def look(self, keys: Collection[str]) -> Mapping[str, int]:
        self.looks.append(set(keys))
        found = {key: self.values[key] for key in keys if key in self.values}
        self.begun.set()
        assert self.hold.wait(5)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("gone")
        return found


def asking(scenario: Callable[[Gather[str, int], Table], Awaitable[None]]) -> Table:
    table = Table()

    async def run(executor: ThreadPoolExecutor) -> None:
        await asyncio.wait_for(scenario(Gather(table.look, executor), table), 10)

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(run(executor))
    return table


async def begun(table: Table) -> None:
    assert await asyncio.to_thread(table.begun.wait, 5)
    table.begun.clear()


def test_a_hundred_who_ask_at_once_are_one_look() -> None:
    async def scenario(ask: Gather[str, int], table: Table) -> None:
        assert await asyncio.gather(*(ask("ab?"[n % 3]) for n in range(99))) == [1, 1, None] * 33

    assert asking(scenario).looks == [{"a", "b", "?"}]


def test_who_asks_during_a_look_is_answered_by_the_next_one() -> None:
    async def scenario(ask: Gather[str, int], table: Table) -> None:
        table.hold.clear()
        early = asyncio.create_task(ask("a"))
        await begun(table)
        table.values["a"] = 2
        late = asyncio.create_task(ask("a"))
        await asyncio.sleep(0.01)
        table.hold.set()
        assert (await early, await late) == (1, 2)

    assert asking(scenario).looks == [{"a"}, {"a"}]


def test_one_who_leaves_takes_no_answer_from_the_others() -> None:
    async def scenario(ask: Gather[str, int], table: Table) -> None:
        table.hold.clear()
        leaves, stays = asyncio.create_task(ask("a")), asyncio.create_task(ask("a"))
        await begun(table)
        leaves.cancel()
        table.hold.set()
        assert await stays == 1
        assert await ask("b") == 1

    asking(scenario)


def test_a_look_that_fails_is_everybodys_error_and_the_next_one_succeeds() -> None:
    async def scenario(ask: Gather[str, int], table: Table) -> None:
        table.failures = 1
        failed = await asyncio.gather(ask("a"), ask("b"), return_exceptions=True)
        assert [type(error) for error in failed] == [ConnectionError, ConnectionError]
        table.failures = 1
        with pytest.raises(ConnectionError):
            await ask("a")
        assert await ask("a") == 1

    asking(scenario)


class Counted(Table):
    """A table whose database counts its commits."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: int | None = 0

    def write(self, **values: int) -> None:
        self.values |= values
        self.commits = (self.commits or 0) + 1


def counting(scenario: Callable[[Gather[str, int], Counted], Awaitable[None]]) -> Counted:
    table = Counted()

    async def run(executor: ThreadPoolExecutor) -> None:
        await asyncio.wait_for(scenario(Gather(table.look, executor, lambda: table.commits), table), 10)

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(run(executor))
    return table


def test_until_the_next_commit_nobody_looks_again() -> None:
    async def scenario(ask: Gather[str, int], table: Counted) -> None:
        assert [await ask("a"), await ask("a"), await ask("?"), await ask("?")] == [1, 1, None, None]
        table.write(a=2)
        assert [await ask("a"), await ask("?"), await ask("a")] == [2, None, 2]

    # what was asked for lately is looked up along
    assert counting(scenario).looks == [{"a"}, {"?"}, {"a", "?"}]


def test_a_commit_during_a_look_is_seen_by_the_next_question() -> None:
    async def scenario(ask: Gather[str, int], table: Counted) -> None:
        table.hold.clear()
        early = asyncio.create_task(ask("a"))
        await begun(table)
        table.write(a=2)
        table.hold.set()
        assert await early == 1
        assert await ask("a") == 2

    counting(scenario)


def test_without_a_count_each_question_is_looked_up() -> None:
    async def scenario(ask: Gather[str, int], table: Counted) -> None:
        table.commits = None
        assert [await ask("a"), await ask("a")] == [1, 1]

    assert counting(scenario).looks == [{"a"}, {"a"}]


def test_what_is_kept_and_looked_up_along_is_bounded() -> None:
    async def scenario(ask: Gather[str, int], table: Counted) -> None:
        for number in range(10 * ALONG):
            await ask(f"no {number}")
        table.write(a=2)
        assert await ask("a") == 2
        assert await ask("no 1") is None

    table = counting(scenario)
    assert max(len(look) for look in table.looks) == ALONG
    assert table.looks[-1] == {"no 1"}


def test_what_may_end_without_a_commit_is_looked_up_each_time() -> None:
    table = Counted()

    async def scenario(executor: ThreadPoolExecutor) -> None:
        ask = Gather(table.look, executor, lambda: table.commits, lasts=lambda value: value < 5)
        assert [await ask("a"), await ask("a")] == [1, 1]
        table.write(a=5)
        assert [await ask("a"), await ask("a")] == [5, 5]
        table.values["a"] = 6
        assert await ask("a") == 6

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(scenario(executor))
    assert table.looks == [{"a"}] * 4
