"""One look for all who ask in the same moment.

A query of its own for each request would cost a thread, a connection and a transaction each, and most of that time is
spent on handing the interpreter's lock around. Here those who ask while a look is under way are answered by the next
one together. A look begins after everybody asked whom it answers, so what is told is never older than the question:
a key that was revoked and a job that was changed before a request came are seen so by that request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from typing import Generic, TypeVar

Key = TypeVar("Key")
Found = TypeVar("Found")


class Gather(Generic[Key, Found]):
    """What `look` finds for a key, None for what it does not find; `look` runs in the executor, one at a time."""

    def __init__(self, look: Callable[[Collection[Key]], Mapping[Key, Found]], executor: Executor) -> None:
        self._look = look
        self._executor = executor
        self._asked: dict[Key, list[asyncio.Future[Found | None]]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def __call__(self, key: Key) -> Found | None:
        """What a look finds that begins after this call; raises what the look raises."""
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
                try:
                    found = await loop.run_in_executor(self._executor, self._look, list(asked))
                except Exception as error:  # noqa: BLE001  # it is raised again by each who asked
                    self._fail(asked, error)
                else:
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
