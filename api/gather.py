"""One look for all who ask in the same moment.

A query of its own for each request would cost a thread, a connection and a transaction each, and most of that time is
spent on handing the interpreter's lock around. Here those who ask while a look is under way are answered by the next
one together. A look begins after everybody asked whom it answers, so what is told is never older than the question:
a key that was revoked and a job that was changed before a request came are seen so by that request.

Where the database counts its commits, what a look found is told again until the next commit: nothing can have changed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Executor
from typing import Generic, TypeVar

Key = TypeVar("Key")
Found = TypeVar("Found")
# of those asked for lately, how many are looked up along with the first that is asked for after a commit
ALONG = 32
MOST = 4096


class Kept(Generic[Key, Found]):
    """What looks found, as long as `commits` stays what it was before them; with None from it nothing is kept.

    `lasts` is false of what may become something else without a commit.
    """

    def __init__(self, commits: Callable[[], int | None], lasts: Callable[[Found], bool]) -> None:
        self._commits = commits
        self._lasts = lasts
        self._at: int | None = None
        self._found: dict[Key, Found | None] = {}
        self._lately: OrderedDict[Key, None] = OrderedDict()

    def has(self, key: Key) -> bool:
        """Whether what is kept of this key is so now."""
        if key not in self._found or self._commits() != self._at:
            return False
        self._touch(key)
        return True

    def __getitem__(self, key: Key) -> Found | None:
        return self._found[key]

    def begin(self, asked: Iterable[Key]) -> tuple[int | None, list[Key]]:
        """Before a look at what is asked for: the commits until now, and all that it shall look at."""
        now = self._commits()
        keys = dict.fromkeys(asked)
        if now is None:
            return now, list(keys)
        for key in keys:
            self._touch(key)
        return now, list(keys if now == self._at else keys | self._lately)

    def _touch(self, key: Key) -> None:
        self._lately[key] = None
        self._lately.move_to_end(key)
        if len(self._lately) > ALONG:
            self._lately.popitem(last=False)

    def end(self, begun: int | None, looked: Iterable[Key], found: Mapping[Key, Found]) -> None:
        """After the look: what it found, of a state that is the one it began in or a later one."""
        if begun is None:
            return
        if begun != self._at or len(self._found) > MOST:
            self._at, self._found = begun, {}
        for key in looked:
            told = found.get(key)
            if told is None or self._lasts(told):
                self._found[key] = told


class Gather(Generic[Key, Found]):
    """What `look` finds for a key, None for what it does not find; `look` runs in the executor, one at a time.

    `commits` is another number after each commit: until then a key is not looked up again, unless what was found of it
    does not last (`lasts`).
    """

    def __init__(
        self,
        look: Callable[[Collection[Key]], Mapping[Key, Found]],
        executor: Executor,
        commits: Callable[[], int | None] = lambda: None,
        lasts: Callable[[Found], bool] = lambda _: True,
    ) -> None:
        self._look = look
        self._executor = executor
        self._kept: Kept[Key, Found] = Kept(commits, lasts)
        self._asked: dict[Key, list[asyncio.Future[Found | None]]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def __call__(self, key: Key) -> Found | None:
        """What a look finds, or would find, that begins after this call; raises what the look raises."""
        if self._kept.has(key):
            return self._kept[key]
        answer: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(key, []).append(answer)
        if self._looking is None:
            self._looking = asyncio.create_task(self._answer())
        return await answer

    async def _answer(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                begun, keys = self._kept.begin(asked)
                try:
                    found = await loop.run_in_executor(self._executor, self._look, keys)
                except Exception as error:  # noqa: BLE001  # it is raised again by each who asked
                    self._fail(asked, error)
                else:
                    self._kept.end(begun, keys, found)
                    for key, answers in asked.items():
                        for answer in answers:
                            if not answer.done():
                                answer.set_result(found.get(key))
        finally:
            self._looking = None

    @staticmethod
    def _fail(asked: Mapping[Key, list[asyncio.Future[Found | None]]], error: Exception) -> None:
        for answer in (answer for answers in asked.values() for answer in answers):
            if not answer.done():
                answer.set_exception(error)
