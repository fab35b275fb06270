"""What comes in the same moment is done together, as `api.gather` looks things up together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Together(Generic[Item, Outcome]):
    """Hands items to `do`, up to `most` at once and one call at a time in the executor; those that come meanwhile wait.

    `do` answers with an outcome for each item, in their order; an outcome that is an exception is raised for whom it
    is, and what `do` itself raises for all.
    """

    def __init__(
        self, do: Callable[[Sequence[Item]], Sequence[Outcome | Exception]], executor: Executor, *, most: int
    ) -> None:
        self._do = do
        self._executor = executor
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[Outcome]]] = []
        self._doing: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Outcome:
        """What came of the item. It is done also for one who does not wait for it any longer."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._doing is None:
            self._doing = asyncio.create_task(self._work())
        return await outcome

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                now, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                try:
                    outcomes = await loop.run_in_executor(self._executor, self._do, [item for item, _ in now])
                except Exception as error:  # noqa: BLE001  # it is raised again by each who waits
                    outcomes = [error] * len(now)
                for (_, future), outcome in zip(now, outcomes, strict=True):
                    if future.done():
                        continue
                    if isinstance(outcome, Exception):
                        future.set_exception(outcome)
                    else:
                        future.set_result(outcome)
        finally:
            self._doing = None
