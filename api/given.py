"""Which pages were given out lately, by their address and their ETag: who asks again is answered without its route."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from starlette.types import Scope

from api.rendered import Page

MOST = 4096
Asked = tuple[str, bytes, str]
"""Path, query and ETag."""


@dataclass(frozen=True, slots=True)
class GivenPage:
    """What an address with this ETag is: the page of a job, and the route that it was found by."""

    page: Page
    job_id: str
    route: Any


class Given:
    """The pages given out last. The same address is always the same page, so nothing here grows old."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._pages: OrderedDict[Asked, GivenPage] = OrderedDict()

    def note(self, scope: Scope, etag: str, page: Page, job_id: str) -> None:
        """Remembers what was given; not for a long poll, which is answered otherwise while nothing is new."""
        if b"wait=" in scope["query_string"]:
            return
        asked = (scope["path"], scope["query_string"], etag)
        self._pages[asked] = GivenPage(page, job_id, scope.get("route"))
        self._pages.move_to_end(asked)
        if len(self._pages) > self._most:
            self._pages.popitem(last=False)

    def find(self, scope: Scope, etag: str) -> GivenPage | None:
        """The page that was given from this address with this ETag."""
        return self._pages.get((scope["path"], scope["query_string"], etag))
