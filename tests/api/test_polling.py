"""Polls: what an ETag costs, that it never tells an old state, and that a key or a project is asked for each time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from api.history import event_page, metric_page
from api.rendered import Page, Rendered
from api.routes.jobs import WHOLE
from core.clock import utc_now
from core.db.session import reading, transaction
from core.db.tables import ApiKey
from core.events import Finished, Log, Metrics, Progress, Started, Stopped, Warned
from core.services import protocol, watch
from core.services.claims import CrashPolicy
from core.services.principal import LOCAL
from tests.api.conftest import Live

PAGES: dict[str, Page] = {
    "": WHOLE,
    "/metrics": metric_page(0, 1000),
    "/metrics?limit=2": metric_page(0, 2),
    "/metrics?after=2&limit=2": metric_page(2, 2),
    "/metrics?max_points=3": metric_page(0, 1000, 3),
    "/events": event_page(0, 1000),
    "/events?after=1&limit=2": event_page(1, 2),
    "/events?after=28&limit=2": event_page(28, 2),
}
POLICY = CrashPolicy(max_crashes=3, backoff_s=0.0, max_backoff_s=0.0)


@contextmanager
def statements(live: Live) -> Iterator[list[str]]:
    """What the application asks its database inside of the block."""
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            asked.append(statement)

    event.listen(live.parts.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(live.parts.engine, "before_cursor_execute", note)


@pytest.fixture
def running(live: Live) -> str:
    job_id = live.submit()
    live.claim(job_id)
    for epoch in (1, 2, 3):
        live.epoch(job_id, epoch)
    return job_id


@pytest.mark.parametrize("path", PAGES)
def test_an_etag_is_answered_from_one_row_of_jobs(live: Live, running: str, path: str) -> None:
    address = f"/v1/jobs/{running}{path}"
    etag = live.http.get(address).headers["etag"]
    object.__setattr__(live.parts, "rendered", Rendered())  # an API process that has rendered nothing
    with statements(live) as asked:
        answer = live.http.get(address, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.headers["etag"], answer.content) == (304, etag, b"")
    # none where the database tells that nothing was committed since
    assert len(asked) <= (live.parts.engine.dialect.name != "sqlite"), asked
    assert all("FROM jobs" in one for one in asked)
    assert not any(table in one for table in ("metrics", "job_events", "job_specs") for one in asked)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_read_once_for_all_who_ask(live: Live, running: str, path: str) -> None:
    address = f"/v1/jobs/{running}{path}"
    first = live.http.get(address)
    with statements(live) as asked:
        again = live.http.get(address)
    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])
    assert len(asked) <= (live.parts.engine.dialect.name != "sqlite"), asked


def test_a_page_that_is_full_keeps_its_etag_while_the_job_goes_on(live: Live, running: str) -> None:
    full, open_ = (f"/v1/jobs/{running}/metrics?limit={limit}" for limit in (2, 100))
    before = [live.http.get(address).headers["etag"] for address in (full, open_)]
    live.epoch(running, 4)
    after = [live.http.get(address).headers["etag"] for address in (full, open_)]
    assert before[0] == after[0]
    assert before[1] != after[1]


def life(live: Live, job_id: str, other: str) -> Iterator[str]:
    """All that can happen to a job, one thing at a time."""

    def post(what: str, **body: Any) -> str:
        answer = live.http.post(f"/v1/jobs/{job_id}{what}", json=body)
        assert answer.status_code == 202, answer.text
        return what

    yield "submitted"
    assert live.http.post(f"/v1/jobs/{other}/cancel").status_code == 202
    yield "one place further in the queue"
    yield post("/pause")
    yield post("/resume")
    live.claim(job_id)
    yield "claimed"
    live.record(job_id, Started(4, 12, True, None, {"torch": "2.13.0"}))
    yield "started"
    for epoch in (1, 2, 3):
        live.epoch(job_id, epoch)
        yield f"epoch {epoch}"
    live.record(job_id, live.checkpoint(3)[0])
    yield "a checkpoint"
    live.record(job_id, Metrics(4, 16, {"train.loss": 0.4}), Progress(4, 40, 16, 160, 1.0, 99.0))
    yield "a row and progress"
    live.record(job_id, Progress(4, 40, 17, 160, 1.0, 99.0), Log("hello"))
    yield "progress and a line"
    live.record(job_id, Warned("exploding_gradients", "/optimizer/lr", "lower it", 4, 17))
    yield "a warning"
    change = live.http.patch(f"/v1/jobs/{job_id}", json={"optimizer": {"lr": 0.01}})
    assert change.status_code == 202
    yield "a change"
    claim, _ = live.claims.pop(job_id)
    with transaction(live.parts.sessions) as session:
        protocol.crashed(session, claim, "killed", policy=POLICY)
    yield "its worker died"
    live.claim(job_id)
    yield "rows after the checkpoint are taken back"
    live.record(job_id, Metrics(4, 16, {"train.loss": 0.5}), Progress(4, 40, 16, 160, 1.0, 98.0))
    yield "other rows take their numbers"
    live.record(job_id, live.checkpoint(4)[0])
    yield "another checkpoint"
    yield post("/pause")
    live.record(job_id, Stopped("pause", 4, 16))
    live.claims.pop(job_id)
    yield "paused"
    yield post("/resume")
    live.claim(job_id)
    yield "claimed again"
    claim, _ = live.claims[job_id]
    with transaction(live.parts.sessions) as session:
        bad = claim.resume.checkpoint_id if claim.resume else ""
        protocol.reject_checkpoint(session, live.parts.store, claim, bad)
    yield "its checkpoint is damaged"
    live.record(job_id, *(Metrics(epoch, 4 * epoch, {"train.loss": 0.6}) for epoch in (1, 2, 3, 4)))
    yield "as many rows come anew"
    live.record(job_id, Finished(3, 160, {"test.accuracy": 0.9}))
    live.claims.pop(job_id)
    yield "finished"
    if last := live.http.get(f"/v1/jobs/{job_id}/checkpoints").json()["data"]:
        assert live.http.delete(f"/v1/checkpoints/{last[0]['id']}").status_code == 204
    yield "a checkpoint less"
    yield post("/continue", epochs=2)


def test_equal_etags_mean_equal_bytes_through_a_whole_life(live: Live) -> None:
    """Each page is compared with what the database says at that moment, as the application renders and keeps it."""
    other, job_id = live.submit(), live.submit()
    known: dict[tuple[str, str], bytes] = {}
    for what in life(live, job_id, other):
        for path, page in PAGES.items():
            answer = live.http.get(f"/v1/jobs/{job_id}{path}")
            with reading(live.parts.sessions) as session:
                now = page.render(session, LOCAL, job_id)
                head = watch.heads(session, [job_id])[job_id]
            assert answer.content == now, (what, path)
            assert answer.headers["etag"] == page.etag(job_id, head), (what, path)
            assert known.setdefault((path, answer.headers["etag"]), now) == now, (what, path)
    seen = {path: sum(1 for known_path, _ in known if known_path == path) for path in PAGES}
    assert seen[""] >= 20
    assert 5 <= seen["/metrics"] <= 20


def test_another_projects_etag_is_404(guarded: Live) -> None:
    ours, theirs = (key_of(guarded, project) for project in ("ours", "theirs"))
    job_id = guarded.http.post("/v1/jobs", json={**SPEC}, headers=ours).json()["id"]
    for path in PAGES:
        address = f"/v1/jobs/{job_id}{path}"
        etag = guarded.http.get(address, headers=ours).headers["etag"]
        for condition in ({}, {"If-None-Match": etag}, {"If-None-Match": "*"}, {"Accept": "text/event-stream"}):
            assert guarded.http.get(address, headers={**theirs, **condition}).status_code == 404


SPEC = {"data": {"dataset": "iris"}, "network": {"layers": [{"type": "linear", "units": 3}]}}


def key_of(guarded: Live, project: str) -> dict[str, str]:
    answer = guarded.http.post("/v1/keys", json={"project": project, "scopes": ["write"]})
    return {"Authorization": f"Bearer {answer.json()['key']}"}


def revoke(key: ApiKey) -> None:
    key.revoked_at = utc_now()


def expire(key: ApiKey) -> None:
    key.expires_at = utc_now()


@pytest.mark.parametrize("end", [revoke, expire])
def test_a_key_that_another_process_ends_opens_nothing_from_then_on(
    guarded: Live, end: Callable[[ApiKey], None]
) -> None:
    key = key_of(guarded, "ends")
    job_id = guarded.http.post("/v1/jobs", json=SPEC, headers=key).json()["id"]
    etag = guarded.http.get(f"/v1/jobs/{job_id}", headers=key).headers["etag"]
    key_id = "key_" + key["Authorization"].split("_")[1]
    with transaction(guarded.parts.sessions) as session:
        end(session.get_one(ApiKey, key_id))
    for condition in ({}, {"If-None-Match": etag}):
        assert guarded.http.get(f"/v1/jobs/{job_id}", headers={**key, **condition}).status_code == 401


def test_who_asks_after_a_write_sees_it_whoever_else_asks(live: Live) -> None:
    """Many poll with their ETags while rows arrive; nobody sees fewer rows than were there when he asked."""
    job_id = live.submit()
    live.claim(job_id)
    written, over = [0], threading.Event()

    def write() -> None:
        for epoch in range(1, 41):
            live.epoch(job_id, epoch)
            written[0] = epoch
        over.set()

    def poll() -> int:
        rows, answers, etag = 0, 0, ""
        while not over.is_set():
            least = written[0]
            answer = live.http.get(f"/v1/jobs/{job_id}/metrics", headers={"If-None-Match": etag})
            if answer.status_code == 200:
                assert len(answer.json()["data"]) >= rows
                rows, etag = len(answer.json()["data"]), answer.headers["etag"]
            assert rows >= least
            answers += 1
        return answers

    with ThreadPoolExecutor(5) as threads:
        pollers = [threads.submit(poll) for _ in range(4)]
        threads.submit(write).result(60)
        assert all(poller.result(10) for poller in pollers)


def test_a_status_is_told_as_it_is_after_ones_own_write(live: Live) -> None:
    for _ in range(10):
        address = f"/v1/jobs/{live.submit()}"
        etag = {"If-None-Match": live.http.get(address).headers["etag"]}
        for action, status in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
            live.http.post(f"{address}/{action}")
            answer = live.http.get(address, headers=etag)
            assert answer.json()["status"] == status
            etag = {"If-None-Match": answer.headers["etag"]}
        assert live.http.delete(address).status_code == 204
        assert live.http.get(address, headers=etag).status_code == 404


@pytest.mark.parametrize("job_id", ["job_none", "x", "job_%FF", "job_%ED%A0%80", "a" * 100])
def test_an_id_that_is_none_harms_nobody_who_asks_beside_it(live: Live, running: str, job_id: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(live.http.get, f"/v1/jobs/{one}") for one in [job_id, running] * 8]
        assert [one.result(10).status_code for one in asked] == [404, 200] * 8


def test_who_asks_again_is_counted_under_the_same_route_and_has_the_same_headers(live: Live, running: str) -> None:
    address = f"/v1/jobs/{running}/metrics?limit=2"
    etag = {"If-None-Match": live.http.get(address).headers["etag"]}
    again, once_more = (live.http.get(address, headers={**etag, "X-Request-ID": f"r{n}"}) for n in range(2))
    assert [again.status_code, once_more.status_code] == [304, 304]
    assert {*again.headers.items()} ^ {*once_more.headers.items()} == {("x-request-id", "r0"), ("x-request-id", "r1")}
    counted = live.http.get("/metrics").text
    assert 'netmill_http_requests_total{method="GET",route="/v1/jobs/{job_id}/metrics",status="304"}' in counted
    assert 'route="unmatched",status="304"' not in counted


def test_a_known_etag_is_no_answer_to_another_question(live: Live, running: str) -> None:
    """The same ETag at another page, in a long poll, or from one who wants a stream."""
    metrics, events = f"/v1/jobs/{running}/metrics?limit=3", f"/v1/jobs/{running}/events"
    etag = {"If-None-Match": live.http.get(metrics).headers["etag"]}
    assert live.http.get(metrics, headers=etag).status_code == 304
    assert live.http.get(f"{metrics}&after=1", headers=etag).status_code == 200
    assert live.http.get(f"/v1/jobs/{running}", headers=etag).status_code == 200
    assert live.http.head(metrics, headers=etag).status_code == 304
    assert live.http.post(metrics, headers=etag).status_code == 405
    known = {"If-None-Match": live.http.get(events).headers["etag"]}
    assert live.http.get(events, headers=known).status_code == 304
    with live.http.stream("GET", events, headers={**known, "Accept": "text/event-stream"}) as stream:
        assert (stream.status_code, stream.headers["content-type"].split(";")[0]) == (200, "text/event-stream")


def test_a_known_etag_opens_nothing_to_another_project(guarded: Live) -> None:
    mine, other = key_of(guarded, "mine"), key_of(guarded, "other")
    address = f"/v1/jobs/{guarded.http.post('/v1/jobs', json=SPEC, headers=mine).json()['id']}"
    etag = {"If-None-Match": guarded.http.get(address, headers=mine).headers["etag"]}
    assert guarded.http.get(address, headers={**mine, **etag}).status_code == 304
    assert guarded.http.get(address, headers={**other, **etag}).status_code == 404
    assert httpx.get(f"{guarded.url}{address}", headers=etag).status_code == 401


def test_a_database_that_is_away_is_503_also_for_one_who_asks_again(live: Live, running: str) -> None:
    address = f"/v1/jobs/{running}"
    etag = {"If-None-Match": live.http.get(address).headers["etag"]}

    async def fail(_: str) -> None:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    heads = live.parts.heads
    object.__setattr__(live.parts, "heads", fail)
    try:
        for headers in ({}, etag):
            answer = live.http.get(address, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    finally:
        object.__setattr__(live.parts, "heads", heads)
    assert live.http.get(address, headers=etag).status_code == 304


def test_a_key_ends_at_its_time_though_nobody_commits(guarded: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    if guarded.parts.engine.dialect.name != "sqlite":
        pytest.skip("the clock is the database's")
    soon = (utc_now() + timedelta(hours=1)).isoformat()
    asked = {"project": "soon", "scopes": ["write"], "expires_at": soon}
    key = {"Authorization": f"Bearer {guarded.http.post('/v1/keys', json=asked).json()['key']}"}
    address = f"/v1/jobs/{guarded.http.post('/v1/jobs', json=SPEC, headers=key).json()['id']}"
    etag = {"If-None-Match": guarded.http.get(address, headers=key).headers["etag"]}
    assert guarded.http.get(address, headers={**key, **etag}).status_code == 304
    monkeypatch.setattr("core.db.session.utc_now", lambda: utc_now() + timedelta(hours=2))
    assert guarded.http.get(address, headers={**key, **etag}).status_code == 401
