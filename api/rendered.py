"""Pages about a job as bytes, kept under their ETag.

The ETag of a page follows from the head of its job, so it is known without the page: who has the page already is
told so without a look at history or events, and a page that was rendered once is not read again for the next who
asks. What is kept cannot be old, for another state of the job is another ETag.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.conditional import etag_of
from api.documents import VERSION
from core.services.principal import Principal
from core.services.watch import Head

MOST_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Page:
    """One page about a job: its address within the job, what of the head its bytes are a function of, and these."""

    address: tuple[Hashable, ...]
    state: Callable[[Head], tuple[Hashable, ...]]
    render: Callable[[Session, Principal, str], bytes]

    def etag(self, job_id: str, head: Head) -> str:
        """A strong validator: equal ones mean equal bytes, from whichever process of this version."""
        return etag_of(repr((VERSION, job_id, self.address, self.state(head))).encode())


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of a page, and the head that they were read with."""

    head: Head
    content: bytes


class Rendered:
    """The bodies asked for last, at most so many bytes; one that many ask for at once is made once."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, Body] = OrderedDict()
        self._making: dict[str, asyncio.Future[Body]] = {}

    async def get(self, etag: str, make: Callable[[], Awaitable[Body]], etag_of_body: Callable[[Body], str]) -> Body:
        """The body of this ETag, or a newer one when the job has changed since; raises what `make` raises."""
        if etag in self._kept:
            self._kept.move_to_end(etag)
            return self._kept[etag]
        making = self._making.get(etag)
        if making is None:
            making = self._making[etag] = asyncio.ensure_future(make())
            making.add_done_callback(lambda made: self._made(etag, made, etag_of_body))
        # one who leaves must not take the body from the others
        return await asyncio.shield(making)

    def _made(self, etag: str, made: asyncio.Future[Body], etag_of_body: Callable[[Body], str]) -> None:
        del self._making[etag]
        if made.cancelled() or made.exception() is not None:
            return
        body = made.result()
        name = etag_of_body(body)
        if name not in self._kept:
            self._kept[name] = body
            self._bytes += len(body.content)
        while self._bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.content)
