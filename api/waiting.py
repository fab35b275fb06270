"""Long polls: read, wait for what is new without holding anything, read again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

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


async def while_connected(request: Request, waiting: Awaitable[Found]) -> Found | None:
    """What `waiting` comes to; None as soon as the client is gone."""
    task = asyncio.ensure_future(waiting)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for unfinished in (task, gone):
            unfinished.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
