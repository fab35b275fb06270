"""Which page each address is, of those asked for lately: who asks there again is answered without its route."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from starlette.types import Scope

from api.rendered import Page

MOST = 4096


@dataclass(frozen=True, slots=True)
class GivenPage:
    """What an address is: a page about a job, and the route that it was found by."""

    page: Page
    job_id: str
    route: Any


class Given:
    """The addresses asked for last. One is always the same page, so nothing here grows old."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._pages: OrderedDict[tuple[str, bytes], GivenPage] = OrderedDict()

    def note(self, scope: Scope, page: Page, job_id: str) -> None:
        """Remembers what was found there; not for a long poll, which is answered otherwise while nothing is new."""
        if b"wait=" in scope["query_string"]:
            return
        address = (scope["path"], scope["query_string"])
        if address not in self._pages:
            self._pages[address] = GivenPage(page, job_id, scope.get("route"))
        self._pages.move_to_end(address)
        if len(self._pages) > self._most:
            self._pages.popitem(last=False)

    def find(self, scope: Scope) -> GivenPage | None:
        """The page at this address, if it is known."""
        return self._pages.get((scope["path"], scope["query_string"]))
