"""Long polls: read, wait for what is new without holding anything, read again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from api.watcher import Watcher

Found = TypeVar("Found")


async def read_when(
    request: Request,
    read: Callable[[], Found],
    settled: Callable[[Found], bool],
    wait: Callable[[Found], Awaitable[bool]],
) -> Found:
    """What `read` finds: at once when it is settled, else after `wait`, which may run out of time.

    `read` runs in a thread and gives its connection back; nobody waits on behalf of a client that has gone.
    """
    found = await run_in_threadpool(read)
    if settled(found) or not await while_connected(request, wait(found)):
        return found
    return await run_in_threadpool(read)


async def while_connected(request: Request, waiting: Awaitable[bool]) -> bool:
    """What `waiting` comes to; False as soon as the client is gone."""
    task = asyncio.ensure_future(waiting)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.done() and task.result()
    finally:
        for unfinished in (task, gone):
            unfinished.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def news(watcher: Watcher, job_id: str, enough: Callable[[Any], bool], timeout_s: float) -> Awaitable[bool]:
    """Waits until the job's head is enough; a job that was deleted is enough, for the next read says so."""
    return watcher.wait(job_id, lambda head: head is None or enough(head), timeout_s)
