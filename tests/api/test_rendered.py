"""Pages under their ETag: made once, bounded, and never under another state's name."""

from __future__ import annotations

import asyncio

import pytest

from api.rendered import Body, Page, Rendered
from core.services.watch import Head


def head(version: int) -> Head:
    return Head("default", version, "running", False, 0, 0, (1, True))


PAGE = Page(("job",), lambda head: (head.version,), lambda *_: b"")


class Maker:
    """Makes the page as the job is by then, and counts."""

    def __init__(self, rendered: Rendered, size: int = 1) -> None:
        self.rendered = rendered
        self.size = size
        self.version = 1
        self.made: list[int] = []
        self.go = asyncio.Event()
        self.go.set()

    async def make(self) -> Body:
        self.made.append(self.version)
        await self.go.wait()
        return Body(head(self.version), bytes([self.version]) * self.size)

    async def get(self, version: int) -> bytes:
        body = await self.rendered.get(
            PAGE.etag("job_1", head(version)), self.make, lambda body: PAGE.etag("job_1", body.head)
        )
        return body.content


def test_what_is_asked_for_twice_or_at_once_is_made_once() -> None:
    async def scenario() -> None:
        maker = Maker(Rendered())
        maker.go.clear()
        asked = [asyncio.create_task(maker.get(1)) for _ in range(50)]
        await asyncio.sleep(0)
        asked[0].cancel()
        maker.go.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert set(answers[1:]) == {b"\1"}
        assert await maker.get(1) == b"\1"
        assert maker.made == [1]

    asyncio.run(scenario())


def test_a_job_that_changed_meanwhile_is_kept_under_its_new_name() -> None:
    async def scenario() -> None:
        maker = Maker(Rendered())
        maker.version = 2
        assert await maker.get(1) == b"\2"
        assert await maker.get(2) == b"\2"
        assert maker.made == [2]
        # nobody is told the new state under the old name for ever
        maker.version = 3
        assert await maker.get(1) == b"\3"

    asyncio.run(scenario())


def test_it_holds_so_many_bytes_and_drops_what_was_not_asked_for() -> None:
    async def scenario() -> None:
        maker = Maker(Rendered(most_bytes=30), size=10)
        for version in (1, 2, 3):
            maker.version = version
            await maker.get(version)
        await maker.get(1)
        maker.version = 4
        await maker.get(4)
        maker.made.clear()
        for version in (1, 3, 4):
            assert await maker.get(version) == bytes([version]) * 10
        assert maker.made == []
        maker.version = 2
        await maker.get(2)
        assert maker.made == [2]
        maker.size, maker.version = 31, 5
        assert len(await maker.get(5)) == 31

    asyncio.run(scenario())


def test_a_page_that_cannot_be_made_is_tried_again() -> None:
    async def scenario() -> None:
        rendered = Rendered()

        async def fail() -> Body:
            raise ConnectionError("gone")

        for _ in range(2):
            with pytest.raises(ConnectionError):
                await rendered.get("x", fail, lambda _: "x")
        assert await Maker(rendered).get(1) == b"\1"

    asyncio.run(scenario())


def test_an_etag_tells_jobs_and_addresses_and_states_apart() -> None:
    other = Page(("events", 0, 10), PAGE.state, PAGE.render)
    tags = [page.etag(job, head(v)) for page in (PAGE, other) for job in ("job_1", "job_2") for v in (1, 2)]
    assert len(set(tags)) == 8
    assert tags[0] == PAGE.etag("job_1", head(1))
    assert tags[0].startswith('"')
    assert tags[0].endswith('"')
