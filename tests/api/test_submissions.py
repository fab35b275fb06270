"""Submissions that come together share a transaction and nothing else: each has its own job, error, key."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError

from api import submissions
from api.bodies import Body
from api.submissions import Asked
from api.together import Together
from core.db.session import reading
from core.db.tables import IdempotencyKey, Job, JobEvent, JobSpecs
from core.services.idempotency import request_hash
from core.services.principal import LOCAL, Principal
from core.services.submitting import accept
from core.spec.limits import Limits
from tests.api.conftest import IRIS, Live


def asked(body: object, key: str | None = None, who: Principal = LOCAL) -> Asked:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Asked(who, Body(raw, Limits(), 10_000), key, request_hash("POST", "/v1/jobs?", raw))


def together(live: Live, *requests: Asked) -> list[Any]:
    """The outcomes of requests that came in the same moment."""
    return live.parts.submissions._do(requests)


@contextmanager
def commits(live: Live) -> Iterator[list[int]]:
    seen: list[int] = []
    event.listen(live.parts.engine, "commit", note := lambda _: seen.append(1))
    try:
        yield seen
    finally:
        event.remove(live.parts.engine, "commit", note)


def count(live: Live) -> int:
    with reading(live.parts.sessions) as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def test_each_has_its_own_job_or_its_own_errors_in_one_transaction(live: Live) -> None:
    reader = Principal("default", frozenset({"read"}))
    wrong = {**IRIS, "network": {"layers": [{"type": "linear", "units": 0}]}}
    before = count(live)
    with commits(live) as seen:
        told = together(
            live,
            asked({**IRIS, "name": "first", "tags": {"a": "b"}}),
            asked(wrong),
            asked(b'{"data": NaN}'),
            asked(IRIS, who=reader),
            asked({**IRIS, "name": "second"}),
        )
    assert len(seen) == 1
    assert count(live) == before + 2
    first, faults, malformed, forbidden, second = told
    assert [error.code for error in (faults, malformed, forbidden)] == ["invalid", "malformed", "forbidden"]
    assert faults.errors[0].pointer == "/network/layers/0/units"
    views = [json.loads(answer.body) for answer in (first, second)]
    assert [view["name"] for view in views] == ["first", "second"]
    assert views[1]["queue_position"] == views[0]["queue_position"] + 1
    for answer, view in zip((first, second), views, strict=True):
        told_again = live.http.get(answer.headers["location"])
        assert told_again.json() == view
    assert live.http.get("/v1/jobs", params={"tag": "a=b"}).json()["data"][0]["id"] == views[0]["id"]


def test_jobs_of_one_transaction_are_rows_as_those_that_came_alone(live: Live) -> None:
    alone = together(live, asked(IRIS))[0]
    company = together(live, asked(IRIS), asked({**IRIS, "training": {"epochs": 5}}), asked(IRIS))
    ids = [json.loads(answer.body)["id"] for answer in (alone, company[0], company[2])]
    with reading(live.parts.sessions) as session:
        rows = [session.get_one(Job, each) for each in ids]
        specs = [session.get_one(JobSpecs, each) for each in ids]
        events = [
            session.execute(
                select(JobEvent.seq, JobEvent.type, JobEvent.data).where(JobEvent.job_id == each).order_by(JobEvent.seq)
            ).all()
            for each in ids
        ]
    moments = {"created_at", "changed_at", "queued_at", "not_before", "dispatched_at"}
    for kind, found in ((Job, rows), (JobSpecs, specs)):
        names = {column.key for column in kind.__mapper__.columns} - moments - {"id", "job_id"}
        assert all(getattr(one, name) == getattr(found[0], name) for one in found for name in names)
    assert events[0] == events[1] == events[2]


def test_keys_of_one_transaction(live: Live) -> None:
    """Two with one key, another with it and another body, one refused, one that was answered before."""
    same, refused, earlier = (uuid4().hex for _ in range(3))
    (answered,) = together(live, asked(IRIS, earlier))
    told = together(
        live, asked(IRIS, same), asked(IRIS, same), asked({}, refused), asked(IRIS, earlier), asked({**IRIS}, None)
    )
    assert [type(each).__name__ for each in told] == ["Response", "InProgress", "Invalid", "Replay", "Response"]
    assert told[3].body.encode() == answered.body
    (again,) = together(live, asked(IRIS, same))
    assert again.body.encode() == told[0].body
    assert [type(each).__name__ for each in together(live, asked(IRIS, refused))] == ["Response"]
    with reading(live.parts.sessions) as session:
        found = session.get_one(IdempotencyKey, ("default", same))
        assert (found.status_code, found.headers) == (201, {**found.headers, "location": told[0].headers["location"]})


def test_one_that_spoils_the_transaction_spoils_its_own_alone(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiling(session: Any, submission: Any) -> Any:
        if submission.body["name"] == "poison":
            raise ZeroDivisionError
        return accept(session, submission)

    monkeypatch.setattr(submissions, "accept", spoiling)
    key, before = uuid4().hex, count(live)
    told = together(live, asked(IRIS, key), asked({**IRIS, "name": "poison"}), asked(IRIS))
    assert [type(each).__name__ for each in told] == ["Response", "ZeroDivisionError", "Response"]
    assert count(live) == before + 2
    assert live.http.post("/v1/jobs", json={**IRIS, "name": "poison"}).status_code == 500


def test_a_commit_that_fails_is_said_to_all_and_not_tried_again(live: Live) -> None:
    """It may have happened all the same; whoever has a key finds out by sending it again."""
    before, tries = count(live), []

    def fail(_: Any) -> None:
        tries.append(1)
        raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    event.listen(live.parts.engine, "commit", fail)
    try:
        with pytest.raises(OperationalError):
            together(live, asked(IRIS), asked(IRIS))
        assert tries == [1]
        assert live.http.post("/v1/jobs", json=IRIS).status_code == 503
    finally:
        event.remove(live.parts.engine, "commit", fail)
    assert count(live) == before


def test_many_clients_at_once_get_as_many_jobs(live: Live) -> None:
    before = count(live)
    bodies = [{**IRIS, "name": f"n{n}"} if n % 5 else {"name": f"n{n}"} for n in range(60)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda body: live.http.post("/v1/jobs", json=body), bodies))
    assert Counter(answer.status_code for answer in answers) == {201: 48, 422: 12}
    names = [answer.json()["name"] for answer in answers if answer.status_code == 201]
    assert names == [body["name"] for body in bodies if len(body) > 1]
    assert count(live) == before + 48


def test_what_waits_is_done_in_order_and_never_more_than_so_much_at_once() -> None:
    calls: list[list[int]] = []

    def do(items: Sequence[int]) -> list[int | Exception]:
        calls.append([*items])
        if 13 in items:
            raise ConnectionError("gone")
        return [ValueError(item) if item == 3 else 10 * item for item in items]

    async def scenario(pool: ThreadPoolExecutor) -> None:
        ask: Together[int, int] = Together(do, pool, most=4)
        told = await asyncio.gather(*(ask(item) for item in range(10)), return_exceptions=True)
        assert [each if isinstance(each, int) else repr(each) for each in told] == [
            *(0, 10, 20, "ValueError(3)"),
            *(40, 50, 60, 70, 80, 90),
        ]
        failed = await asyncio.gather(ask(13), ask(14), return_exceptions=True)
        assert [type(each) for each in failed] == [ConnectionError, ConnectionError]
        leaves = asyncio.ensure_future(ask(1))
        stays = asyncio.ensure_future(ask(2))
        await asyncio.sleep(0)
        leaves.cancel()
        assert await stays == 20

    with ThreadPoolExecutor(1) as pool:
        asyncio.run(asyncio.wait_for(scenario(pool), 10))
    assert [call for call in calls if len(call) > 2] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [13, 14] in calls
